"""What every inference engine offers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInputError, UnavailableError
from core.frames import Frame, Size
from runtime.closing import Closing


class Engine(Closing, ABC):
    """A loaded artifact: frames in, frames out.

    Attributes:
        size: height and width of the frames it takes and gives.
        batch: frames per call.
        device: the device that it really runs on, as the library reports it.
        threads: CPU threads given to it.
    """

    size: Size
    batch: int
    device: str
    threads: int
    _closed: bool = False

    def translate(self, frame: Frame) -> Frame:
        """The translation of one frame: ``uint8 [H, W, 3]`` BGR in and out, H x W as ``size`` says.

        Raises:
            InvalidInputError: for a frame of another size or type.
        """
        translation: Frame = self.infer(frame[np.newaxis])[0]
        return translation

    def infer(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The translations of ``uint8 [batch, H, W, 3]`` BGR frames, in an array that the caller may keep.

        Raises:
            InvalidInputError: for frames of another shape or type.
            UnavailableError: if the engine was closed.
        """
        if self._closed:
            raise UnavailableError("this engine is closed: open it again")
        expected = (self.batch, *self.size, 3)
        if frames.shape != expected or frames.dtype != np.uint8:
            raise InvalidInputError(
                f"this engine takes uint8 {list(expected)} (frames, height, width, BGR), "
                f"got {frames.dtype} {list(frames.shape)}"
            )
        return self._run(np.ascontiguousarray(frames))

    @abstractmethod
    def _run(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Infer on frames of the right shape, type and layout."""

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
        """Give back what the engine holds; it cannot be used afterwards. Closing it again does nothing."""
        if not self._closed:
            self._closed = True
            self._release()
