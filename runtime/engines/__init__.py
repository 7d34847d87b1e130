"""The engines, one small file each, found by target name and imported only when asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from core.errors import UnavailableError
from core.formats import TARGETS
from core.frames import Size
from core.machine import usable_cores
from runtime.engines.base import Engine

__all__ = ["Engine", "open_engine"]


def _onnx(path: Path, threads: int, size: Size | None) -> Engine:
    from runtime.engines.graph_session import GraphSessionEngine

    return GraphSessionEngine(path, threads=threads, size=size)


def _openvino(path: Path, threads: int, size: Size | None) -> Engine:
    from runtime.engines.compiled_model import CompiledModelEngine

    return CompiledModelEngine(path, threads=threads, size=size)


def _tensorrt(path: Path, threads: int, size: Size | None) -> Engine:
    from runtime.engines.cuda_plan import CudaPlanEngine

    return CudaPlanEngine(path, flavour="tensorrt", threads=threads, size=size)


def _tensorrt_rtx(path: Path, threads: int, size: Size | None) -> Engine:
    from runtime.engines.cuda_plan import CudaPlanEngine

    return CudaPlanEngine(path, flavour="tensorrt_rtx", threads=threads, size=size)


_OPENERS: Final[dict[str, Callable[[Path, int, Size | None], Engine]]] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "tensorrt": _tensorrt,
    "tensorrt_rtx": _tensorrt_rtx,
}


def open_engine(target: str, path: Path, *, threads: int | None = None, size: Size | None = None) -> Engine:
    """Load the artifact at ``path`` with the engine of ``target``.

    Args:
        target: a name from ``core.formats.TARGETS``.
        path: the artifact's main file.
        threads: CPU threads for the engine; default: every core this process may use.
        size: of the frames to be translated; one that takes frames of any size has to be told.

    Raises:
        MissingDependencyError: if the engine's library is not installed.
        UnavailableError: if this machine cannot run it.
        InvalidInputError: for a size that it does not take.
        BundleError: if the file is damaged.
    """
    if target not in _OPENERS:
        advice = TARGETS[target].run_elsewhere if target in TARGETS else None
        raise UnavailableError(f"there is no engine for target {target!r}" + (f": {advice}" if advice else ""))
    TARGETS[target].require()
    return _OPENERS[target](path, threads or usable_cores(), size)
