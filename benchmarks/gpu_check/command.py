"""Make the most of whatever GPU this is started on, in minutes: ``make gpu-check``.

``python -m benchmarks.gpu_check [--budget 440] [--only training,engines] [--out FILE] [--no-docs]``

Everything is a row: ceilings of the device, the training step, the exported engines, the live stream. What is not
installed, or has no time left, is a row with the reason. Rows that matter most run first, in a process that may crash
without taking the others along. Results go to ``benchmarks/results/`` and ``docs/gpu.md`` is rendered from all that lie
there. Without a CUDA device everything is listed as not run; ``--device cpu`` rehearses what a CPU can run, with a few
steps and calls each: its figures are worth nothing.
"""

import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer
from rich.console import Console

from benchmarks.gpu_check.checks import Setting
from benchmarks.gpu_check.conductor import WorkerProcess, conduct
from benchmarks.gpu_check.facts import read_facts
from benchmarks.gpu_check.plan import all_checks
from benchmarks.gpu_check.record import GpuCheck, Row, Section, Status, read_checks, write_check
from benchmarks.gpu_check.report import DOCUMENT, RESULTS, summary, write_document
from core.command_line import INTERRUPTED
from core.errors import EdgeError, InvalidInputError
from core.machine import library_versions, this_machine

BUDGET_SECONDS: Final = 440.0
"""Under eight minutes, with the start and the last check's end."""


def parse_sections(text: str | None) -> tuple[Section, ...]:
    """``"training,engines"``; all for None.

    Raises:
        InvalidInputError: for a name that is none.
    """
    if text is None:
        return tuple(Section)
    names = [part.strip() for part in text.split(",") if part.strip()]
    unknown = sorted(set(names) - set(Section))
    if unknown or not names:
        raise InvalidInputError(f"--only {text!r} is not understood: choose from {', '.join(Section)}")
    return tuple(section for section in Section if section in names)


def main(
    budget: Annotated[
        float, typer.Option(min=10, max=36000, help="Seconds that the checks may take.")
    ] = BUDGET_SECONDS,
    only: Annotated[
        str | None, typer.Option(help="Of ceilings, training, engines, pipeline, comma-separated. [default: all]")
    ] = None,
    width: Annotated[int, typer.Option(min=1, max=512, help="Of the networks.")] = 64,
    size: Annotated[int, typer.Option(min=32, max=1024, help="Height and width of the pictures.")] = 256,
    device: Annotated[
        Literal["cuda", "cpu"], typer.Option(help="cpu: a rehearsal, a few steps and calls each.")
    ] = "cuda",
    out: Annotated[
        Path | None, typer.Option(help="Where the results go. [default: benchmarks/results/; of a rehearsal, nowhere]")
    ] = None,
    docs: Annotated[bool, typer.Option(help="Render docs/gpu.md anew.")] = True,
) -> int:
    """Measure training, engines and the live stream on the GPU at hand."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    sections = parse_sections(only)
    if size % 32:
        raise InvalidInputError(f"--size {size} is not a multiple of 32, which the networks can halve: use 256")
    if out is not None:
        _check_place(out)
    elif docs:
        read_checks(RESULTS)  # what cannot be rendered in the end is said now
    checks = [check for check in all_checks() if check.section in sections]
    began = time.monotonic()
    facts = read_facts(device)
    frame = {"facts": facts, "width": width, "size": size, "budget_seconds": budget}
    so_far = partial(_so_far, frame, began, datetime.now(UTC).date().isoformat())
    console.print(f"{this_machine()}; {facts.why_not or facts.gpu or 'a rehearsal on the CPU'}")
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        setting = Setting(device=device, width=width, size=size, folder=Path(folder), brief=device == "cpu")
        with console.status("starting") as status:
            rows = conduct(
                checks,
                facts,
                lambda: WorkerProcess(setting),
                budget_seconds=budget,
                say=lambda line: status.update(line) if console.is_terminal else console.print(line),
                done=lambda rows: _tell(so_far(rows), rows[-1], out, console),
            )
    check = so_far(rows)
    console.print(summary(check))
    kept = _keep(check, out)
    console.print(f"results: {kept}" if kept else "nothing was measured on a GPU, and no results are kept")
    if docs and out is None:
        write_document(RESULTS, DOCUMENT)
        console.print(f"{DOCUMENT.relative_to(DOCUMENT.parents[1])} is rendered from all results")
    return INTERRUPTED if any(row.reason == "interrupted" for row in rows) else int(_anything_failed(rows))


def _so_far(frame: dict[str, Any], began: float, date: str, rows: Sequence[Row]) -> GpuCheck:
    seconds = round(time.monotonic() - began, 1)
    libraries = library_versions()
    return GpuCheck(**frame, date=date, machine=this_machine(), libraries=libraries, seconds=seconds, rows=tuple(rows))


def _tell(check: GpuCheck, newest: Row, out: Path | None, console: Console) -> None:
    """Say what was measured, and keep it: whatever ends this command, it is not lost."""
    console.print(in_one_line(newest))
    path = _place(check, out)
    if path is not None:
        try:
            write_check(partial_of(path), check)
        except (EdgeError, OSError) as error:
            console.print(f"cannot keep what was measured so far: {error}")


def in_one_line(row: Row) -> str:
    """What came of a check, for who watches it run."""
    figures = ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in row.figures.items()
        if not isinstance(value, list | dict)
    )
    return f"  {row.reason or figures} ({row.seconds:.1f} s)"


def _check_place(out: Path) -> None:
    """Refuse a place that results could not be written to, before they are measured.

    Raises:
        InvalidInputError: if it is one.
    """
    if out.exists() and not out.is_file():
        raise InvalidInputError(f"--out {out} is a folder, a pipe or a device: give a file, such as gpu.json")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial_of(out).touch()
        partial_of(out).unlink()
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"--out {out} cannot be written ({getattr(error, 'strerror', error)})") from error


def partial_of(path: Path) -> Path:
    """Where the rows lie that were measured so far, of a check that goes to ``path``."""
    return path.with_name(f"{path.name}.partial")


def _place(check: GpuCheck, out: Path | None) -> Path | None:
    """Where ``check`` is kept: ``out``, or with the results of GPUs; None if nothing was measured on one."""
    measured = any(row.status is Status.MEASURED for row in check.rows)
    return out or (RESULTS / check.file_name if measured and check.facts.gpu is not None else None)


def _keep(check: GpuCheck, out: Path | None) -> Path | None:
    """Write ``check``; where it lies, if anywhere."""
    path = _place(check, out)
    if path is not None:
        write_check(path, check)
        partial_of(path).unlink(missing_ok=True)
    return path


def _anything_failed(rows: list[Row]) -> bool:
    return any(row.status is Status.FAILED for row in rows)
