"""What every inference engine offers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInputError, UnavailableError
from core.frames import Frame, Size
from runtime.closing import Closing
from runtime.engines.under_way import UnderWay


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How an artifact is to be loaded, as ``open_engine`` says; ``device`` as ``parse_device`` gives it.

    Without ``graphs`` a plan's kernels are launched one by one instead of as a CUDA graph: to measure what that costs.
    """

    threads: int
    size: Size | None = None
    depth: int = 1
    spinning: bool | None = None
    device: str | None = None
    graphs: bool = True


class Engine(Closing, ABC):
    """A loaded artifact: frames in, frames out.

    One thread submits or translates at a time; results may be taken in another.

    Attributes:
        size: height and width of the frames it takes and gives.
        batch: frames per call.
        device: the device that it really runs on, as the library reports it.
        threads: CPU threads given to it, all in all.
        depth: calls that may be under way at a time.
        note: what its user should know, such as why it does not run on a GPU that seems to be there.
    """

    note: str | None = None
    size: Size
    batch: int
    device: str
    threads: int
    depth: int = 1
    _closed: bool = False
    _calls: int = 0
    _under_way: dict[int, UnderWay] | None = None

    def translate(self, frame: Frame) -> Frame:
        """The translation of one frame: ``uint8 [H, W, 3]`` BGR in and out, H x W as ``size`` says.

        Raises:
            InvalidInputError: for a frame of another size or type.
            UnavailableError: if the engine was closed, or failed.
        """
        translation: Frame = self.infer(frame[np.newaxis])[0]
        return translation

    def infer(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The translations of ``uint8 [batch, H, W, 3]`` BGR frames, in an array that the caller may keep.

        Raises:
            InvalidInputError: for frames of another shape or type.
            UnavailableError: if the engine was closed, or failed.
        """
        checked = self._checked(frames)
        alone = self.depth == 1 and self._under_way is None
        return self._run(checked) if alone else self._begin(checked).frames()

    def submit(self, frame: Frame) -> UnderWay:
        """Begin the translation of one frame, as ``translate`` takes it; ``result`` of what this gives waits for it.

        At most ``depth`` calls are under way: one more waits here until the oldest is finished. Results may be taken
        late, in any order or never, and after the engine was closed. The frame is read in place, so it must stay as it
        is until then. An engine of depth 1 may do all the work before this returns.

        Raises:
            InvalidInputError: for a frame of another size or type.
            UnavailableError: if the engine was closed. What the inference itself raises comes out of ``result``.
        """
        return self.submit_frames(frame[np.newaxis])

    def submit_frames(self, frames: NDArray[np.uint8]) -> UnderWay:
        """The same for as many frames as ``infer`` takes; ``frames`` of what this gives waits for them.

        Raises:
            as ``submit``.
        """
        return self._begin(self._checked(frames))

    def _checked(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self._closed:
            raise UnavailableError("this engine is closed: open it again")
        expected = (self.batch, *self.size, 3)
        if frames.shape != expected or frames.dtype != np.uint8:
            raise InvalidInputError(
                f"this engine takes uint8 {list(expected)} (frames, height, width, BGR), "
                f"got {frames.dtype} {list(frames.shape)}"
            )
        return np.ascontiguousarray(frames)

    def _begin(self, frames: NDArray[np.uint8]) -> UnderWay:
        if self._under_way is None:
            self._under_way = {}
        slot = self._calls % self.depth
        self._calls += 1
        before = self._under_way.get(slot)
        if before is not None:
            before.finish()
        self._under_way[slot] = begun = UnderWay(lambda: self._start(frames, slot))
        return begun

    @abstractmethod
    def _run(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Infer on frames of the right shape, type and layout."""

    def _start(self, frames: NDArray[np.uint8], slot: int) -> Callable[[], NDArray[np.uint8]]:
        """Begin to infer on such frames; what this gives waits for it and answers as ``_run``.

        ``slot`` is one of ``range(depth)``; what was begun there before has been waited for.
        """
        assert self.depth == 1, "an engine that can have several calls under way says how to begin one"
        translated = self._run(frames)
        return lambda: translated

    def _set_shape(self, shape: Sequence[int | str | None], size: Size | None) -> None:
        """Take ``batch`` and ``size`` from the input's ``shape``, which names what may change instead of giving it.

        Raises:
            InvalidInputError: if ``size`` is not one that it takes, or is missing where it may change.
        """
        batch, height, width, _ = shape
        self.batch = batch if isinstance(batch, int) and batch > 0 else 1
        fixed = [side if isinstance(side, int) and side > 0 else None for side in (height, width)]
        if size is None and None in fixed:
            raise InvalidInputError("this artifact takes frames of any size: say which, for example --size 256")
        self.size = Size(*(own or asked for own, asked in zip(fixed, size or (0, 0), strict=True)))
        if size not in (None, self.size):
            raise InvalidInputError(f"this artifact takes frames of {self.size}, not {size}: give --size {self.size}")

    def _release(self) -> None:
        """Give back what the engine holds."""

    def close(self) -> None:
        """Give back what the engine holds; it cannot be used afterwards. Closing it again does nothing.

        What is under way is waited for; its results can still be taken.
        """
        if not self._closed:
            self._closed = True
            for pending in (self._under_way or {}).values():
                pending.finish()
            self._under_way = None
            self._release()
