"""The real facades set at the paper's recipe, on a GPU, within a time budget: ``make gpu-train``.

``python -m benchmarks.gpu_train [--data facades] [--minutes 9] [--run runs/gpu-facades] [-- OPTIONS OF p2p-train]``

Isola et al. 2017, section 6.2: 200 passes over the 400 pairs at batch size 1, Adam with 2e-4 (which decays to zero over
the second half), L1 weight 100, jitter and mirroring. When the time is over the run is interrupted, which saves it;
started again, it goes on where it was, so several starts make one training. What is to be looked at or carried away is
gathered in one folder: the generator in half precision and in pieces (``benchmarks.generator_pieces``), sample sheets,
the plot, and the figures of the validation over time.
"""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from benchmarks.generator_pieces import split
from core.atomic import make_folder, write_text
from core.command_line import INTERRUPTED, run_command
from core.configuration import BUILT_IN_DATA, GENERATOR_FILE
from core.errors import InvalidInputError
from core.machine import library_versions, this_machine
from train.history import HISTORY_FILE, VALIDATION, History
from train.history_plot import plot_history
from train.run_folder import METRICS_FILE, PLOT_FILE
from train.run_record import CONFIG_FILE

COMMAND: Final = (sys.executable, "-m", "train.command")
RECIPE: Final = ("--width", "64", "--epochs", "200", "--batch", "1")
SAVING_SECONDS: Final = 60.0
"""What a run that was interrupted may take to save itself."""
PROGRESS: Final = "progress.json"


def train(arguments: list[str], *, seconds: float) -> bool:
    """Run ``p2p-train`` for at most so many seconds; whether it came to its end. Interrupted, it saves itself first.

    Raises:
        SystemExit: if it failed, with its code; it has said why itself.
    """
    process = subprocess.Popen([*COMMAND, *arguments])
    asked = False
    try:
        try:
            code = process.wait(max(0.0, seconds))
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as end:
            asked = True
            process.send_signal(signal.SIGTERM)  # which it takes even where it was started to ignore Ctrl-C
            code = process.wait(SAVING_SECONDS)
            if isinstance(end, KeyboardInterrupt):
                raise
    finally:
        process.kill()
        process.wait()
    if code not in (0, INTERRUPTED) or (code == INTERRUPTED and not asked):
        sys.exit(code)
    return code == 0


def validation_over_time(run: Path) -> list[dict[str, float]]:
    """Step, learning rate and figures of the validation, wherever there was one."""
    with (run / HISTORY_FILE).open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row[VALIDATION[0]]]
    kept = ("step", "learning_rate", "images_per_second", *VALIDATION)
    return [{name: float(row[name]) for name in kept if row.get(name)} for row in rows]


def gather(run: Path, folder: Path) -> dict[str, Any]:
    """Put into ``folder`` what is to be looked at or carried away of ``run``; what is written as ``PROGRESS``."""
    make_folder(folder)
    pieces = split(run / GENERATOR_FILE, folder)
    sheets = sorted((run / "samples").glob("*.png"))
    chosen = {sheets[i] for i in (0, len(sheets) // 2, -1)} if sheets else set()  # first, middle and last
    for left in folder.glob("step_*.png"):  # by an earlier start
        left.unlink()
    for path in (*sorted(chosen), run / CONFIG_FILE):
        shutil.copyfile(path, folder / path.name)
    rows = History(run / HISTORY_FILE).rows()
    plot_history(rows, folder / PLOT_FILE, steps=max(1, *(int(row["step"]) for row in rows)))
    progress = {
        "machine": this_machine().model_dump(mode="json"),
        "libraries": library_versions(),
        "finished": (run / METRICS_FILE).is_file(),
        "validation": validation_over_time(run),
        "pieces": len(pieces.pieces),
    }
    write_text(folder / PROGRESS, json.dumps(progress, indent=1) + "\n")
    return progress


def main(
    options: Annotated[
        list[str] | None, typer.Argument(help="Options of p2p-train, behind --, for the first start.")
    ] = None,
    data: Annotated[str, typer.Option(help="The facades set: its folder, or facades to download it.")] = "facades",
    minutes: Annotated[float, typer.Option(min=0.1, max=10_000, help="How long this start may take.")] = 9.0,
    run: Annotated[Path, typer.Option(help="The run's folder; one that is there is resumed.")] = Path(
        "runs/gpu-facades"
    ),
    out: Annotated[Path | None, typer.Option(help="Where pieces, samples and figures go. [default: RUN/carry]")] = None,
    device: Annotated[Literal["cuda", "cpu"], typer.Option(help="cpu: to try the script.")] = "cuda",
) -> None:
    """Train the real facades set at the paper's recipe, for as long as there is time."""
    began = time.monotonic()
    if options and (run / CONFIG_FILE).is_file():
        raise InvalidInputError(
            f"{run} goes on with its own options: leave out {' '.join(options)}, or give another --run"
        )
    if (run / METRICS_FILE).is_file():
        print(f"{run} is finished")
    elif (run / CONFIG_FILE).is_file():
        train(["--resume", str(run)], seconds=60 * minutes - (time.monotonic() - began))
    else:
        arguments = ["--data", data, *RECIPE, "--device", device, "--out", str(run)]
        # In the set of the paper B is the drawing; in the built-in one A is.
        arguments += [] if data == BUILT_IN_DATA else ["--direction", "BtoA"]
        arguments += ["--cuda-graph", "--precision", "bf16"] if device == "cuda" else []
        train([*arguments, *(options or ())], seconds=60 * minutes - (time.monotonic() - began))
    place = out or run / "carry"
    progress = gather(run, place)
    for row in progress["validation"]:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in row.items())
        print(figures)
    state = "finished" if progress["finished"] else "start again to go on"
    print(f"{state}; {progress['pieces']} pieces, samples and figures in {place}")
    print(f"whole again: python -m benchmarks.generator_pieces {place}")


if __name__ == "__main__":
    run_command(main, name="gpu-train")
