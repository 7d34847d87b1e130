"""The engines, one small file each, found by target name and imported only when asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from core.errors import InvalidInputError, UnavailableError
from core.formats import TARGETS
from core.frames import Size
from core.machine import usable_cores
from runtime.engines.base import Engine, EngineSettings

__all__ = ["Engine", "EngineSettings", "open_engine"]


def _onnx(path: Path, settings: EngineSettings) -> Engine:
    from runtime.engines.graph_session import GraphSessionEngine

    return GraphSessionEngine(path, settings)


def _openvino(path: Path, settings: EngineSettings) -> Engine:
    from runtime.engines.compiled_model import CompiledModelEngine

    return CompiledModelEngine(path, settings)


def _tensorrt(path: Path, settings: EngineSettings) -> Engine:
    from runtime.engines.cuda_plan import CudaPlanEngine

    return CudaPlanEngine(path, settings, flavour="tensorrt")


def _tensorrt_rtx(path: Path, settings: EngineSettings) -> Engine:
    from runtime.engines.cuda_plan import CudaPlanEngine

    return CudaPlanEngine(path, settings, flavour="tensorrt_rtx")


_OPENERS: Final[dict[str, Callable[[Path, EngineSettings], Engine]]] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "tensorrt": _tensorrt,
    "tensorrt_rtx": _tensorrt_rtx,
}


def open_engine(
    target: str,
    path: Path,
    *,
    threads: int | None = None,
    size: Size | None = None,
    depth: int = 1,
    spinning: bool | None = None,
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

    Raises:
        MissingDependencyError: if the engine's library is not installed.
        UnavailableError: if this machine cannot run it.
        InvalidInputError: for a size that it does not take, or no threads or depth at all.
        BundleError: if the file is damaged.
    """
    if target not in _OPENERS:
        advice = TARGETS[target].run_elsewhere if target in TARGETS else None
        raise UnavailableError(f"there is no engine for target {target!r}" + (f": {advice}" if advice else ""))
    TARGETS[target].require()
    threads = usable_cores() if threads is None else threads
    if min(threads, depth) < 1:
        raise InvalidInputError(f"an engine needs a thread and a depth of 1 at least, not {threads} and {depth}")
    settings = EngineSettings(threads=threads, size=size, depth=depth, spinning=spinning)
    return _OPENERS[target](path, settings)
