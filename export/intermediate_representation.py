"""OpenVINO IR: the ONNX graph converted, and its INT8 version quantized by NNCF."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import openvino

from core.errors import InvalidInputError
from core.frames import Frame
from core.precision import Precision
from export.quiet import quiet

LAYERS: Final = ("Convolution", "ConvolutionBackpropData")
NOT_COMPUTED: Final = ("Parameter", "Constant", "Result")


def write_ir(source: Path, target: Path, precision: Precision) -> None:
    """Convert the fp32 ONNX graph in ``source`` to ``target`` (.xml, weights in .bin beside it).

    FP16 is a storage format here: what the weights are executed in is the engine's choice, and on a CPU that is fp32.
    """
    assert precision is not Precision.INT8
    model = openvino.convert_model(source)
    _save(model, target, compress=precision is Precision.FP16)


def write_quantized_ir(source: Path, target: Path, frames: Sequence[Frame], *, saturates: bool) -> None:
    """Quantize the fp32 ONNX graph in ``source`` to INT8, ranges measured on ``frames``, and write it to ``target``.

    Weights are symmetric and activations asymmetric (LeakyReLU is); where sums of products ``saturates``
    (``Machine.saturates_at_16_bits``) weights keep to 7 bits. The first and the last layer stay in float, and so does
    what is not between them.
    """
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

    model = openvino.convert_model(source)
    overflow_fix = OverflowFix.ENABLE if saturates else OverflowFix.DISABLE
    with quiet():
        quantized = nncf.quantize(
            model,
            nncf.Dataset([frame[np.newaxis] for frame in frames]),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(frames),
            fast_bias_correction=True,
            ignored_scope=nncf.IgnoredScope(names=[*outer_layers(model), *around_the_generator(model)]),
            advanced_parameters=AdvancedQuantizationParameters(overflow_fix=overflow_fix),
        )
    _save(quantized, target, compress=False)


def _save(model: openvino.Model, target: Path, *, compress: bool) -> None:
    try:
        openvino.save_model(model, target, compress_to_fp16=compress)
    except RuntimeError as error:  # OpenVINO's answer to a full disk
        reason = str(error).strip().splitlines()[-1]
        raise InvalidInputError(f"cannot write {target.name} ({reason}): is there space left?") from error


def outer_layers(model: openvino.Model) -> list[str]:
    """Names of the first convolution and of the last layer of ``model``."""
    layers = [op for op in model.get_ordered_ops() if op.get_type_name() in LAYERS]
    return [layers[0].get_friendly_name(), layers[-1].get_friendly_name()]


def around_the_generator(model: openvino.Model) -> list[str]:
    """Names of the operations of ``model`` that are not between its first convolution and its last layer.

    They turn frames into the generator's images and back; in INT8 they would spoil every colour and gain nothing.
    """
    operations = model.get_ordered_ops()
    first, last = outer_layers(model)
    after_first = _reach(operations, first, lambda op: [value.get_node() for value in op.input_values()])
    before_last = _reach(reversed(operations), last, _readers)
    return [
        op.get_friendly_name()
        for op in operations
        if op.get_type_name() not in NOT_COMPUTED and op.get_friendly_name() not in after_first & before_last
    ]


def _reach(
    operations: Iterable[openvino.Node], start: str, neighbours: Callable[[openvino.Node], list[openvino.Node]]
) -> set[str]:
    """Names of ``start`` and of the operations after it, in the given order, that hang on it by ``neighbours``."""
    reached: set[str] = set()
    for op in operations:
        name = op.get_friendly_name()
        if name == start or any(other.get_friendly_name() in reached for other in neighbours(op)):
            reached.add(name)
    return reached


def _readers(op: openvino.Node) -> list[openvino.Node]:
    return [reader.get_node() for value in op.outputs() for reader in value.get_target_inputs()]
