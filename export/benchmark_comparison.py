"""What changed since an earlier benchmark, beyond what the machine differs from itself."""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, Field, ValidationError

from core.errors import InvalidInputError

FEWEST_BLOCKS: Final = 3
"""With fewer, nothing says how far the same thing lies from itself."""


class _Entry(BaseModel):
    """Of a report, what a comparison needs of one artifact or baseline."""

    name: str
    latency_ms: dict[str, Any] | None
    raw_ms_blocks: Annotated[list[list[Annotated[float, Field(gt=0)]]] | None, Field(min_length=1)] = None

    @property
    def p50(self) -> float | None:
        """Median milliseconds of all calls."""
        blocks = self.raw_ms_blocks
        if blocks and any(blocks):
            return statistics.median(value for block in blocks for value in block)
        value = (self.latency_ms or {}).get("p50")
        return float(value) if isinstance(value, int | float) and value > 0 else None

    @property
    def spread(self) -> float | None:
        """Milliseconds between the lowest and the highest block's median; None where blocks are missing."""
        medians = [statistics.median(block) for block in self.raw_ms_blocks or [] if block]
        return max(medians) - min(medians) if len(medians) >= FEWEST_BLOCKS else None


class EarlierReport(BaseModel):
    """What ``p2p-bench --json`` printed before."""

    fingerprint: str
    machine: dict[str, Any]
    ceiling_gflops: Annotated[float, Field(gt=0)]
    threads: int | None = None
    depth: int = 1
    artifacts: Annotated[list[_Entry], Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of one artifact or baseline. Milliseconds are medians; ``verdict`` is a word of ``compare``'s."""

    name: str
    verdict: str
    before_ms: float | None = None
    now_ms: float | None = None
    noise_ms: float | None = None
    """How far apart two medians may lie without anything having changed; None where that is not known."""

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "before_p50_ms": self.before_ms,
            "p50_ms": self.now_ms,
            "noise_ms": self.noise_ms,
        }

    def __str__(self) -> str:
        if self.before_ms is None or self.now_ms is None:
            return f"{self.name}: {self.verdict}"
        noise = "" if self.noise_ms is None else f", noise {self.noise_ms:.2f} ms"
        figures = f"{self.before_ms:.2f} ms then, {self.now_ms:.2f} ms now"
        return f"{self.name}: {self.verdict}: {figures} ({self.before_ms / self.now_ms:.2f} x as fast{noise})"


def read_report(path: Path) -> EarlierReport:
    """The report in ``path``.

    Raises:
        InvalidInputError: if it cannot be read or is none.
    """
    advice = "give a file that p2p-bench --json wrote"
    try:
        return EarlierReport.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read ({error.strerror}): {advice}") from error
    except (ValidationError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path} is no report of a benchmark: {advice}") from error


def incomparable(earlier: EarlierReport, now: EarlierReport) -> str | None:
    """Why the figures of the two say nothing about each other; None if they do."""
    if earlier.fingerprint != now.fingerprint:
        cpu, cores = earlier.machine.get("cpu", "unknown"), earlier.machine.get("cores", "?")
        return f"it was measured on another machine ({cpu}, {cores} cores)"
    if earlier.threads is not None and earlier.threads != now.threads:
        return f"it was measured on {earlier.threads} CPU threads, this on {now.threads}"
    if earlier.depth != now.depth:
        return f"it was measured with {earlier.depth} calls under way, this with {now.depth}"
    return None


def compare(earlier: EarlierReport, now: EarlierReport) -> list[Change]:
    """What became of each artifact and baseline, in the order of ``now``, and then of what is not there any more.

    Medians of blocks show how much the same thing differs from itself within a run. ``faster`` and ``slower`` are
    said only if the medians lie further apart than these ranges of both runs together; else ``no change beyond noise``,
    or ``spread unknown`` where a report has too few blocks to tell.
    """
    before = {entry.name: entry for entry in earlier.artifacts}
    names = {entry.name for entry in now.artifacts}
    changes = [_change(before.get(entry.name), entry) for entry in now.artifacts]
    return changes + [Change(name=name, verdict="not measured now") for name in before if name not in names]


def _change(before: _Entry | None, now: _Entry) -> Change:
    if now.p50 is None:
        return Change(name=now.name, verdict="not measured now")
    if before is None or before.p50 is None:
        return Change(name=now.name, verdict="not measured then")
    noise = None if before.spread is None or now.spread is None else before.spread + now.spread
    if noise is None:
        verdict = "spread unknown"
    elif abs(now.p50 - before.p50) <= noise:
        verdict = "no change beyond noise"
    else:
        verdict = "faster" if now.p50 < before.p50 else "slower"
    return Change(name=now.name, verdict=verdict, before_ms=before.p50, now_ms=now.p50, noise_ms=noise)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """This run beside an earlier one."""

    path: Path
    reason: str | None
    """Why the two say nothing about each other; then there are no ``changes``."""
    machine_ratio: float
    """This run's fp32 matrix product over the earlier one's: how the machine itself differs."""
    changes: tuple[Change, ...]

    @classmethod
    def of(cls, path: Path, earlier: EarlierReport, report: dict[str, Any]) -> Self:
        """Compare ``report``, which was made now, with the one that ``path`` had."""
        now = EarlierReport.model_validate(report)
        reason = incomparable(earlier, now)
        return cls(
            path=path,
            reason=reason,
            machine_ratio=now.ceiling_gflops / earlier.ceiling_gflops,
            changes=() if reason else tuple(compare(earlier, now)),
        )

    def lines(self) -> list[str]:
        """For people."""
        if self.reason is not None:
            return [f"not comparable with {self.path}: {self.reason}"]
        ratio = f"the machine's own matrix product is {self.machine_ratio:.2f} times as fast as then"
        return [f"compared with {self.path} ({ratio}):", *map(str, self.changes)]

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "with": str(self.path),
            "not_comparable": self.reason,
            "machine_ratio": round(self.machine_ratio, 3),
            "changes": [change.as_json() for change in self.changes],
        }
