"""How soon the live command answers: ``p2p-run --help``, and the first translated frame.

``python -m benchmarks.startup [BUNDLE] [--runs 10]``

Whole processes are timed from outside, alternating, after one start of each that is not counted (it fills the bytecode
and page caches). Without a bundle, one of width 16 (initial weights) is exported to a temporary folder first.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import torch
import typer

from core.checkpoint import save_generator
from core.command_line import run_command
from core.configuration import GENERATOR_FILE, CheckpointInfo, DataConfig, GeneratorConfig
from core.machine import this_machine
from core.networks import UNetGenerator

RUN = [sys.executable, "-m", "runtime.command"]


def start(arguments: list[str]) -> tuple[float, str]:
    """Run ``p2p-run`` with ``arguments``; seconds until it ended, and what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    begin = time.monotonic()
    done = subprocess.run([*RUN, *arguments], capture_output=True, text=True, check=True, env=environment)
    return time.monotonic() - begin, done.stdout


def make_bundle(folder: Path) -> Path:
    """A bundle of width 16 in fp32 for the CPU engines."""
    torch.manual_seed(0)
    generator = UNetGenerator(GeneratorConfig(width=16))
    info = CheckpointInfo(generator=generator.config, data=DataConfig(), step=0, batch=2, name="startup")
    save_generator(folder / GENERATOR_FILE, generator, info)
    command = [sys.executable, "-m", "export.command", str(folder), "--out", str(folder / "bundle")]
    subprocess.run([*command, "--target", "onnx,openvino"], check=True, cwd=folder, capture_output=True)
    return folder / "bundle"


def main(
    bundle: Annotated[Path | None, typer.Argument(help="A bundle; default: one of width 16, made for this.")] = None,
    runs: Annotated[int, typer.Option(min=2, help="Starts of each kind.")] = 10,
) -> None:
    """Time the start of the live command."""
    with tempfile.TemporaryDirectory() as folder:
        place = str(bundle or make_bundle(Path(folder)))
        stream = [place, "--source", "demo", "--frames", "1", "--no-show", "--json", "--target"]
        helps: list[float] = []
        firsts: dict[str, list[float]] = {"onnx": [], "openvino": []}
        for i in range(runs + 1):
            seconds, _ = start(["--help"])
            helps += [seconds] * (i > 0)
            for target, measured in firsts.items():
                _, printed = start([*stream, target])
                measured += [json.loads(printed)["first_frame_seconds"]] * (i > 0)
    print(this_machine())
    for name, values in {"--help": helps, **{f"first frame, {name}": value for name, value in firsts.items()}}.items():
        print(
            f"{name:24} median {statistics.median(values):.2f} s, {min(values):.2f} to {max(values):.2f} s, {runs} runs"
        )


if __name__ == "__main__":
    run_command(main, name="startup")
