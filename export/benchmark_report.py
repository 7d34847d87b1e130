"""What ``p2p-bench`` puts out: the lines under its table, the same as Markdown, and everything as JSON."""

from pathlib import Path
from typing import Any, Final

from core.atomic import check_creatable
from core.errors import InvalidInputError
from core.formats import TARGETS
from core.machine import library_versions, this_machine
from export.benchmark_comparison import Comparison
from export.bundle_benchmark import BASELINES, BenchmarkResult
from export.tables import CAPTION, Row, markdown_table, notes
from runtime.benchmark import WARM_UP, Measured
from runtime.bundle import Bundle

DIGITS: Final = 4
"""Of milliseconds in JSON: a tenth of a microsecond."""


def lines(result: BenchmarkResult) -> list[str]:
    """What belongs under the table: reasons, baselines, ceiling, how it was timed, and with which versions."""
    settings = result.settings
    mode = (
        "one call at a time" if settings.depth == 1 else f"{settings.depth} calls under way at a time (baselines: one)"
    )
    how = (
        f"{settings.runs} calls each in {settings.blocks} blocks of rotating order, each loaded anew with "
        f"{WARM_UP + 1} calls to warm up; {mode}, {settings.threads} CPU threads"
    )
    found = notes(list(result.rows.values()))
    if any(name in BASELINES for name in result.measured):
        found.append("baselines: NumPy before and after the generator; initial weights, as fast as trained ones")
    versions = ", ".join(f"{name} {version}" for name, version in library_versions().items())
    return [*found, result.ceiling, how, versions]


def check_markdown(path: Path) -> None:
    """Refuse a place for the Markdown page that could not be written to, before the work whose figures it is to show.

    Raises:
        InvalidInputError: for another suffix than .md, or a place that cannot be written to.
    """
    if path.suffix.lower() != ".md":
        raise InvalidInputError(f"{path}: the table is written as .md; plots go to --plot, all figures to --json")
    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder: give the table another name")
    check_creatable(path)


def markdown_page(title: str, result: BenchmarkResult, comparison: Comparison | None = None) -> str:
    """The table and what belongs under it as a Markdown page."""
    under = [*lines(result), *(comparison.lines() if comparison else ())]
    listed = "\n".join(f"- {line}" for line in under)
    return f"# {title}\n\n{markdown_table(list(result.rows.values()))}\n\n{CAPTION}\n\n{listed}\n"


def report(bundle: Bundle, result: BenchmarkResult) -> dict[str, Any]:
    """Everything that was measured, for scripts and later comparisons, raw milliseconds by block included."""
    machine, settings = this_machine(), result.settings
    targets = {artifact.name: TARGETS[artifact.target].name for artifact in bundle.manifest.artifacts} | BASELINES
    return {
        "bundle": bundle.title,
        "machine": machine.model_dump(mode="json"),
        "fingerprint": machine.fingerprint,
        "libraries": library_versions(),
        "runs": settings.runs,
        "blocks": settings.blocks,
        "threads": settings.threads,
        "depth": settings.depth,
        "gflop_per_frame": result.gflop_per_frame,
        "ceiling_gflops": result.ceiling_gflops,
        "artifacts": [_entry(name, targets[name], row, result.measured.get(name)) for name, row in result.rows.items()],
    }


def _entry(name: str, target: str, row: Row, measured: Measured | None) -> dict[str, Any]:
    blocks = measured and [[round(value, DIGITS) for value in block.raw_ms] for block in measured.blocks]
    return {
        "name": name,
        "target": target,
        "precision": row.precision,
        "bytes": row.total_bytes,
        "fidelity": row.fidelity.model_dump() if row.fidelity else None,
        "latency_ms": row.latency.model_dump() if row.latency else None,
        "fps": round(row.fps, 2) if row.fps else None,
        "load_seconds": measured and round(measured.load_seconds, 3),
        "raw_ms": blocks and [value for block in blocks for value in block],
        "raw_ms_blocks": blocks,
        "block_seconds": measured and [round(block.seconds, 6) for block in measured.blocks],
        "status": row.status,
        "reason": row.reason,
        "recommended": row.recommended,
    }
