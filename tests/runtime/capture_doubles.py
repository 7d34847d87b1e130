"""Stand-ins for OpenCV's captures: what is lost, stalls or hangs when a test says so."""

from collections.abc import Sequence

import cv2

from core.frames import Frame, Size
from runtime.sources.live import LiveSource
from tests.runtime.stream_helpers import HEIGHT, WIDTH, numbered_frame


class FakeCapture:
    """An OpenCV capture of ``frames`` frames, numbered downwards, then lost."""

    def __init__(self, frames: int) -> None:
        self.left = frames
        self.released = False
        self.properties: dict[int, float] = {
            cv2.CAP_PROP_FPS: 30.0,
            cv2.CAP_PROP_FRAME_HEIGHT: HEIGHT,
            cv2.CAP_PROP_FRAME_WIDTH: WIDTH,
        }

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def get(self, prop: int) -> float:
        return self.properties.get(prop, 0.0)

    def set(self, prop: int, value: float) -> bool:
        self.properties[prop] = value
        return True

    def grab(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def retrieve(self) -> tuple[bool, Frame]:
        return True, numbered_frame(self.left)

    def release(self) -> None:
        self.released = True


class FakeLive(LiveSource):
    """Connects to ``captures`` one after the other; None is a connection that fails, as do all after the last."""

    def __init__(self, captures: Sequence[FakeCapture | None], *, retry_seconds: float = 300.0) -> None:
        self.captures = list(captures)
        self.attempts = 0
        super().__init__(retry_seconds=retry_seconds)

    def _connect(self) -> cv2.VideoCapture | None:
        self.attempts += 1
        return self.captures.pop(0) if self.captures else None  # type: ignore[return-value]

    def _no_connection(self, seconds: float) -> str:
        return "not there"

    def _no_frame(self, seconds: float) -> str:
        return "there, but gave no picture"

    def describe(self) -> str:
        return "camera X"


SIZE = Size(HEIGHT, WIDTH)
