"""Frames of a video file as photographs: different ones, spread over its length, decoded once."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from core.conditions import Condition
from core.data_layout import readable
from core.errors import InvalidInputError
from core.frames import Frame, Size, check_frame, crop_to_aspect, fit
from core.splits import Pair, Split, split_in_time

MAX_FRAMES: Final = 2000
"""Frames that are used of one video."""
FRAME_BYTES: Final = 2**30
"""Memory that the frames of one video may take, at the size that training cuts from. Of large pictures fewer are used:
2000 at 256 x 256, 273 at 1024 x 1024."""
ENLARGED: Final = 1.25
"""Training reads frames with so many times the pixels of the generator's size: (286 / 256) squared."""
KEPT_SIZES: Final = 2
"""Sizes whose frames are kept at a time: training's and evaluation's."""

GRID: Final = 16
CHANGED: Final = 6.0
"""A frame is new if a cell of a GRID x GRID grid over it became lighter or darker than in the frame used before it, by
so many 8-bit steps: something moved there. Averaged over a cell, noise is a fraction of a step."""
SAMPLES: Final = 128
"""Pixels of the shorter side that are enough for that."""


class VideoFrames:
    """The frames of a video that belong to one split: a frame is the target, and its ``condition`` the input."""

    def __init__(self, path: Path, split: Split, condition: Condition, size: Size) -> None:
        """Decode the video once to choose frames; they are read in a second pass, when the first is asked for.

        Args:
            path: a video file.
            split: its stretches of time (``core.splits.split_in_time``).
            condition: what the input is made with.
            size: the generator's, which decides how many frames memory has room for.

        Raises:
            InvalidInputError: if it cannot be opened, or has no frame that can be decoded.
        """
        self.path = path
        self.condition = condition
        room = int(FRAME_BYTES / (ENLARGED * 3 * size.height * size.width))
        self.numbers = split_in_time(spread_frames(find_frames(path, size), min(MAX_FRAMES, max(2, room))), split)
        """Which frames, counted from 0, in order."""
        self._decoded: dict[Size, list[Frame]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.numbers)

    def name(self, index: int) -> str:
        """The frame's number in the video."""
        return f"frame {self.numbers[index]:05}"

    def read(self, index: int, size: Size) -> Pair:
        """Pair number ``index`` in order of time; the first call for a size decodes all frames.

        Raises:
            InvalidInputError: if the video is no longer what it was.
        """
        with self._lock:
            if size not in self._decoded:
                while len(self._decoded) >= KEPT_SIZES:
                    self._decoded.pop(next(iter(self._decoded)))
                self._decoded[size] = decode_frames(self.path, self.numbers, size)
            target = self._decoded[size][index]
        return Pair(self.condition.apply(target), target)


def find_frames(path: Path, size: Size) -> tuple[int, ...]:
    """Numbers of the frames of the video at ``path`` that show something new, in the part that ``size`` leaves of them.

    Every frame is decoded to find out: headers lie about lengths, and seeking lands elsewhere. The answer is remembered
    while the file stays as it is.

    Raises:
        InvalidInputError: if it cannot be opened, or has no frame that can be decoded.
    """
    with readable(path):
        status = path.stat()
    return _find_frames(path, size, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _find_frames(path: Path, size: Size, changed_ns: int, length: int) -> tuple[int, ...]:
    numbers: list[int] = []
    last: NDArray[np.float32] | None = None
    with open_video(path) as video:
        number = -1
        while video.grab():
            number += 1
            found, frame = video.retrieve()
            if not found:
                continue
            cells = _cells(crop_to_aspect(check_frame(frame), size))
            if last is None or float(np.abs(cells - last).max()) >= CHANGED:
                numbers.append(number)
                last = cells
    if not numbers:
        raise InvalidInputError(
            f"{path} has no frames that can be decoded: convert it to another format, or replace it"
        )
    return tuple(numbers)


def spread_frames(numbers: Sequence[int], bound: int) -> list[int]:
    """Up to ``bound`` of ``numbers``, evenly spread."""
    kept = min(bound, len(numbers))
    return [numbers[i * len(numbers) // kept] for i in range(kept)]


def decode_frames(path: Path, numbers: Sequence[int], size: Size) -> list[Frame]:
    """Frames ``numbers``, in rising order, of the video at ``path``, cropped and resized to ``size``.

    Raises:
        InvalidInputError: if it cannot be opened, or lacks one of them.
    """
    wanted, frames = iter(numbers), list[Frame]()
    following = next(wanted, None)
    number = -1
    with open_video(path) as video:
        while following is not None and video.grab():
            number += 1
            if number < following:
                continue
            found, frame = video.retrieve()
            if not found:
                break
            frames.append(fit(check_frame(frame), size))
            following = next(wanted, None)
    if following is not None:
        raise InvalidInputError(f"frame {following} of {path} can no longer be decoded: was the file changed?")
    return frames


@contextmanager
def open_video(path: Path) -> Iterator[cv2.VideoCapture]:
    """The video file at ``path``, from its first frame; FFmpeg turns it upright if it says how it was held.

    Raises:
        InvalidInputError: if it cannot be opened as a video.
    """
    with readable(path):
        if is_text(path):
            raise InvalidInputError(f"{path} is a text file, not a video")
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not video.isOpened():
            raise InvalidInputError(
                f"{path} cannot be opened as a video: it is damaged, incomplete or something else; replace it"
            )
        yield video
    finally:
        video.release()


def is_text(path: Path) -> bool:
    """Whether the file begins as text does: FFmpeg would make a video of its letters. ``OSError`` if unreadable."""
    with path.open("rb") as file:
        head = file.read(2048)
    return bool(head) and not any(byte < 9 or 13 < byte < 27 for byte in head)


def _cells(frame: Frame) -> NDArray[np.float32]:
    """Mean brightness of each cell: ``float32 [GRID, GRID]`` in 8-bit steps, of at least SAMPLES x SAMPLES pixels."""
    step = max(1, min(frame.shape[:2]) // SAMPLES)
    sampled = np.ascontiguousarray(frame[::step, ::step])
    small = cv2.resize(sampled, (GRID, GRID), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), dtype=np.float32)
