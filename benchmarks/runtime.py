"""The live stream against what it promises: how much the pipeline adds to the engine, start, memory.

``python -m benchmarks.runtime [BUNDLE] [--target onnx] [--frames 400] [--rounds 6]``

Every round times the engine alone (in this process, with the stream's settings) and then ``p2p-run`` as a process of
its own, on the demo stream and on a clip of the generator's size, in rotating order; rates and latencies are compared
within a round. Without a bundle, one of width 16 (initial weights, as fast as trained ones) is exported to a temporary
folder first. Prints a table of targets, and keeps every round's figures in ``benchmarks/results/``.
"""

import json
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import cv2
import typer
from rich.console import Console

from benchmarks.startup import make_bundle, start
from core.command_line import run_command
from core.frames import Size, fit
from core.machine import library_versions, this_machine, usable_cores
from core.precision import Precision
from runtime.benchmark import Candidate, measure, street_frames
from runtime.bundle import open_bundle
from runtime.engines import open_engine
from runtime.sources.demo import DemoSource
from runtime.stream import FILE_DEPTH

RESULTS: Final = Path(__file__).parent / "results"
SOURCES: Final = ("demo", "clip")
KEPT: Final = ("frames", "fps", "latency_ms", "first_frame_seconds", "peak_memory_mib", "cpu_cores")
LATENCY_DEPTH: Final = 1
THROUGHPUT_DEPTH: Final = FILE_DEPTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One promise, and what was measured of it in each round."""

    name: str
    unit: str
    bound: float
    at_most: bool
    values: list[float]

    @property
    def median(self) -> float:
        """Over the rounds."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool:
        """Whether the median keeps the promise."""
        return self.median <= self.bound if self.at_most else self.median >= self.bound

    def __str__(self) -> str:
        sign = "<=" if self.at_most else ">="
        spread = f"{min(self.values):.2f} to {max(self.values):.2f}"
        verdict = "met" if self.met else "MISSED"
        return f"{self.name:52} {self.median:8.2f} {self.unit:4} ({spread}) {sign} {self.bound:g}: {verdict}"


def write_clip(path: Path, size: Size, frames: int) -> Path:
    """Label maps of the built-in street as a video of ``size``."""
    street = DemoSource(size)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (size.width, size.height))
    for _ in range(frames):
        frame = street.read()
        assert frame is not None, "the street never ends"
        writer.write(fit(frame, size))
    writer.release()
    return path


def stream(bundle: str, pinned: list[str], source: str, *, frames: int, depth: int) -> dict[str, Any]:
    """The summary of one ``p2p-run`` on ``source``, its artifact ``pinned``."""
    arguments = [bundle, "--source", source, "--frames", str(frames), "--no-show", "--json", *pinned]
    _, printed = start([*arguments, "--depth", str(depth)])
    summary: dict[str, Any] = json.loads(printed)
    return summary


def engine_alone(candidate: Candidate, runs: int) -> dict[str, float]:
    """Median milliseconds of a call, and calls a second as they went by."""
    measured = measure([candidate], runs=runs, blocks=1)[candidate.name]
    p50 = measured.latency.p50
    assert p50 is not None, "there are runs enough for a median"
    return {"p50": p50, "fps": measured.calls_per_second}


def one_round(
    bundle: str, pinned: list[str], sources: dict[str, str], candidates: dict[int, Candidate], *, frames: int, turn: int
) -> dict[str, Any]:
    """Everything once, the order rotated by ``turn``: engine and streams at both depths, and ``--help``."""
    tasks: dict[str, Callable[[], Any]] = {"help": lambda: start(["--help"])[0]}
    for depth, candidate in candidates.items():
        tasks[f"engine {depth}"] = partial(engine_alone, candidate, frames)
        for name, source in sources.items():
            tasks[f"{name} {depth}"] = partial(stream, bundle, pinned, source, frames=frames, depth=depth)
    order = list(tasks)[turn % len(tasks) :] + list(tasks)[: turn % len(tasks)]
    return {name: tasks[name]() for name in order}


def targets(rounds: list[dict[str, Any]]) -> list[Target]:
    """What is promised for every source, and what the rounds showed."""
    found = []
    deep, soon = THROUGHPUT_DEPTH, LATENCY_DEPTH
    for name in SOURCES:
        ratios = [100 * one[f"{name} {deep}"]["fps"] / one[f"engine {deep}"]["fps"] for one in rounds]
        added = [
            one[f"{name} {soon}"]["latency_ms"]["end_to_end"]["p50"] - one[f"engine {soon}"]["p50"] for one in rounds
        ]
        found += [
            Target(
                name=f"{name}: rate of the engine's own, depth {deep}", unit="%", bound=95, at_most=False, values=ratios
            ),
            Target(name=f"{name}: end to end p50 over the engine's", unit="ms", bound=4, at_most=True, values=added),
        ]
    runs = [one[f"{name} {depth}"] for one in rounds for name in SOURCES for depth in (soon, deep)]
    first = [run["first_frame_seconds"] for run in runs]
    peak = [run["peak_memory_mib"] for run in runs]
    helps = [one["help"] for one in rounds]
    return [
        *found,
        Target(name="first frame, from the start of the process", unit="s", bound=1, at_most=True, values=first),
        Target(name="peak memory", unit="MiB", bound=250, at_most=True, values=peak),
        Target(name="p2p-run --help", unit="s", bound=0.3, at_most=True, values=helps),
    ]


def main(
    bundle: Annotated[Path | None, typer.Argument(help="A bundle; default: one of width 16, made for this.")] = None,
    target: Annotated[str, typer.Option(help="Engine: onnx or openvino.")] = "onnx",
    precision: Annotated[str, typer.Option(help="fp32 or int8, as far as the bundle has it.")] = "fp32",
    frames: Annotated[int, typer.Option(min=20, help="Frames of every stream, and calls of the engine.")] = 400,
    rounds: Annotated[int, typer.Option(min=3, help="How often everything is done.")] = 6,
) -> None:
    """Measure the live stream against its targets."""
    console = Console(soft_wrap=True, highlight=False)
    with tempfile.TemporaryDirectory() as temporary:
        opened = open_bundle(str(bundle or make_bundle(Path(temporary))))
        artifact = opened.choose(target=target, precision=Precision(precision))
        candidates = {
            depth: Candidate(
                name=f"depth {depth}",
                open=partial(open_engine, target, opened.folder / artifact.name, depth=depth, spinning=False),
                frames=street_frames(artifact.size),
                depth=depth,
            )
            for depth in (LATENCY_DEPTH, THROUGHPUT_DEPTH)
        }
        sources = {"demo": "demo", "clip": str(write_clip(Path(temporary) / "clip.mp4", artifact.size, frames))}
        pinned = ["--target", target, "--precision", precision]
        done: list[dict[str, Any]] = []
        for turn in range(rounds + 1):
            with console.status(f"round {turn} of {rounds}"):
                figures = one_round(str(opened.folder), pinned, sources, candidates, frames=frames, turn=turn)
            done += [figures] * (turn > 0)  # the first fills the bytecode and page caches
    console.print(f"{this_machine()}, {usable_cores()} threads; {opened.title}: {artifact.name}, {artifact.size}")
    console.print(f"median of {rounds} rounds (range), {frames} frames each")
    for one in targets(done):
        console.print(str(one))
    settings = {"target": target, "precision": precision, "size": str(artifact.size), "frames": frames}
    settings["width"] = None if opened.manifest.generator is None else opened.manifest.generator.width
    console.print(f"raw figures: {keep(settings, done)} in benchmarks/results/")


def keep(settings: dict[str, Any], rounds: list[dict[str, Any]]) -> str:
    """Write every round's figures into ``benchmarks/results/``; the file's name."""
    record = {
        "benchmark": "runtime",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": this_machine().model_dump(mode="json"),
        "libraries": library_versions(),
        **settings,
        "rounds": [{name: _figures(value) for name, value in one.items()} for one in rounds],
    }
    kind = f"{settings['target']}-{settings['precision']}-width{settings['width']}"
    path = RESULTS / f"{record['date']}-runtime-{kind}-{this_machine().fingerprint[:6]}.json"
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")
    return path.name


def _figures(value: Any) -> Any:
    """Of a stream's summary what is a figure; the rest names folders of this machine."""
    return {name: value[name] for name in KEPT} if isinstance(value, dict) and "latency_ms" in value else value


if __name__ == "__main__":
    run_command(main, name="runtime")
