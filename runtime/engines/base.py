"""What every inference engine offers."""

from abc import ABC, abstractmethod

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

    def _release(self) -> None:
        """Give back what the engine holds."""

    def close(self) -> None:
        """Give back what the engine holds; it cannot be used afterwards. Closing it again does nothing."""
        if not self._closed:
            self._closed = True
            self._release()
