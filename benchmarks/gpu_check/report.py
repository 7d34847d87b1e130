"""``docs/gpu.md``, rendered from the results that lie in ``benchmarks/results/``."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from benchmarks.gpu_check import training
from benchmarks.gpu_check.derive import (
    Verdict,
    curve_apart,
    doubt,
    floor_ms,
    never_measured,
    peak_share,
    verdicts,
)
from benchmarks.gpu_check.record import GpuCheck, Row, Section, Status, read_checks
from core.atomic import write_text

RESULTS: Final = Path(__file__).parents[1] / "results"
DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "gpu.md"
TIMES: Final = "\N{MULTIPLICATION SIGN}"

INTRODUCTION: Final = """# On a GPU

This page is rendered by `make gpu-check` (`python -m benchmarks.gpu_check`) from the results that lie in
`benchmarks/results/`; it is not written by hand. The command has less than eight minutes on any machine with CUDA,
begins with what matters most, needs what is installed there and nothing else, and lists by name and reason what it
could not measure. `--device cpu` rehearses what a CPU can run.

- **Ceilings** come first: the rate of a large matrix product on random data, the bandwidth of a copy within the GPU's
  memory (read and written bytes counted), a frame's way to the GPU and back.
- **Training**: one step against the CPU's, loss curves against eager fp32, step times of every batch size, precision
  and mode, the plain loop of the public repositories beside it, a run that is killed and resumed, a profile. Step times
  are of batches that lie in the GPU's memory; the comparison with the plain loop includes both feeds.
- **Engines**: what `p2p-export` makes, from frames in memory to frames in memory, beside PyTorch and against the floor:
  a frame's operations at the measured rate, or its weights and the values between its layers at the measured
  bandwidth, whichever takes longer. (What stays in the cache is not moved, so that a small network may be faster.)
- **The stream**: `p2p-run` as a user types it.

Weights are initial ones, which are as fast as trained ones. `make gpu-train` trains the real facades set at the
paper's recipe within a time budget.
"""


def write_document(results: Path, document: Path) -> None:
    """Render ``document`` from what lies in the folder ``results``."""
    write_text(document, render(read_checks(results)))


def render(checks: list[GpuCheck]) -> str:
    """The page of these checks, the newest first."""
    parts = [INTRODUCTION]
    if not checks:
        parts.append("**No GPU has been at hand so far: nothing of this has ever run on one.**\n")
    parts += [f"## {_title(check)}\n\n{summary(check)}\n" for check in checks]
    left = never_measured(checks)
    if left:
        parts.append("## Never run on a GPU\n")
        parts += [_left_out(section, names) for section, names in left.items()]
    return "\n".join(parts).rstrip() + "\n"


def _title(check: GpuCheck) -> str:
    return f"{check.facts.gpu or check.facts.device}, {check.date}"


def _left_out(section: Section, names: dict[str, str]) -> str:
    grouped: dict[str, list[str]] = {}
    for name, reason in names.items():
        grouped.setdefault(reason, []).append(name)
    lines = [f"- {'; '.join(_joined(group))}: {reason}" for reason, group in grouped.items()]
    return f"**{section.value.capitalize()}**\n\n" + "\n".join(lines) + "\n"


def _joined(names: Iterable[str]) -> list[str]:
    """``names``, with steps that differ in their batch alone as one."""
    batches: dict[str, list[str]] = {}
    for name in names:
        first, batch, rest = name.split(", ", 2) if name.startswith("step, batch ") else (name, "", "")
        batches.setdefault(f"{first}, {rest}" if batch else name, []).append(batch.removeprefix("batch "))
    return [name + (f", batch {', '.join(each)}" if each[0] else "") for name, each in batches.items()]


def summary(check: GpuCheck) -> str:
    """The tables of one check, as Markdown."""
    facts, versions = check.facts, check.libraries
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    about = f"Compute capability {facts.capability}, {facts.memory_gib} GiB; " if facts.gpu else ""
    parts = [
        f"{about}{check.machine.cpu}, {check.machine.cores} cores; CUDA {facts.driver_cuda}; {libraries}. "
        f"Width {check.width}, {check.size} x {check.size}; {check.seconds:.0f} s, "
        f"the budget {check.budget_seconds:g} s.",
    ]
    if facts.gpu:
        parts.append(_table(("target", "bound", "measured", "of"), [_verdict_cells(one) for one in verdicts(check)]))
    elif facts.why_not is None:
        parts.append("A rehearsal on the CPU: a few steps and calls each, whose figures are worth nothing.")
    for section, table in _TABLES.items():
        rows = [row for row in check.rows if row.section is section]
        measured = [row for row in rows if row.figures]
        if measured:
            parts.append(f"**{section.value.capitalize()}**\n\n" + table(check, measured))
        left = [row for row in rows if row.status is not Status.MEASURED]
        if left:
            parts.append(_not_measured(section, left))
    return "\n\n".join(parts)


def _verdict_cells(verdict: Verdict) -> tuple[str, ...]:
    sign = "<=" if verdict.at_most else ">="
    value = "not measured"
    if verdict.value is not None:
        value = f"{verdict.value:.3g} {verdict.unit}: {'met' if verdict.met else '**missed**'}"
    return verdict.target, f"{sign} {verdict.bound:g} {verdict.unit}", value, verdict.of


def _not_measured(section: Section, rows: list[Row]) -> str:
    grouped: dict[str, list[str]] = {}
    for row in rows:
        grouped.setdefault(f"{row.status.value}: {row.reason}", []).append(row.name)
    return "\n".join(f"- {section.value}, {reason} ({'; '.join(_joined(names))})" for reason, names in grouped.items())


def _ceilings(_check: GpuCheck, rows: list[Row]) -> str:
    return _table(("what", "figures"), [(row.name, _figures(row.figures)) for row in rows])


def _training(check: GpuCheck, rows: list[Row]) -> str:
    steps = [row for row in rows if row.name.startswith("step, ")]
    curves = {training.curve_name(variant): variant for variant in training.VARIANTS}
    parts = []
    if steps:
        parts.append(
            _table(("step", "ms", "images/s", "of the matrix rate", "memory"), [_step(check, row) for row in steps])
        )
    told = [row for row in rows if row.name in curves]
    if told:
        cells = [(row.name, _number(row.figures["last_distance"]), _apart(check, curves[row.name])) for row in told]
        parts.append(_table(("loss curve", "distance, last 50 steps", "against eager fp32"), cells))
    profiles = [row for row in rows if row.name.startswith("profile")]
    parts += [_profile(row) for row in profiles]
    others = [row for row in rows if row not in steps and row not in told and row not in profiles]
    if others:
        parts.append(_table(("what", "figures"), [(row.name, _figures(row.figures)) for row in others]))
    return "\n\n".join(parts)


def _step(check: GpuCheck, row: Row) -> tuple[str, ...]:
    figures: dict[str, Any] = row.figures
    precision = row.name.split(", ")[2]
    share = peak_share(check, precision, float(figures["images_per_second"]))
    memory = figures.get("memory_gib")
    wrong = doubt(check, row)
    return (
        row.name.removeprefix("step, "),
        _number(figures["step_ms"]),
        _number(figures["images_per_second"]),
        ("" if share is None else f"{100 * share:.1f} %") + ("" if wrong is None else f", **{wrong}**"),
        "" if memory is None else f"{memory:.2f} GiB",
    )


def _apart(check: GpuCheck, variant: str) -> str:
    apart = curve_apart(check, variant)
    if apart is None or variant == training.REFERENCE_VARIANT:
        return ""
    return f"{100 * apart:.1f} %" + (
        "" if apart <= training.CURVE_TOLERANCE else f", **more than {100 * training.CURVE_TOLERANCE:g} %**"
    )


def _profile(row: Row) -> str:
    figures: dict[str, Any] = row.figures
    idle = figures["idle_share"]
    head = f"{row.name}: {figures['kernels_a_step']} kernels a step" + (
        "" if idle is None else f", the GPU idle for {100 * idle:.1f} % of the time"
    )
    kernels = [
        (f"`{one['kernel']}`", f"{100 * one['share']:.1f} %", _number(one["calls_a_step"]), _number(one["us_a_step"]))
        for one in figures["longest"]
    ]
    return f"{head}\n\n" + _table(("kernel", "share", "calls a step", "us a step"), kernels)


def _engines(check: GpuCheck, rows: list[Row]) -> str:
    timed = [row for row in rows if "p50_ms" in row.figures]
    others = [row for row in rows if row not in timed]
    parts = []
    if timed:
        headings = (
            "engine",
            "p50 ms",
            "p99 ms",
            f"p50, {TIMES} floor",
            "PSNR dB",
            "build s",
            "open s",
            "CUDA graph",
            "device",
        )
        parts.append(_table(headings, [_engine(check, row) for row in timed]))
    if others:
        parts.append(_table(("what", "figures"), [(row.name, _figures(row.figures)) for row in others]))
    return "\n\n".join(parts)


def _engine(check: GpuCheck, row: Row) -> tuple[str, ...]:
    figures: dict[str, Any] = row.figures
    precision = next((each for each in ("fp32", "fp16") if each in row.name), None)
    floor = None if precision is None else floor_ms(check, precision)
    seen = [figures[name] for name in ("psnr_db", "psnr_db_here") if figures.get(name) is not None]
    graph = figures.get("cuda_graph")
    return (
        row.name,
        _number(figures["p50_ms"]),
        _number(figures.get("p99_ms")),
        "" if floor is None else f"{float(figures['p50_ms']) / floor:.1f}",
        _number(min(seen, default=None)),
        _number(figures.get("build_seconds")),
        _number(figures.get("open_seconds")),
        "" if graph is None else "yes" if graph else "no",
        str(figures.get("device", "")),
    )


def _pipeline(_check: GpuCheck, rows: list[Row]) -> str:
    headings = ("stream", "fps", "end to end p50 ms", "p99 ms", "GPU idle", "first frame", "artifact", "device")
    return _table(headings, [_stream(row) for row in rows])


def _stream(row: Row) -> tuple[str, ...]:
    figures: dict[str, Any] = row.figures
    idle = figures.get("gpu_idle_share")
    return (
        row.name,
        _number(figures["fps"]),
        _number(figures.get("end_to_end_p50_ms")),
        _number(figures.get("end_to_end_p99_ms")),
        "" if idle is None else f"{100 * idle:.0f} %",
        f"{_number(figures['first_frame_seconds'])} s",
        str(figures["artifact"]),
        str(figures["device"]),
    )


_TABLES: Final[dict[Section, Callable[[GpuCheck, list[Row]], str]]] = {
    Section.CEILINGS: _ceilings,
    Section.TRAINING: _training,
    Section.ENGINES: _engines,
    Section.PIPELINE: _pipeline,
}


def _figures(figures: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_number(value)}" for name, value in figures.items())


def _number(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [tuple(headings), *(tuple(cell.replace("|", "/") for cell in row) for row in rows)]
    lines.insert(1, tuple("---" for _ in lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
