"""The deploy graph as an ONNX file: what all other targets are converted from."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from core.formats import InputShape
from export.deploy_graph import DeployGraph
from export.quiet import quiet

if TYPE_CHECKING:
    import onnx_ir

OPSET: Final = 20
INPUT_NAME: Final = "frames"
OUTPUT_NAME: Final = "translation"
MAX_SIDE: Final = 8192
"""Of the frames that a dynamic graph takes."""


def write_graph(path: Path, graph: DeployGraph, shape: InputShape) -> None:
    """Write ``graph`` for frames of ``shape`` to ``path`` as one self-contained ONNX file.

    Its convolutions are named after the modules they come from (``encoder.3.0``). A dynamic graph takes any batch, and
    any height and width that are multiples of 2**levels.
    """
    graph.generator.check_size(shape.size)
    sides, dynamic_shapes = _dimensions(graph, shape) if shape.dynamic else (shape.size, None)
    example = torch.zeros((2 if shape.dynamic else shape.batch, *sides, 3), dtype=torch.uint8)
    with quiet():
        program = torch.onnx.export(
            graph,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes=dynamic_shapes,
            verbose=False,
        )
        assert program is not None
        _name_layers(program.model)
        _forget_origins(program.model)
        program.save(str(path), external_data=False)


def _dimensions(graph: DeployGraph, shape: InputShape) -> tuple[tuple[int, int], tuple[dict[int, Any]]]:
    """Sides to trace a dynamic graph with, and what may change of ``[N, H, W, 3]``.

    Tracing takes a side of one step for a constant, and two equal sides for one.
    """
    step = 2**graph.generator.config.levels
    height, width = (
        step * torch.export.Dim(name, min=1, max=MAX_SIDE // step) for name in ("height_steps", "width_steps")
    )
    return (2 * step, 3 * step), ({0: torch.export.Dim("batch", min=1, max=1024), 1: height, 2: width},)


def _name_layers(model: "onnx_ir.Model") -> None:
    """Name convolutions after their weights, which carry the names of the modules: people read them."""
    for node in model.graph:
        if node.op_type in ("Conv", "ConvTranspose") and (weight := node.inputs[1]) is not None and weight.name:
            node.name = weight.name.removeprefix("generator.").removesuffix(".weight")


def _forget_origins(model: "onnx_ir.Model") -> None:
    """Leave out what PyTorch notes of every node: lines and paths of the source it was traced from, for debugging."""
    for node in model.graph:
        node.metadata_props.clear()
        node.doc_string = None
    for value in model.graph.initializers.values():
        value.metadata_props.clear()
