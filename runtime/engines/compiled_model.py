"""OpenVINO artifacts."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import openvino
from numpy.typing import NDArray

from core.errors import BundleError, InvalidInputError, UnavailableError
from core.frames import Size
from core.signal_stack import signal_stack_kept
from runtime.engines.base import Engine, EngineSettings

LAYERS: Final = ("Convolution", "Deconvolution")
"""What OpenVINO's CPU executes convolutions as, grouped or not."""
PRECISIONS: Final = {"i8": "int8", "f32": "fp32", "f16": "fp16"}
"""This project's words for OpenVINO's, where they differ."""
CPU: Final = "CPU"
AUTO: Final = "AUTO"


def find_device(named: str) -> str:
    """What OpenVINO calls the device ``named``, such as ``CPU``, ``GPU.1`` or ``AUTO``.

    Raises:
        UnavailableError: if it has no such device here, with those that it has.
    """
    available = available_devices()
    wanted = named.upper()
    # GPU is short for GPU.0, of which there is one name or the other (OpenVINO's documentation, "GPU device").
    for name in (wanted, f"{wanted}.0", wanted.removesuffix(".0") if wanted == "GPU.0" else wanted):
        if name in available or (name == AUTO and available):
            return name
    raise UnavailableError(f"OpenVINO has no device {named} here, only {', '.join(available)} (or {AUTO})")


@cache
def available_devices() -> tuple[str, ...]:
    """What OpenVINO calls the devices that it has here."""
    with signal_stack_kept():
        return tuple(openvino.Core().available_devices)


class CompiledModelEngine(Engine):
    """An OpenVINO model compiled for a device: for the CPU, unless another one is asked for."""

    def __init__(self, path: Path, settings: EngineSettings) -> None:
        """Load and compile the model at ``path`` (its weights lie beside it).

        Args:
            path: of the .xml.
            settings: of its ``depth``, each call under way has a stream with its share of the threads. A model that
                takes frames of any ``size`` is compiled for this one: with sizes that are known only at run time,
                transposed convolutions would not be executed in INT8.

        Raises:
            BundleError: if it is no model of frames.
            InvalidInputError: for a size that it does not take, or none where it takes any.
            UnavailableError: if it does not run on the device that ``settings`` ask for.
        """
        device = CPU if settings.device is None else find_device(settings.device)
        core = openvino.Core()
        try:
            model = core.read_model(path)
            self._set_model_shape(model, path, settings.size)
            self._layers = {op.get_friendly_name() for op in model.get_ops() if "Convolution" in op.get_type_name()}
            self._compiled = _compile(core, model, device, settings)
        except RuntimeError as error:
            raise BundleError(f"{path} cannot be loaded by OpenVINO ({_reason(error)}): export it again") from error
        self.threads = settings.threads
        self.depth = settings.depth
        self.device = ",".join(self._compiled.get_property("EXECUTION_DEVICES")).lower()
        self._requests = [self._compiled.create_infer_request() for _ in range(self.depth)]

    def executed_precisions(self) -> dict[str, str]:
        """What each convolution is really executed in, by the layer's name: ``int8``, ``fp32``, ``bf16``, ...

        Read from the graph that OpenVINO made of the model for this machine (its documentation calls it the execution
        graph). A layer that it made something else of is missing.
        """
        executed = {}
        for op in self._compiled.get_runtime_model().get_ops():
            information = op.get_rt_info()
            if information["layerType"].value in LAYERS:
                # The kernel and its input's type, as in brgconv_avx512_I8. Not runtimePrecision: that is f16 as soon as
                # the weights are stored so, whatever they are executed in.
                precision = information["primitiveType"].value.rpartition("_")[2].lower()
                names = information["originalLayersNames"].value.split(",")
                for name in self._layers.intersection(name.removesuffix("_original") for name in names):
                    executed[name] = PRECISIONS.get(precision, precision)
        return executed

    def _set_model_shape(self, model: openvino.Model, path: Path, size: Size | None) -> None:
        """Check that ``model`` takes frames, and fix what it leaves open."""
        source = model.input(0)
        sides = [side.get_length() if side.is_static else None for side in source.partial_shape]
        if len(sides) != 4 or sides[3] != 3 or source.element_type != openvino.Type.u8:
            raise BundleError(f"{path} takes {source.partial_shape}, not uint8 frames: export it with p2p-export")
        self._set_shape(sides, size)
        if None in sides:
            try:
                model.reshape([self.batch, *self.size, 3])
            except RuntimeError as error:
                raise InvalidInputError(
                    f"{path.name} cannot take frames of {self.size}: give a size whose sides are multiples of "
                    "2 to the power of its generator's levels"
                ) from error

    def _release(self) -> None:
        del self._requests, self._compiled

    def _run(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        try:
            # The input is read in place; the output lies in the request's own memory, so it is copied out.
            self._requests[0].infer([frames], share_inputs=True, share_outputs=True)
        except RuntimeError as error:
            raise _failed(error) from error
        return _output(self._requests[0])

    def _start(self, frames: NDArray[np.uint8], slot: int) -> Callable[[], NDArray[np.uint8]]:
        if self.depth == 1:
            return super()._start(frames, slot)
        request = self._requests[slot]
        try:
            request.start_async([frames], share_inputs=True)
        except RuntimeError as error:
            raise _failed(error) from error

        def finish() -> NDArray[np.uint8]:
            assert frames.size, "what the request reads is kept until it is done"
            try:
                request.wait()
            except RuntimeError as error:
                raise _failed(error) from error
            return _output(request)

        return finish


def _compile(
    core: openvino.Core, model: openvino.Model, device: str, settings: EngineSettings
) -> openvino.CompiledModel:
    """``model`` for ``device``; what fails on another device than the CPU is the device's fault."""
    try:
        with signal_stack_kept():
            properties = _auto_properties(core, settings) if device == AUTO else _properties(core, device, settings)
            return core.compile_model(model, device, properties)
    except RuntimeError as error:
        if device == CPU:
            raise
        raise UnavailableError(
            f"OpenVINO cannot run this model on {device} ({_reason(error)}): give another --device"
        ) from error


def _properties(core: openvino.Core, device: str, settings: EngineSettings) -> dict[str, Any]:
    """What ``device`` is told; it would refuse what it does not know, as a GPU the number of threads."""
    wanted: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY" if settings.depth == 1 else "THROUGHPUT",
        "INFERENCE_NUM_THREADS": settings.threads,
    }
    if "FP32" in core.get_property(device, "OPTIMIZATION_CAPABILITIES"):
        # Some devices would run BF16 or FP16 by default; an artifact runs in the type it was measured in.
        wanted["INFERENCE_PRECISION_HINT"] = "f32"
    if settings.depth > 1:
        wanted["NUM_STREAMS"] = settings.depth
    known = core.get_property(device, "SUPPORTED_PROPERTIES")
    return {name: value for name, value in wanted.items() if known.get(name) == "RW"}


def _auto_properties(core: openvino.Core, settings: EngineSettings) -> dict[str, Any]:
    """The same for whatever device AUTO takes, which it is then to stay on: it is reported, and figures are its."""
    return {
        "DEVICE_PROPERTIES": {name: _properties(core, name, settings) for name in available_devices()},
        "ENABLE_STARTUP_FALLBACK": False,
        "ENABLE_RUNTIME_FALLBACK": False,
    }


def _output(request: openvino.InferRequest) -> NDArray[np.uint8]:
    return np.array(request.get_output_tensor(0).data, dtype=np.uint8)


def _failed(error: RuntimeError) -> UnavailableError:
    return UnavailableError(f"OpenVINO could not translate a frame ({_reason(error)})")


def _reason(error: RuntimeError) -> str:
    """The last line of what OpenVINO says: those before are where in its code."""
    return next(iter(str(error).strip().splitlines()[::-1]), type(error).__name__)
