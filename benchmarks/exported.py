"""A bundle's files in the tools of the engines' makers, beside this project's own figures for them.

``python -m benchmarks.exported BUNDLE [--precision fp32,int8] [--runs 40] [--rounds 6] [--threads N]``

OpenVINO's ``benchmark_app`` opens the .xml files, and ``benchmarks/plain_onnx.py``, a script that imports nothing but
NumPy and ONNX Runtime, the .onnx files: they know neither the manifest nor the engines here, so what they say of an
artifact is independent. Compared are the types and shapes that they see (with the manifest), and the median latency
(with ``runtime.benchmark``).

Every measurement is a process of its own, with the same number of threads and warm-up calls that are not counted. Tool
and engine follow one another and change places from round to round, the artifacts rotate, and a ratio is that of two
neighbours: what else the machine does weighs on both. Raw figures go to ``benchmarks/results/``.

``benchmark_app`` times the inference alone; the engine's figure has Python's call and the copy of the picture in it.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer

from core.atomic import write_text
from core.command_line import run_command
from core.errors import GateMissedError, InvalidInputError, MissingDependencyError, UnavailableError
from core.machine import library_versions, this_machine, usable_cores
from core.manifest import Artifact
from core.precision import Precision
from runtime.benchmark import WARM_UP, Candidate, measure
from runtime.bundle import open_bundle
from runtime.engines import open_engine

RESULTS: Final = Path(__file__).parent / "results"
PLAIN_SCRIPT: Final = Path(__file__).with_name("plain_onnx.py")
TOOLS: Final = {"onnx": "plain ONNX Runtime", "openvino": "benchmark_app"}
"""What opens the artifacts of a target."""
TYPES: Final = {"u8": "uint8"}
"""This project's words for OpenVINO's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a tool found in a file.

    Attributes:
        ports: the inputs, then the outputs, each as ``uint8 [1, 256, 256, 3]``.
        p50_ms: median milliseconds a call.
        raw: what the tool reported of the time: every call's milliseconds, or its own summary.
    """

    ports: tuple[str, ...]
    p50_ms: float
    raw: Any = field(repr=False)


@dataclass(slots=True, kw_only=True)
class Row:
    """An artifact, and what was measured of it, a value for every round."""

    artifact: Artifact
    tool: list[Seen] = field(default_factory=list)
    own_ms: list[list[float]] = field(default_factory=list)

    @property
    def expected(self) -> tuple[str, str]:
        """The input and output that the manifest promises."""
        size = self.artifact.size
        shape = f"uint8 [{self.artifact.batch}, {size.height}, {size.width}, 3]"
        return shape, shape

    @property
    def agrees(self) -> bool:
        """Whether the tool saw what the manifest promises, every time."""
        return all(seen.ports == self.expected for seen in self.tool)

    @property
    def ratios(self) -> list[float]:
        """The tool's median over the engine's, round by round."""
        pairs = zip(self.tool, self.own_ms, strict=True)
        return [seen.p50_ms / statistics.median(own) for seen, own in pairs]

    def line(self) -> str:
        """Its line of the table."""
        ratios = self.ratios
        others = [seen.ports for seen in self.tool if seen.ports != self.expected]
        cells = (
            self.artifact.name,
            TOOLS[self.artifact.target],
            self.expected[0] + (f", **no**: {' and '.join(others[0])}" if others else ", yes"),
            f"{statistics.median(seen.p50_ms for seen in self.tool):.2f}",
            f"{statistics.median(statistics.median(own) for own in self.own_ms):.2f}",
            f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})",
        )
        return f"| {' | '.join(cells)} |"

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "artifact": self.artifact.name,
            "sha256": [file.sha256 for file in self.artifact.files],
            "tool": TOOLS[self.artifact.target],
            "shapes_agree": self.agrees,
            "ratios": [round(ratio, 4) for ratio in self.ratios],
            "tool_rounds": [asdict(seen) for seen in self.tool],
            "own_raw_ms": self.own_ms,
        }


HEADER: Final = (
    "| file | tool | frames in and out, as the manifest says | tool, p50 ms | engine, p50 ms | ratio (range) |\n"
    "|---|---|---|---|---|---|"
)


def see_onnx(path: Path, *, threads: int, runs: int) -> Seen:
    """``plain_onnx.py`` on the file at ``path``, isolated from this project."""
    command = [sys.executable, "-I", str(PLAIN_SCRIPT), str(path), "--threads", str(threads), "--runs", str(runs)]
    report = json.loads(_output([*command, "--warm-up", str(WARM_UP + 1)]))
    ports = [f"{port['type']} {port['shape']}" for port in (*report["inputs"], *report["outputs"])]
    return Seen(ports=tuple(ports), p50_ms=statistics.median(report["raw_ms"]), raw=report["raw_ms"])


def see_openvino(path: Path, *, threads: int, runs: int) -> Seen:
    """``benchmark_app`` on the file at ``path``, with the settings of ``runtime.engines``.

    Raises:
        MissingDependencyError: if OpenVINO is not installed.
    """
    program = Path(sys.executable).with_name("benchmark_app")
    if not program.exists():
        raise MissingDependencyError("openvino", "openvino", "benchmark_app")
    with tempfile.TemporaryDirectory() as folder:
        # Threads as a property: as an option they exclude the hint.
        settings = {"CPU": {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}}
        write_text(Path(folder) / "settings.json", json.dumps(settings))
        command = [str(program), "-m", str(path), "-d", "CPU", "-hint", "latency", "-api", "sync", "-niter", str(runs)]
        command += ["-load_config", f"{folder}/settings.json"]
        command += ["-report_type", "no_counters", "-report_folder", folder, "-json_stats"]
        printed = _output(command)
        report = json.loads((Path(folder) / "benchmark_report.json").read_text(encoding="utf-8"))
    results = report["execution_results"]
    return Seen(ports=openvino_ports(printed), p50_ms=float(results["latency (ms)"]), raw=results)


def openvino_ports(printed: str) -> tuple[str, ...]:
    """Inputs and outputs of the file, from what ``benchmark_app`` prints of it before it configures anything.

    Raises:
        UnavailableError: if it prints something else.
    """
    _, _, rest = printed.partition("Original model I/O parameters:")
    original, _, _ = rest.partition("[Step")
    ports = re.findall(r"\(node: [^)]*\) : (\w+) / \[[^]]*\] / \[([^]]*)\]", original)
    if not ports:
        raise UnavailableError(
            "this benchmark_app does not print a model's inputs and outputs: compare with OpenVINO 2026.4"
        )
    return tuple(f"{TYPES.get(kind, kind)} [{', '.join(shape.split(','))}]" for kind, shape in ports)


SEE: Final = {"onnx": see_onnx, "openvino": see_openvino}


def own_ms(path: Path, artifact: Artifact, threads: int, runs: int) -> list[float]:
    """Raw milliseconds of ``runs`` calls of this project's engine, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_time_engine, path, artifact, threads, runs).result()


def _time_engine(path: Path, artifact: Artifact, threads: int, runs: int) -> list[float]:
    shape = (artifact.batch, *artifact.size, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    opened = partial(open_engine, artifact.target, path, threads=threads)
    measured = measure([Candidate(name="own", open=opened, frames=frames)], runs=runs, blocks=1)
    return [round(value, 4) for value in measured["own"].raw_ms]


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise UnavailableError(f"{Path(command[0]).name} ended with code {done.returncode}: {last}")
    return done.stdout


def compare(rows: list[Row], folder: Path, *, threads: int, runs: int, rounds: int) -> Iterator[str]:
    """Measure every row in every round; yields the name of what is measured next."""
    for number in range(rounds):
        start = number % len(rows)
        for row in (*rows[start:], *rows[:start]):
            path = folder / row.artifact.name
            yield f"round {number + 1} of {rounds}: {row.artifact.name}"
            for own in (number % 2 == 0, number % 2 == 1):
                if own:
                    row.own_ms.append(own_ms(path, row.artifact, threads, runs))
                else:
                    row.tool.append(SEE[row.artifact.target](path, threads=threads, runs=runs))


def chosen(artifacts: tuple[Artifact, ...], precisions: str) -> list[Row]:
    """A row for every artifact that one of the tools can open as it is.

    Raises:
        InvalidInputError: if there is none, or a precision is unknown.
    """
    wanted = [name.strip() for name in precisions.split(",")]
    if unknown := [name for name in wanted if name not in set(Precision)]:
        raise InvalidInputError(f"--precision {unknown[0]!r} is unknown: give {', '.join(Precision)}")
    rows = [
        Row(artifact=one) for one in artifacts if one.target in TOOLS and one.precision in wanted and not one.dynamic
    ]
    if not rows:
        raise InvalidInputError(
            f"the bundle has no {precisions} for ONNX Runtime or OpenVINO with frames of a fixed size"
        )
    return rows


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    precision: Annotated[str, typer.Option(help="Of the artifacts, comma-separated.")] = ",".join(Precision),
    runs: Annotated[int, typer.Option(min=2, help="Timed calls in every process.")] = 40,
    rounds: Annotated[int, typer.Option(min=1, help="Processes of each kind for every artifact.")] = 6,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all.")] = None,
) -> None:
    """Compare a bundle's files, as other tools run them, with what this project says of them."""
    opened = open_bundle(bundle)
    rows = chosen(opened.manifest.artifacts, precision)
    threads = threads or usable_cores()
    print(this_machine())
    before = os.getloadavg()
    for doing in compare(rows, opened.folder, threads=threads, runs=runs, rounds=rounds):
        print(doing, file=sys.stderr)
    print("\n".join([HEADER, *(row.line() for row in rows)]))
    record = {
        "benchmark": "exported",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": this_machine().model_dump(mode="json"),
        "libraries": library_versions(),
        "load_before": before,
        "load_after": os.getloadavg(),
        "source": opened.manifest.source.model_dump(mode="json"),
        "threads": threads,
        "runs": runs,
        "warm_up": WARM_UP + 1,
        "rounds": rounds,
        "rows": [row.record() for row in rows],
    }
    name = f"{record['date']}-exported-{opened.manifest.source.name}-{this_machine().fingerprint[:6]}.json"
    write_text(RESULTS / name, json.dumps(record) + "\n")
    print(f"raw figures: benchmarks/results/{name}")
    if not all(row.agrees for row in rows):
        raise GateMissedError("a file is not what the manifest says: export it again")


if __name__ == "__main__":
    run_command(main, name="exported")
