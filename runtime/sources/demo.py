"""The built-in stream: needs neither camera nor file."""

import threading
import time
from typing import Final

from core.frames import Frame, Size
from runtime.sources.base import VideoSource

DEMO: Final = "demo"
DEMO_FPS: Final = 30.0


class DemoSource(VideoSource):
    """The built-in street of facades: needs neither camera nor file, and never ends."""

    def __init__(self, size: Size, *, photos: bool = False, live: bool = False, fps: float = DEMO_FPS) -> None:
        """Frames of at least ``size``, square.

        Args:
            size: what the generator takes.
            photos: the street's pictures instead of its label maps.
            live: frames come at ``fps``; else as fast as they are read.
            fps: frames per second of the animation.
        """
        from core.facades import MAX_SIZE, MIN_SIZE, FacadeStream

        self.live = live
        self.fps = self._rate = fps
        self._photos = photos
        side = min(max(*size, MIN_SIZE), MAX_SIZE)
        self.frame_size = Size(side, side)
        self._stream = FacadeStream(seed=0, size=side, fps=fps)
        self._index = 0
        self._start = 0.0
        self._stopped = threading.Event()

    def read(self) -> Frame | None:
        """The next moment of the street."""
        if self.live:
            if self._index == 0:
                self._start = time.monotonic()
            self._stopped.wait(max(0.0, self._start + self._index / self._rate - time.monotonic()))
        if self._stopped.is_set():
            return None
        draw = self._stream.photo if self._photos else self._stream.labels
        frame = draw(self._index)
        self._index += 1
        return frame

    def describe(self) -> str:
        """What is drawn."""
        return f"the built-in demo ({'pictures' if self._photos else 'label maps'} of a street)"

    def stop(self) -> None:
        """Wait no longer for the next moment."""
        self._stopped.set()
