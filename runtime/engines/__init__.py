"""The engines, one small file each, found by target name and imported only when asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from core.errors import InvalidInputError, UnavailableError
from core.formats import TARGETS
from core.frames import Size
from core.machine import usable_cores
from runtime.engines.base import Engine, EngineSettings
from runtime.engines.devices import parse_device

__all__ = ["Engine", "EngineSettings", "find_device", "open_engine", "parse_device"]


def _onnx(path: Path, settings: EngineSettings) -> Engine:
    from runtime.engines.graph_session import open_graph

    return open_graph(path, settings)


def _openvino(path: Path, settings: EngineSettings) -> Engine:
    from runtime.engines.compiled_model import CompiledModelEngine

    return CompiledModelEngine(path, settings)


def _tensorrt(path: Path, settings: EngineSettings) -> Engine:
    from runtime.engines.cuda_plan import CudaPlanEngine

    return CudaPlanEngine(path, settings, flavour="tensorrt")


def _tensorrt_rtx(path: Path, settings: EngineSettings) -> Engine:
    from runtime.engines.cuda_plan import CudaPlanEngine

    return CudaPlanEngine(path, settings, flavour="tensorrt_rtx")


def _find_for_onnx(named: str) -> str:
    from runtime.engines.graph_session import find_device

    return find_device(named)


def _find_for_openvino(named: str) -> str:
    from runtime.engines.compiled_model import find_device

    return find_device(named).lower()


def _find_for_tensorrt(named: str) -> str:
    from runtime.engines.cuda_plan import find_device

    return find_device(named, flavour="tensorrt")


def _find_for_tensorrt_rtx(named: str) -> str:
    from runtime.engines.cuda_plan import find_device

    return find_device(named, flavour="tensorrt_rtx")


_OPENERS: Final[dict[str, Callable[[Path, EngineSettings], Engine]]] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "tensorrt": _tensorrt,
    "tensorrt_rtx": _tensorrt_rtx,
}
_FINDERS: Final[dict[str, Callable[[str], str]]] = {
    "onnx": _find_for_onnx,
    "openvino": _find_for_openvino,
    "tensorrt": _find_for_tensorrt,
    "tensorrt_rtx": _find_for_tensorrt_rtx,
}


def find_device(target: str, named: str) -> str:
    """The device that the engine of ``target`` would report (``Engine.device``) if it were opened on ``named``.

    Args:
        target: a name from ``core.formats.TARGETS``.
        named: as ``parse_device`` gives it.

    Raises:
        MissingDependencyError: if the engine's library is not installed.
        UnavailableError: if it has no such device here, with those that it has.
    """
    _require_engine(target)
    return _FINDERS[target](named)


def open_engine(
    target: str,
    path: Path,
    *,
    threads: int | None = None,
    size: Size | None = None,
    depth: int = 1,
    spinning: bool | None = None,
    device: str | None = None,
) -> Engine:
    """Load the artifact at ``path`` with the engine of ``target``.

    Args:
        target: a name from ``core.formats.TARGETS``.
        path: the artifact's main file.
        threads: CPU threads for the engine, shared by all that is under way; default: every core this process may use.
        size: of the frames to be translated; one that takes frames of any size has to be told.
        depth: calls that may be under way at a time (``Engine.submit``). One is soonest done with a frame; several
            finish more frames a second, each of them later.
        spinning: whether idle threads of ONNX Runtime wait for work in a loop instead of asleep, which no other engine
            does; default: its own, which is that they do.
        device: ``cpu``, ``cuda`` or ``cuda:1`` for ONNX Runtime, the last two for TensorRT, and for OpenVINO what it
            calls its devices (``GPU``, ``NPU``, ``AUTO``; case does not matter). It runs there or not at all. Default:
            OpenVINO's on the CPU, the others' as their classes say.

    Raises:
        MissingDependencyError: if the engine's library is not installed.
        UnavailableError: if this machine cannot run it, or not on this device.
        InvalidInputError: for a size that it does not take, no threads or depth at all, or no name of a device.
        BundleError: if the file is damaged.
    """
    _require_engine(target)
    threads = usable_cores() if threads is None else threads
    if min(threads, depth) < 1:
        raise InvalidInputError(f"an engine needs a thread and a depth of 1 at least, not {threads} and {depth}")
    settings = EngineSettings(threads=threads, size=size, depth=depth, spinning=spinning, device=parse_device(device))
    return _OPENERS[target](path, settings)


def _require_engine(target: str) -> None:
    if target not in _OPENERS:
        advice = TARGETS[target].run_elsewhere if target in TARGETS else None
        raise UnavailableError(f"there is no engine for target {target!r}" + (f": {advice}" if advice else ""))
    TARGETS[target].require()
