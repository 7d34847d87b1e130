"""What the fused deploy graph buys: against a naive export with NumPy around it, and against eager PyTorch.

``python -m benchmarks.fused_graph [--widths 16,64] [--runs 150]``

One run times everything in blocks of rotating order (``runtime.benchmark``), five warm-up calls per block, and
keeps the raw milliseconds with machine and versions in ``benchmarks/results/``. Compare the ratios; the absolute
figures move with whatever else the machine does.

*Naive* is what people do first: export the generator alone (float NCHW in [-1, 1] in and out) and convert each frame
with NumPy before and after. Weights are initial ones, which are as fast as trained ones.
"""

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console

from core.command_line import run_command
from core.complexity import generator_gflop
from core.configuration import GeneratorConfig
from core.export_record import Normalization
from core.facades import facade_pair
from core.formats import InputShape
from core.frames import Size
from core.machine import library_versions, this_machine, usable_cores
from core.networks import UNetGenerator
from core.precision import Precision
from export.baseline import EagerEngine
from export.deploy_graph import DeployGraph
from export.graph_file import write_graph
from export.intermediate_representation import write_ir
from export.naive import open_naive, write_naive_graph
from runtime.benchmark import Candidate, Measured, matrix_rate_gflops, measure
from runtime.engines import Engine, open_engine

SIZE = Size(256, 256)
BLOCKS = 10
"""More than elsewhere: with three, one slow moment of a shared machine turned a ratio of 1.1 into 0.8."""
RESULTS = Path(__file__).parent / "results"


def candidates(width: int, folder: Path) -> list[Candidate]:
    """Everything that is compared at ``width``; graphs are written to ``folder``."""
    torch.manual_seed(0)
    generator = UNetGenerator(GeneratorConfig(width=width))
    graph = DeployGraph(generator, Normalization.RUNNING, Precision.FP32)
    fused, fused_ir, naive = folder / "fused.onnx", folder / "fused.xml", folder / "naive.onnx"
    write_graph(fused, graph, InputShape(size=SIZE))
    frames = facade_pair(0).labels[np.newaxis]
    write_ir(fused, fused_ir, Precision.FP32)
    write_naive_graph(naive, generator, Normalization.RUNNING, SIZE)

    def open_naively(target: str) -> Engine:
        return open_naive(target, naive, generator.config, SIZE, threads=usable_cores())

    return [
        Candidate(name="fused, ONNX Runtime", open=lambda: open_engine("onnx", fused), frames=frames),
        Candidate(name="naive + NumPy, ONNX Runtime", open=lambda: open_naively("onnx"), frames=frames),
        Candidate(name="fused, OpenVINO", open=lambda: open_engine("openvino", fused_ir), frames=frames),
        Candidate(name="naive + NumPy, OpenVINO", open=lambda: open_naively("openvino"), frames=frames),
        Candidate(
            name="eager PyTorch + NumPy",
            open=lambda: EagerEngine(generator, SIZE, batch=2, threads=usable_cores()),
            frames=frames,
        ),
    ]


def p50(measured: dict[str, Measured], name: str) -> float:
    """Median milliseconds of a candidate."""
    value = measured[name].latency.p50
    assert value is not None
    return value


def run_width(width: int, runs: int, console: Console) -> dict[str, Any]:
    """Measure one width, print its lines, and return the record."""
    with tempfile.TemporaryDirectory() as folder, console.status(f"width {width}"):
        measured = measure(candidates(width, Path(folder)), runs=runs, blocks=BLOCKS)
    ratios = {
        "naive / fused, ONNX Runtime": ("naive + NumPy, ONNX Runtime", "fused, ONNX Runtime"),
        "naive / fused, OpenVINO": ("naive + NumPy, OpenVINO", "fused, OpenVINO"),
        "eager / fused, ONNX Runtime": ("eager PyTorch + NumPy", "fused, ONNX Runtime"),
        "eager / fused, OpenVINO": ("eager PyTorch + NumPy", "fused, OpenVINO"),
    }
    values = {name: round(p50(measured, a) / p50(measured, b), 3) for name, (a, b) in ratios.items()}
    ceiling = matrix_rate_gflops()
    work = generator_gflop(GeneratorConfig(width=width), SIZE)
    for name, one in measured.items():
        latency = one.latency
        figures = " ".join(
            f"{x:8.2f}" if x is not None else "       -" for x in (latency.p50, latency.p90, latency.p99)
        )
        console.print(f"width {width:3}  {name:30} p50 p90 p99 {figures} ms", highlight=False)
    for name, value in values.items():
        console.print(f"width {width:3}  {name:30} {value:.2f} x", highlight=False)
    console.print(
        f"width {width:3}  ceiling: {work:.2f} GFLOP at {ceiling:.0f} GFLOP/s: {1000 * work / ceiling:.1f} ms"
    )
    return {
        "width": width,
        "gflop": work,
        "ceiling_gflops": ceiling,
        "ratios_p50": values,
        "raw_ms": {name: [round(value, 4) for value in one.raw_ms] for name, one in measured.items()},
    }


def main(
    widths: Annotated[str, typer.Option(help="Widths of the generator, comma-separated.")] = "16,64",
    runs: Annotated[int, typer.Option(min=3, help="Timed calls per candidate.")] = 150,
) -> None:
    """Compare the fused deploy graph with naive export and eager PyTorch."""
    console = Console(soft_wrap=True)
    console.print(str(this_machine()), highlight=False)
    record = {
        "benchmark": "fused_graph",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": this_machine().model_dump(mode="json"),
        "libraries": library_versions(),
        "runs": runs,
        "widths": [run_width(int(width), runs, console) for width in widths.split(",")],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{record['date']}-fused_graph-{this_machine().fingerprint[:6]}.json"
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")
    console.print(f"raw figures: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    run_command(main, name="fused_graph")
