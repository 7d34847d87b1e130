"""Where frames come from: the built-in demo, images, and (in ``runtime.capture``) videos, cameras and streams."""

import re
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from pathlib import Path
from typing import Final

from core.errors import InvalidInputError, SourceError
from core.frames import IMAGE_SUFFIXES, Frame, Size, list_images, read_image
from runtime.closing import Closing

DEMO: Final = "demo"
DEMO_FPS: Final = 30.0
URL: Final = re.compile(r"(rtsps?|rtmps?|https?|udp|tcp|srt|rtp)://", re.IGNORECASE)
CAMERA: Final = re.compile(r"(?:camera:)?(\d{1,4})", re.IGNORECASE)
CHOICES: Final = "a video, an image, a folder of images, a URL, camera:0 or demo"


class VideoSource(Closing, ABC):
    """Frames one after the other, read by one thread.

    Attributes:
        live: frames come at their own pace whether they are read or not, so old ones are worth nothing.
        fps: frames per second, where it is known.
        frame_count: how many frames there are as the file tells, None where there is no end or it is not known.
        frame_name: what the frame last read is called (an image's name without suffix), if it has a name.
        captured_ns: when the frame last read was captured (``time.perf_counter_ns``), where that is earlier than when
            ``read`` returned it; else None.
    """

    live: bool
    fps: float | None = None
    frame_count: int | None = None
    frame_name: str | None = None
    captured_ns: int | None = None

    @abstractmethod
    def read(self) -> Frame | None:
        """The next frame, ``uint8 [H, W, 3]`` BGR; None at the end.

        Raises:
            SourceError: if it cannot be read.
        """

    @abstractmethod
    def describe(self) -> str:
        """What this is, for a line that people read."""

    def stop(self) -> None:
        """Ask a ``read`` that waits in another thread to end soon, with None. Returns at once."""
        return

    def close(self) -> None:
        """Give back what the source holds. May be called again."""
        return


class ImageSource(VideoSource):
    """One image, or those of a folder in natural order (``2.png`` before ``10.png``)."""

    live = False

    def __init__(self, path: Path) -> None:
        """Raise ``SourceError`` if ``path`` is missing or a folder without images."""
        self.path = path
        try:
            images = list_images(path) if path.is_dir() else [path]
        except InvalidInputError as error:
            raise SourceError(str(error)) from error
        self._images = sorted(images, key=lambda image: natural_key(image.name))
        self._stems = Counter(image.stem for image in images)
        # a.jpg and a.png would have one name, so they keep their suffixes; a.png.bmp beside them then keeps its own too
        kept = {image.name for image in images if self._stems[image.stem] > 1}
        self._stems.update(image.stem for image in images if image.stem in kept)
        self._next = 0
        self.frame_count = len(images)

    def read(self) -> Frame | None:
        """The next image; ``SourceError`` that names it if it cannot be decoded."""
        if self._next == len(self._images):
            return None
        image = self._images[self._next]
        self._next += 1
        self.frame_name = image.stem if self._stems[image.stem] == 1 else image.name
        try:
            return read_image(image)
        except InvalidInputError as error:
            raise SourceError(str(error)) from error

    def describe(self) -> str:
        """The path, and how many images."""
        return f"{self.path} ({self.frame_count} image{'s' if self.frame_count != 1 else ''})"


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
        self._stream = FacadeStream(seed=0, size=min(max(*size, MIN_SIZE), MAX_SIZE), fps=fps)
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


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sort key that has numbers within a name count as numbers."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def open_source(text: str, *, size: Size, live_demo: bool = False, demo_photos: bool = False) -> VideoSource:
    """The source a user named.

    Args:
        text: ``demo``, ``camera:0`` or ``0``, a URL, or the path of a folder of images, an image or a video.
        size: of the frames that will be made of it; a camera is asked for no more than that needs.
        live_demo: the demo plays at its own speed instead of as fast as it is read.
        demo_photos: the demo shows pictures instead of label maps.

    Raises:
        SourceError: if there is no such thing or it cannot be opened.
    """
    from runtime.capture import CameraSource, VideoFileSource, open_url

    if text == DEMO:
        return DemoSource(size, photos=demo_photos, live=live_demo)
    if URL.match(text):
        return open_url(text)
    path = Path(text).expanduser()
    if not path.exists():
        if camera := CAMERA.fullmatch(text):
            return CameraSource(int(camera[1]), size=size)
        raise SourceError(f"there is no file or folder {text}: give --source {CHOICES}")
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageSource(path)
    return VideoFileSource(path)
