"""INT8 ONNX graphs, quantized by ONNX Runtime: one for its own CPU kernels, and another for TensorRT."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from core.frames import Frame
from export.graph_file import INPUT_NAME
from export.quiet import quiet


class FrameReader(CalibrationDataReader):  # type: ignore[misc]
    """Frames, one at a time, as ONNX Runtime's calibrators ask for them."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._frames = iter(frames)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next frame as the graph's input ``uint8 [1, H, W, 3]``; None at the end."""
        frame = next(self._frames, None)
        return None if frame is None else {INPUT_NAME: frame[np.newaxis]}


def quantize_for_cpu(source: Path, target: Path, frames: Sequence[Frame], *, saturates: bool) -> None:
    """Quantize the fp32 graph in ``source`` for ONNX Runtime's CPU kernels, with ranges measured on ``frames``.

    Activations unsigned, weights signed and per channel. A CPU that adds pairs of 8-bit products in 16 bits
    ``saturates`` (``Machine.saturates_at_16_bits``): its weights keep to 7 bits. Transposed convolutions have no INT8
    kernel there and stay in float, as do the first convolution and the last layer.
    """
    _quantize(
        source,
        target,
        frames,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=saturates,
    )


def quantize_for_tensorrt(source: Path, target: Path, frames: Sequence[Frame]) -> None:
    """Quantize the graph in ``source`` as TensorRT reads it: symmetric, zero point 0, bias left in float.

    Only the inputs and weights of convolutions are quantized; TensorRT fuses around them.
    """
    _quantize(
        source,
        target,
        frames,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "OpTypesToExcludeOutputQuantization": ["Conv"],
        },
    )


def _quantize(
    source: Path,
    target: Path,
    frames: Sequence[Frame],
    *,
    options: dict[str, Any] | None = None,
    **settings: Any,
) -> None:
    with tempfile.TemporaryDirectory() as folder, quiet():
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            FrameReader(frames),
            quant_format=QuantFormat.QDQ,
            # Not Concat and the activations: what lies between float layers would lose precision and gain nothing.
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=outer_layers(prepared),
            calibrate_method=CalibrationMethod.MinMax,
            # Not CalibMaxIntermediateOutputs: ONNX Runtime 1.31 throws what it collected away when that many are
            # reached. Min-max keeps two numbers per tensor and frame, so nothing needs to be bounded.
            extra_options=options or {},
            **settings,
        )


def outer_layers(path: Path) -> list[str]:
    """Names of the first convolution and of the last layer in the graph at ``path``: quantization spoils them most."""
    layers = [node.name for node in onnx.load(path).graph.node if node.op_type in ("Conv", "ConvTranspose")]
    return [layers[0], layers[-1]]
