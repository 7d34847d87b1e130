"""The deploy graph as an ONNX file: what all other targets are converted from."""

from pathlib import Path
from typing import Final

import torch

from core.frames import Size
from export.deploy_graph import DeployGraph
from export.quiet import quiet

OPSET: Final = 20
INPUT_NAME: Final = "frames"
OUTPUT_NAME: Final = "translation"


def write_graph(path: Path, graph: DeployGraph, size: Size) -> None:
    """Write ``graph`` for one frame of ``size`` at a time to ``path`` as one self-contained ONNX file."""
    graph.generator.check_size(size)
    example = torch.zeros((1, *size, 3), dtype=torch.uint8)
    with quiet():
        program = torch.onnx.export(
            graph,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            verbose=False,
        )
        assert program is not None
        program.save(str(path), external_data=False)
