"""INT8 for OpenVINO, by NNCF: quantizers before the layers, and nowhere else."""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import nncf
import numpy as np
import openvino
from nncf.quantization.advanced_parameters import (
    AdvancedAccuracyRestorerParameters,
    AdvancedQuantizationParameters,
    OverflowFix,
)
from nncf.quantization.range_estimator import RangeEstimatorParameters, RangeEstimatorParametersSet
from numpy.typing import NDArray
from openvino import opset13

from core.errors import UnavailableError
from core.export_record import RangeMethod
from core.formats import NNCF_RANGES
from core.frames import Frame
from core.metrics import Comparison
from core.signal_stack import signal_stack_kept
from export.intermediate_representation import (
    NOT_COMPUTED,
    convert,
    layers_of,
    outer_layers,
    readers,
    save,
)
from export.quiet import quiet

RANGES: Final = {
    RangeMethod.MIN_MAX: RangeEstimatorParameters(),
    RangeMethod.PERCENTILE: RangeEstimatorParametersSet.MEAN_QUANTILE,
}
"""How NNCF finds the ranges of activations: the mean over the frames of each one's smallest and largest value, or of
those that one value in 10 000 lies outside of."""
THOROUGH_BYTES: Final = 2 * 2**30
"""What the thorough bias correction may hold of the layers' inputs in memory."""
CORRECTED_SHARE: Final = 0.2
"""Of the calibration frames, those whose inputs NNCF's thorough bias correction holds."""

Batch = NDArray[np.uint8]


class ModelQuantizer:
    """Quantizes the layers of one deploy graph for OpenVINO (``export.quantizer.Quantizer``).

    NNCF would quantize additions and normalizations as well. That gains no time on a CPU and spoils the picture: a
    ResNet's kept 36 dB without and 30 dB with them, at the same speed. So all but the layers is left alone, and a
    quantizer stands right before each layer's input and weights.

    The first and the last layer, and with them all that makes frames into images and back, stay in float.
    """

    methods: tuple[RangeMethod, ...] = NNCF_RANGES

    def __init__(self, source: Path, frames: Sequence[Frame], *, saturates: bool) -> None:
        """Take up a graph.

        Args:
            source: the fp32 deploy graph, an ONNX file; static of any batch, or dynamic.
            frames: ``uint8 [H, W, 3]`` BGR that ranges are measured on.
            saturates: whether the CPU adds pairs of 8-bit products in 16 bits (``Machine.saturates_at_16_bits``); its
                weights keep to 7 bits then.

        Raises:
            UnavailableError: if OpenVINO refuses the graph.
        """
        self._model = convert(source)
        self._batches = batches_of(frames, self._model)
        self._saturates = saturates
        self._drafts: dict[RangeMethod, openvino.Model] = {}
        self.scheme = (
            f"unsigned activations, signed symmetric weights per channel, {7 if saturates else 8}-bit weights, by NNCF"
        )
        self.outer = outer_layers(self._model)
        self.layers = tuple(
            layer.get_friendly_name()
            for layer in layers_of(self._model)
            if layer.get_friendly_name() not in self.outer and _is_constant(layer.input_value(1).get_node())
        )

    def write(self, path: Path, *, method: RangeMethod, layers: Collection[str]) -> None:
        """Write an IR (.xml and .bin) to ``path`` in which ``layers`` are quantized and nothing else is.

        Biases are corrected for what quantization shifts, one layer after the other with those before it quantized.
        That takes about twice as long as NNCF's fast correction and kept 47 dB instead of 41 (a U-Net of width 16);
        where the layers' inputs would not fit into memory it is the fast one.

        Raises:
            UnavailableError: if NNCF refuses the graph.
        """
        model = self._model.clone()
        if layers:
            with _refusals():
                model = nncf.quantize(
                    model,
                    nncf.Dataset(self._batches),
                    fast_bias_correction=not self._affords_thorough_correction(),
                    **self._settings(layers),
                    advanced_parameters=self._advanced(method),
                )
        save(model, path)

    def write_draft(self, path: Path, *, method: RangeMethod, layers: Collection[str]) -> None:
        """The same from one quantization of all layers, those not in ``layers`` returned to float exactly.

        Biases are corrected by NNCF's fast way, each layer's as if it alone were quantized.
        """
        if method not in self._drafts:
            with _refusals():
                self._drafts[method] = nncf.quantize(
                    self._model.clone(),
                    nncf.Dataset(self._batches),
                    fast_bias_correction=True,
                    **self._settings(self.layers),
                    # Compressed weights could not be had back.
                    advanced_parameters=self._advanced(method, backend_params={"compress_weights": False}),
                )
        model = self._drafts[method].clone()
        trained = {layer.get_friendly_name(): _bias(layer) for layer in layers_of(self._model)}
        for layer in layers_of(model):
            if layer.get_friendly_name() in layers:
                continue
            for i in range(2):
                _bypass_quantizer(layer.input(i))
            before, after = trained[layer.get_friendly_name()], _bias(layer)
            if before is not None and after is not None:
                after.replace_source_output(opset13.constant(before.get_source_output().get_node().data).output(0))
        save(model, path)

    def write_with_accuracy_control(
        self,
        path: Path,
        *,
        method: RangeMethod,
        frames_held: Sequence[Frame],
        references: Sequence[Frame],
        min_psnr: float,
    ) -> tuple[str, ...]:
        """Write an IR to ``path``; NNCF returns layers to float until the translations are close to ``references``.

        Args:
            path: of the .xml.
            method: how the ranges of activations are found.
            frames_held: ``uint8 [H, W, 3]`` BGR that the translations are judged on.
            references: what the trained network makes of them.
            min_psnr: PSNR to reach, in dB, of all of them together.

        Returns:
            The layers that stayed in float, in the order in which they are computed.

        Raises:
            UnavailableError: if NNCF refuses the graph, or the graph in float does not reach ``min_psnr``.
        """
        with signal_stack_kept():
            in_float = openvino.compile_model(self._model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        items = list(zip(batches_of(frames_held, self._model), batches_of(references, self._model), strict=True))
        reachable, _ = _judge(in_float, items)
        if reachable < min_psnr:
            raise UnavailableError(
                f"accuracy control cannot reach {min_psnr:g} dB: the graph has {reachable:.1f} dB in float; ask less"
            )
        with _refusals():
            model = nncf.quantize_with_accuracy_control(
                self._model.clone(),
                nncf.Dataset(self._batches),
                nncf.Dataset(items),
                _judge,
                max_drop=reachable - min_psnr,
                drop_type=nncf.DropType.ABSOLUTE,
                fast_bias_correction=not self._affords_thorough_correction(),
                **self._settings(self.layers),
                advanced_quantization_parameters=self._advanced(method),
                # More workers than one would hold as many models in memory.
                advanced_accuracy_restorer_parameters=AdvancedAccuracyRestorerParameters(num_ranking_workers=1),
            )
        save(model, path)
        quantized = quantized_layers(model)
        return tuple(layer for layer in self.layers if layer not in quantized)

    def _settings(self, layers: Collection[str]) -> dict[str, Any]:
        left_alone = [
            op.get_friendly_name()
            for op in self._model.get_ordered_ops()
            if op.get_type_name() not in NOT_COMPUTED and op.get_friendly_name() not in layers
        ]
        return {
            "preset": nncf.QuantizationPreset.MIXED,  # LeakyReLU is not symmetric
            "subset_size": len(self._batches),
            "ignored_scope": nncf.IgnoredScope(names=left_alone, validate=False),
        }

    def _advanced(self, method: RangeMethod, **more: Any) -> AdvancedQuantizationParameters:
        return AdvancedQuantizationParameters(
            overflow_fix=OverflowFix.ENABLE if self._saturates else OverflowFix.DISABLE,
            activations_range_estimator_params=RANGES[method],
            # Of a batch, the ranges are those of its frames.
            batchwise_statistics=len(self._batches[0]) > 1,
            **more,
        )

    def _affords_thorough_correction(self) -> bool:
        model = self._model
        if model.is_dynamic():
            model = model.clone()
            model.reshape(self._batches[0].shape)
        inputs: int = sum(4 * math.prod(layer.input_value(0).shape) for layer in layers_of(model)[1:-1])
        return inputs * CORRECTED_SHARE * len(self._batches) <= THOROUGH_BYTES


def batches_of(frames: Sequence[Frame], model: openvino.Model) -> list[Batch]:
    """``frames`` as ``model`` takes them: ``uint8 [N, H, W, 3]``, the last batch filled up from the beginning."""
    dimension = model.input(0).partial_shape[0]
    count = dimension.get_length() if dimension.is_static else 1
    starts = range(0, len(frames), count)
    return [np.stack([frames[(start + i) % len(frames)] for i in range(count)]) for start in starts]


def quantized_layers(model: openvino.Model) -> set[str]:
    """Names of the layers of ``model`` whose input is quantized."""
    return {
        layer.get_friendly_name()
        for layer in layers_of(model)
        if layer.input_value(0).get_node().get_type_name() == "FakeQuantize"
    }


def _judge(model: openvino.CompiledModel, items: Iterable[tuple[Batch, Batch]]) -> tuple[float, list[float]]:
    """PSNR of ``model``'s translations against the references, of all together and batch by batch."""
    request = model.create_infer_request()
    together, alone = Comparison(), []
    for frames, references in items:
        translations = np.array(request.infer([frames])[model.output(0)])
        one = Comparison()
        for translation, reference in zip(translations, references, strict=True):
            together.add(translation, reference)
            one.add(translation, reference)
        alone.append(one.psnr_db)
    return together.psnr_db, alone


def _bias(layer: openvino.Node) -> openvino.Input | None:
    """Where the bias of ``layer`` goes in: the constant input of the addition that reads it; None if it has none."""
    for reader in readers(layer):
        if reader.get_type_name() == "Add":
            for value in reader.inputs():
                if value.get_source_output().get_node().get_type_name() == "Constant":
                    return value
    return None


def _bypass_quantizer(value: openvino.Input) -> None:
    """Feed ``value`` with what its quantizer reads."""
    node = value.get_source_output().get_node()
    if node.get_type_name() == "Reshape":  # of the weights of a grouped convolution
        value = node.input(0)
        node = value.get_source_output().get_node()
    if node.get_type_name() == "FakeQuantize":
        value.replace_source_output(node.input_value(0))


def _is_constant(node: openvino.Node) -> bool:
    inputs = node.input_values()
    is_leaf = node.get_type_name() == "Constant"
    return is_leaf or (bool(inputs) and all(_is_constant(value.get_node()) for value in inputs))


@contextmanager
def _refusals() -> Iterator[None]:
    """Keep NNCF quiet and the signal stack as it is in the block, and make what it raises one line."""
    try:
        with quiet(), signal_stack_kept():
            yield
    except (RuntimeError, ValueError, nncf.ValidationError, nncf.InternalError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UnavailableError(f"NNCF refuses the graph: {reason}") from error
