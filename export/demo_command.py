"""``p2p-demo``: the whole way in a few minutes, on what is built in.

It types the commands that a user would type, each in a process of its own, and shows them; then it puts what came out
on one page.
"""

import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from core.command_line import run_command

MODULES: Final = {"p2p-train": "train.command", "p2p-export": "export.command", "p2p-run": "runtime.command"}
"""The commands, as modules: they are run by this very Python, wherever its scripts lie."""

RUN_CONTENTS: Final = frozenset(
    {"config.json", "generator.safetensors", "discriminator.safetensors", "metrics.json", "samples", "tensorboard"}
)
"""What ``p2p-train`` leaves in a run folder."""

TUNING: Final = ("--decoder", "resize", "--receptive-field", "34", "--lr", "0.001", "--no-dropout")
"""For a run of minutes: a higher rate than the paper's, which is meant for hours, a smaller discriminator, and a
decoder that leaves no grid behind when training stops early."""


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the run, the bundle, the video and the report.")] = Path("demo"),
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 600,
    width: Annotated[int, typer.Option(min=1, help="Channels of the generator's first layer.")] = 16,
    frames: Annotated[int, typer.Option(min=1, help="Frames of the demo stream to translate.")] = 300,
) -> None:
    """Train a small generator on the built-in facades, export it to every target, translate a stream, and report."""
    from core.atomic import make_folder
    from core.errors import GateMissedError
    from export.requirements import require_demo_libraries

    require_demo_libraries()
    from export.demo_report import write_report

    begin = time.monotonic()
    make_folder(out)
    run, bundle, video = _fresh_folder(out / "run"), out / "bundle", out / "output.mp4"
    training = ["--width", str(width), "--steps", str(steps), "--out", str(run)]
    streaming = ["--source", "demo", "--frames", str(frames), "--side-by-side", "--no-show", "--output", str(video)]
    commands = [
        ["p2p-train", *training, *TUNING],
        ["p2p-export", str(run), "--all", "--out", str(bundle)],
    ]
    for command in commands:
        type_command(command)
    commands.append(["p2p-run", str(bundle), *streaming, *_choice(bundle), "--json"])
    summary = json.loads(type_command(commands[-1], capture=True))
    report = out / "report.html"
    manifest = write_report(report, run=run, bundle=bundle, video=video, stream=summary, commands=commands)
    _print_table(bundle, manifest, summary)
    print(f"\n{video}: the stream, input beside output\n{report}: the whole story on one page")
    print(f"done in {time.monotonic() - begin:.0f} s; next: p2p-run {bundle} --camera 0")
    if manifest.recommended is None:
        raise GateMissedError(f"no artifact in {bundle} is faithful to the trained generator: see {report}")


def _choice(bundle: Path) -> list[str]:
    """Options that name an artifact, where none is faithful and ``p2p-run`` would therefore take none by itself."""
    from core.manifest import read_manifest
    from export.demo_report import shown_artifact

    manifest = read_manifest(bundle)
    shown = shown_artifact(manifest)
    return [] if manifest.recommended else ["--target", shown.target, "--precision", shown.precision]


def _fresh_folder(folder: Path) -> Path:
    """``folder`` without what an earlier demo left there.

    Raises:
        InvalidInputError: if it holds anything else, which is not ours to delete.
    """
    from core.errors import InvalidInputError

    if folder.exists():
        others = sorted(path.name for path in folder.iterdir() if path.name not in RUN_CONTENTS)
        if others:
            raise InvalidInputError(f"{folder} holds {others[0]}, which is no part of a run: give --out another folder")
        shutil.rmtree(folder)
    return folder


def type_command(command: list[str], *, capture: bool = False, folder: Path | None = None) -> str:
    """Show and run ``command`` in ``folder`` (default: here); its standard output if it is captured.

    Raises:
        typer.Exit: with its exit code, if it failed; what is wrong it has said itself. Exit code 1 of an export (an
            artifact missed its gate) is a result to be reported, not a failure.
    """
    print(f"\n$ {shlex.join(command)}", flush=True)
    line = [sys.executable, "-m", MODULES[command[0]], *command[1:]]
    with subprocess.Popen(line, stdout=subprocess.PIPE if capture else None, text=True, cwd=folder) as child:
        try:
            printed, _ = child.communicate()
        except KeyboardInterrupt:
            child.terminate()  # it cleans up after itself, if it is let
            child.wait()
            raise
    if child.returncode not in (0, 1) or (child.returncode == 1 and command[0] != "p2p-export"):
        raise typer.Exit(child.returncode)
    return printed or ""


def _print_table(bundle: Path, manifest: Any, summary: dict[str, Any]) -> None:
    from rich.console import Console

    from export.tables import artifact_row, artifact_table

    rows = [artifact_row(artifact, manifest) for artifact in manifest.artifacts]
    console = Console(markup=False, highlight=False)
    console.print(artifact_table(rows, title=f"\n{bundle} on {manifest.machine}"))
    latency = summary["latency_ms"]
    console.print(
        f"stream: {summary['frames']} frames at {summary['fps']:.1f} fps with {summary['artifact']} on "
        f"{summary['device']}; translation p50 {latency['infer']['p50']:.1f} ms",
        soft_wrap=True,
    )


def main() -> None:
    """Entry point."""
    run_command(demo, name="p2p-demo")


if __name__ == "__main__":
    main()
