"""The engines, one small file each, found by target name and imported only when asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from core.errors import UnavailableError
from core.formats import TARGETS
from core.machine import usable_cores
from runtime.engines.base import Engine

__all__ = ["Engine", "open_engine"]


def _onnx(path: Path, threads: int) -> Engine:
    from runtime.engines.graph_session import GraphSessionEngine

    return GraphSessionEngine(path, threads=threads)


def _openvino(path: Path, threads: int) -> Engine:
    from runtime.engines.compiled_model import CompiledModelEngine

    return CompiledModelEngine(path, threads=threads)


def _tensorrt(path: Path, threads: int) -> Engine:
    from runtime.engines.cuda_plan import CudaPlanEngine

    return CudaPlanEngine(path, flavour="tensorrt", threads=threads)


def _tensorrt_rtx(path: Path, threads: int) -> Engine:
    from runtime.engines.cuda_plan import CudaPlanEngine

    return CudaPlanEngine(path, flavour="tensorrt_rtx", threads=threads)


_OPENERS: Final[dict[str, Callable[[Path, int], Engine]]] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "tensorrt": _tensorrt,
    "tensorrt_rtx": _tensorrt_rtx,
}


def open_engine(target: str, path: Path, *, threads: int | None = None) -> Engine:
    """Load the artifact at ``path`` with the engine of ``target``.

    Args:
        target: a name from ``core.formats.TARGETS``.
        path: the artifact's main file.
        threads: CPU threads for the engine; default: every core this process may use.

    Raises:
        MissingDependencyError: if the engine's library is not installed.
        UnavailableError: if this machine cannot run it.
        BundleError: if the file is damaged.
    """
    if target not in _OPENERS:
        raise UnavailableError(f"there is no engine for target {target!r}")
    TARGETS[target].require()
    return _OPENERS[target](path, threads or usable_cores())
