"""ONNX artifacts on a GPU: frames in fixed memory there, kernels launched as one CUDA graph.

Source: ONNX Runtime documentation, "I/O Binding" and "CUDA Execution Provider", on CUDA graphs: a session that was made
with ``enable_cuda_graph`` records its kernels the first time it is run in a thread, and plays them afterwards, from and
to the same memory. All of its nodes must run on the GPU, or it cannot be made. While one records, no other thread may
make the driver allocate or wait.
"""

import ctypes
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from core.errors import UnavailableError
from runtime.engines.base import Engine, EngineSettings
from runtime.engines.devices import cuda_index
from runtime.engines.graph_session import CPU, CUDA, damage, device_name, session_options, shape_of_frames, size_refused

INSTALLATION: Final = "pip install 'onnxruntime-gpu[cuda,cudnn]'"


class NotStartedError(UnavailableError):
    """CUDA is there by name, and cannot be started."""


class CudaSessionEngine(Engine):
    """An ONNX graph in ONNX Runtime sessions on one GPU, one session for each call that may be under way.

    Each has a thread of its own, as what a session keeps for a thread is made when that first runs it.

    Attributes:
        graphs: whether kernels are launched as one CUDA graph; not where some nodes run on the CPU, which is expected
            of INT8.
    """

    def __init__(
        self, path: Path, settings: EngineSettings, *, cuda_options: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Load the graph at ``path`` and run it once.

        Args:
            path: a file that ``p2p-export`` wrote.
            settings: how to load it; ``device`` is a GPU, or None for the first one.
            cuda_options: further options of the CUDA provider, to measure what they do.

        Raises:
            BundleError: if it is no such file.
            InvalidInputError: for a size that it does not take.
            UnavailableError: if it does not run on this GPU.
        """
        self._index = cuda_index(settings.device or "cuda") or 0
        self.device = device_name(self._index)
        self.threads, self.depth = settings.threads, settings.depth
        self._cuda_options = cuda_options
        self._callers = [ThreadPoolExecutor(1, "p2p-engine") for _ in range(self.depth)]
        self._sessions: list[_BoundSession] = []
        load_cuda_libraries()
        failure = ""
        try:
            for graphs in (True, False) if settings.graphs else (False,):
                self.graphs = graphs
                try:
                    self._open(path, settings)
                    return
                except NotStartedError:
                    raise
                except UnavailableError as error:  # its text only: with the error itself, sessions would be kept
                    failure = str(error)
                self._sessions.clear()
            raise UnavailableError(failure)
        except BaseException:
            self._release()
            raise

    def _open(self, path: Path, settings: EngineSettings) -> None:
        for _ in range(self.depth):
            with TURNS.shared():
                session = self._make(path)
                given = shape_of_frames(path, session)
                self._set_shape(given, settings.size)
                shape = (self.batch, *self.size, 3)
                try:
                    self._sessions.append(_BoundSession(session, shape, self._index))
                except Exception as error:  # of ONNX Runtime's many classes
                    raise UnavailableError(
                        f"ONNX Runtime has no memory for frames on {self.device} ({_reason(error)}): give --device cpu"
                    ) from error
        black = np.zeros(shape, dtype=np.uint8)
        try:
            for slot, caller in enumerate(self._callers):
                with TURNS.alone() if self.graphs else TURNS.shared():
                    caller.submit(self._translate, black, slot).result()
        except UnavailableError as error:
            if list(shape[:3]) == given[:3] or "CUDA" in str(error):
                raise
            raise size_refused(self.size) from error

    def _make(self, path: Path) -> onnxruntime.InferenceSession:
        # TF32 is the CUDA provider's default, and not what anyone means by fp32.
        cuda = {"use_tf32": "0", "device_id": str(self._index), "enable_cuda_graph": str(int(self.graphs))}
        providers = [(CUDA, {**cuda, **self._cuda_options}), (CPU, {})]
        options = session_options(threads=max(1, self.threads // self.depth), spinning=None)
        try:
            # Without its own fallback, which would go on with another device, and tells of it on standard output.
            session = onnxruntime.InferenceSession(path, options, providers=providers, enable_fallback=False)
        except Exception as error:  # of ONNX Runtime's many classes
            if (refusal := damage(path, error)) is not None:
                raise refusal from error
            raise UnavailableError(
                f"{path} cannot be loaded by ONNX Runtime on {self.device} ({_reason(error)}): give another --device"
            ) from error
        if session.get_providers()[0] != CUDA:
            missing = missing_library()
            raise NotStartedError(
                f"ONNX Runtime has {CUDA} but could not start it{f' ({missing})' * bool(missing)}, and would run on "
                f"cpu: NVIDIA's driver is needed, and {INSTALLATION}; or give --device cpu"
            )
        return session

    def _run(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return self._start(frames, 0)()

    def _start(self, frames: NDArray[np.uint8], slot: int) -> Callable[[], NDArray[np.uint8]]:
        return self._callers[slot].submit(self._translate_in_turn, frames, slot).result

    def _translate_in_turn(self, frames: NDArray[np.uint8], slot: int) -> NDArray[np.uint8]:
        with TURNS.shared():
            return self._translate(frames, slot)

    def _translate(self, frames: NDArray[np.uint8], slot: int) -> NDArray[np.uint8]:
        try:
            return self._sessions[slot].run(frames)
        except Exception as error:  # of ONNX Runtime's many classes
            raise UnavailableError(f"ONNX Runtime could not translate a frame ({_reason(error)})") from error

    def _release(self) -> None:
        for caller in self._callers:
            caller.shutdown()
        self._sessions.clear()


class _BoundSession:
    """A session, and its input and output in memory of the GPU."""

    def __init__(self, session: onnxruntime.InferenceSession, shape: tuple[int, ...], index: int) -> None:
        self._session = session
        self._input, self._output = (
            onnxruntime.OrtValue.ortvalue_from_shape_and_type(list(shape), np.uint8, "cuda", index) for _ in range(2)
        )
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(session.get_inputs()[0].name, self._input)
        self._binding.bind_ortvalue_output(session.get_outputs()[0].name, self._output)

    def run(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        self._input.update_inplace(frames)
        self._session.run_with_iobinding(self._binding)
        return np.array(self._output.numpy())


class Turns:
    """What may happen at the same time as others of its kind, and what must happen alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sharing = 0
        self._is_alone = False

    @contextmanager
    def _shared(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._is_alone)
            self._sharing += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharing -= 1
                self._changed.notify_all()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._is_alone)
            self._is_alone = True  # nobody begins any more
            self._changed.wait_for(lambda: not self._sharing)
        try:
            yield
        finally:
            with self._changed:
                self._is_alone = False
                self._changed.notify_all()

    def shared(self) -> AbstractContextManager[None]:
        """Beside others that share; not while somebody is alone."""
        return self._shared()

    def alone(self) -> AbstractContextManager[None]:
        """While nobody else is at it. Not within ``shared``, which it would wait for."""
        return self._alone()


TURNS: Final = Turns()
"""Of all sessions on GPUs in this process: one that records its kernels is alone."""


@cache
def load_cuda_libraries() -> None:
    """Load CUDA's and cuDNN's libraries where they were installed as Python packages: the linker does not look there.

    From now on ONNX Runtime says nothing on standard error of what it cannot start: ``missing_library`` does.
    """
    onnxruntime.set_default_logger_severity(4)
    # What it cannot find it prints, and standard output is for what was asked for.
    vars(onnxruntime)["print"] = lambda *_, **__: None
    onnxruntime.preload_dlls()


def missing_library() -> str | None:
    """What the linker lacks of ONNX Runtime's CUDA provider, in its words; None if nothing, or the provider itself."""
    folder = Path(onnxruntime.__file__).parent / "capi"
    try:
        for name in ("libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"):
            if (folder / name).is_file():
                ctypes.CDLL(str(folder / name))
    except OSError as error:
        return str(error).splitlines()[0]
    return None


def _reason(error: Exception) -> str:
    """What CUDA says, of the half a page in which ONNX Runtime wraps it; else the first line."""
    text = str(error).strip()
    said = re.search(r"CUDA failure \d+: [^;\n]*", text)
    return said[0].strip() if said else next(iter(text.splitlines()), type(error).__name__)
