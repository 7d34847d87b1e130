"""Figures of ``benchmarks.training``: from timed blocks to rows, and from rows to Markdown tables."""

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, NamedTuple

from benchmarks.training_candidates import Block, Candidate, Ready

HEADER = (
    "| device | width | batch | what | step, median | best | images/s | speed-up, median (range) | waiting | memory | "
    "start |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


TIMES: Final = "\N{MULTIPLICATION SIGN}"


class Spread(NamedTuple):
    """Of paired ratios."""

    median: float
    low: float
    high: float


@dataclass(kw_only=True)
class Row:
    """One candidate, and what was measured of it."""

    candidate: Candidate
    ready: Ready | None = None
    blocks: dict[int, Block] = field(default_factory=dict)
    """By the round that they were part of."""
    reason: str | None = None
    """Why it was not measured, or not to the end."""

    @property
    def steps(self) -> list[float]:
        """Seconds a step: of every step where each was timed, else the mean of every block."""
        each = [seconds for block in self.blocks.values() for seconds in block.step_seconds]
        return each or [block.seconds / block.steps for block in self.blocks.values()]

    @property
    def images_per_second(self) -> float:
        """Of all counted steps together."""
        steps = sum(block.steps for block in self.blocks.values())
        return self.candidate.batch * steps / sum(block.seconds for block in self.blocks.values())

    @property
    def waiting(self) -> float:
        """Share of the time in counted steps that was spent until batches were handed over, 0 to 1."""
        blocks = self.blocks.values()
        return sum(block.waited for block in blocks) / sum(block.seconds for block in blocks)

    @property
    def memory_gib(self) -> float:
        """Peak."""
        return max(block.memory_gib for block in self.blocks.values())

    def record(self) -> dict[str, Any]:
        """Everything, for JSON; times in seconds, the raw ones included."""
        candidate = asdict(self.candidate)
        del candidate["data"]  # a place on this machine
        return {
            "candidate": candidate,
            "reason": self.reason,
            "start_seconds": None if self.ready is None else round(self.ready.seconds, 4),
            "parameters": None if self.ready is None else list(self.ready.parameters),
            "blocks": [{"round": number, **_rounded(block)} for number, block in self.blocks.items()],
        }


def speed_up(row: Row, reference: Row) -> Spread | None:
    """How many times as fast as ``reference`` it was, round by round; None without a round that both took part in.

    A round's blocks lie close together in time, so what else the machine did then weighs on both.
    """
    both = sorted(row.blocks.keys() & reference.blocks.keys())
    ratios = [
        (reference.blocks[number].seconds / reference.blocks[number].steps)
        / (row.blocks[number].seconds / row.blocks[number].steps)
        for number in both
    ]
    return Spread(statistics.median(ratios), min(ratios), max(ratios)) if ratios else None


def table(rows: list[Row], *, unit: Literal["ms", "s"]) -> str:
    """A Markdown table; every row is compared with the reference of its device, width and batch."""
    references = {_case(row.candidate): row for row in rows if row.candidate.reference}
    return "\n".join([HEADER, *(_line(row, references.get(_case(row.candidate)), unit=unit) for row in rows)])


def _line(row: Row, reference: Row | None, *, unit: Literal["ms", "s"]) -> str:
    candidate = row.candidate
    first = f"| {candidate.device} | {candidate.width} | {candidate.batch} | {candidate.name} "
    if not row.blocks:
        return f"{first}| {row.reason} | | | | | | |"
    factor, digits = (1000, 2) if unit == "ms" else (1, 3)
    ratio = speed_up(row, reference) if reference is not None and reference is not row else None
    compared = "1" if reference is row else "-"
    if ratio is not None:
        compared = f"**{ratio.median:.2f} {TIMES}** ({ratio.low:.2f} to {ratio.high:.2f})"
    assert row.ready is not None
    cells = (
        f"{factor * statistics.median(row.steps):.{digits}f} {unit}",
        f"{factor * min(row.steps):.{digits}f}",
        f"{row.images_per_second:.{_digits(row.images_per_second)}f}",
        compared,
        f"{100 * row.waiting:.2f} %",
        f"{row.memory_gib:.2f} GiB",
        f"{row.ready.seconds:.1f} s" + (f"; stopped: {row.reason}" if row.reason else ""),
    )
    return f"{first}| {' | '.join(cells)} |"


def _case(candidate: Candidate) -> tuple[str, int, int]:
    return candidate.device, candidate.width, candidate.batch


def _digits(value: float) -> int:
    return 2 if value < 10 else 1 if value < 100 else 0


def _rounded(block: Block) -> dict[str, Any]:
    return {
        "steps": block.steps,
        "seconds": round(block.seconds, 6),
        "waited": round(block.waited, 6),
        "step_seconds": [round(seconds, 6) for seconds in block.step_seconds],
        "memory_gib": round(block.memory_gib, 4),
    }
