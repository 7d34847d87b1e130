"""What a user should know of the normalization in a graph that was made elsewhere."""

from pathlib import Path
from typing import Final

from onnx import ModelProto

from core.foreign_checkpoints.tensor_file import printable
from export.foreign_graph_file import opset_of
from export.foreign_training_mode import has_own_statistics

_NORMALIZES: Final = frozenset(
    {
        "BatchNormalization",
        "InstanceNormalization",
        "GroupNormalization",
        "LayerNormalization",
        "MeanVarianceNormalization",
        "ReduceMean",  # written out
    }
)


def notes_on(path: Path, model: ModelProto) -> tuple[str, ...]:
    """Lines on what the pictures of ``model``, which is in ``path``, can and cannot be compared with."""
    name = printable(path.name, longest=200)
    lines = [f"artifacts are compared with {name} as it is, and not with the network that it was exported from"]
    if (cause := _stored_statistics(model)) is not None:
        lines.append(
            f"{cause}, but pix2pix is tested with those of each picture (Isola et al. 2017, section 3.4): if pictures "
            "look dull, this is why; the checkpoint itself keeps what is needed (p2p-export NET.pth), and so does an "
            "export in training mode (torch.onnx.export(..., dynamo=False, training=torch.onnx.TrainingMode.TRAINING))"
        )
    return tuple(lines)


def _stored_statistics(model: ModelProto) -> str | None:
    """Where ``model`` has, or may have, statistics of its training in it; None if it has none."""
    opset, kinds = opset_of(model), {node.op_type for node in model.graph.node}
    if any(node.op_type == "BatchNormalization" and not has_own_statistics(node, opset) for node in model.graph.node):
        return "its batch norm uses stored statistics, those of training"
    if not kinds & _NORMALIZES:  # exporters fold it into the layers before it
        return "it has no normalization: if it had batch norm, stored statistics, those of training, are folded in"
    return None
