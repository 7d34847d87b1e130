"""Cameras of this machine."""

import random
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2

from core.errors import InvalidInputError
from core.frames import Size
from runtime.sources.base import SourceOptions
from runtime.sources.live import LiveSource, in_seconds

CAMERA_FPS: Final = 30.0
CAMERA_SIZES: Final = (Size(480, 640), Size(720, 1280), Size(1080, 1920))
FOURCC: Final = "MJPG"
ANY: Final = "any"
DEVICE: Final = re.compile(r"/dev/video(\d{1,4})")
DEFAULTS: Final = SourceOptions()


@dataclass(frozen=True, slots=True)
class CameraMode:
    """What a camera is asked for, or gives; None where it does not tell."""

    size: Size | None
    fps: float | None
    fourcc: str | None

    def __str__(self) -> str:
        parts = []
        if self.size is not None:
            parts.append(f"{self.size.width}x{self.size.height}")
        if self.fps is not None:
            parts.append(f"{self.fps:g} fps")
        if self.fourcc is not None:
            parts.append(self.fourcc)
        return ", ".join(parts)


class CameraSource(LiveSource):
    """A camera of this machine."""

    def __init__(
        self,
        index: int,
        *,
        size: Size,
        options: SourceOptions = DEFAULTS,
        device: Path | None = None,
        chance: random.Random | None = None,
    ) -> None:
        """Open camera ``index`` in the mode of the ``options``, else in the smallest usual one that covers ``size``.

        A camera that has no such mode gives the one it deems nearest; ``mode`` and ``describe`` tell. A ``device`` such
        as ``/dev/v4l/by-id/...`` is looked up again whenever the camera is lost: it keeps its name when the camera
        comes back under another number.

        Raises:
            InvalidInputError: if this OpenCV does not have the backend.
            SourceError: if there is no such camera, or it cannot be opened.
        """
        self.index = index
        self._device = device
        self._backend = find_backend(options.backend)
        self._asked = options
        covering = (mode for mode in CAMERA_SIZES if mode.height >= size.height and mode.width >= size.width)
        self._wanted = CameraMode(
            size=options.input_size or next(covering, CAMERA_SIZES[-1]),
            fps=options.input_fps or CAMERA_FPS,
            fourcc=options.fourcc or FOURCC,
        )
        self.mode = self._wanted
        """What the camera really gives."""
        super().__init__(retry_seconds=options.retry_seconds, chance=chance)

    def _connect(self) -> cv2.VideoCapture | None:
        if self._device is not None and (index := index_of(self._device)) is not None:
            self.index = index
        capture = cv2.VideoCapture(self.index, self._backend)
        if not capture.isOpened():
            return None
        wanted = self._wanted
        assert wanted.size is not None
        assert wanted.fps is not None
        assert wanted.fourcc is not None
        # In this order: the driver offers large sizes at full rate only once it knows that they come compressed.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*wanted.fourcc))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, wanted.size.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, wanted.size.height)
        capture.set(cv2.CAP_PROP_FPS, wanted.fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # where it is heeded; the capture thread empties the rest
        self.mode = _mode_of(capture)
        return capture

    def _no_connection(self, seconds: float) -> str:
        device = Path(f"/dev/video{self.index}")
        if sys.platform == "linux" and not device.exists():
            reason = f"there is no {device}"
        else:
            reason = "is it in use, or closed to your user?"
            if self._asked.backend is not None:
                reason += f" Or can {self._asked.backend} not open it?"
        return f"no camera {self.index} could be opened: {reason}; try --source demo"

    def _no_frame(self, seconds: float) -> str:
        return (
            f"{self.name} was opened ({self.mode}), but gave no picture within {in_seconds(seconds)}: try another "
            "--fourcc, such as YUYV, or another --input-size"
        )

    @property
    def name(self) -> str:
        """Which camera."""
        return f"camera {self.index}"

    def describe(self) -> str:
        """Which camera, and what it gives; what it was asked for, where that is something else."""
        asked, given = self._asked, self.mode
        differs = CameraMode(
            size=asked.input_size if given.size != asked.input_size else None,
            fps=asked.input_fps if given.fps is None or abs(given.fps - (asked.input_fps or 0)) > 0.5 else None,
            fourcc=asked.fourcc if given.fourcc != asked.fourcc else None,
        )
        told = "; ".join(part for part in (str(given), f"not {differs} as asked" if str(differs) else "") if part)
        return f"{self.name} ({told})" if told else self.name


def index_of(device: Path) -> int | None:
    """The number of the camera that ``device`` (``/dev/video2``, or a link to it) is; None if it is none."""
    found = DEVICE.fullmatch(str(device.resolve()))
    return None if found is None else int(found[1])


def find_backend(name: str | None) -> int:
    """OpenCV's number of the camera backend ``name``; None: V4L2 on Linux, else what OpenCV tries first.

    Raises:
        InvalidInputError: if this OpenCV has none of that name, with those that it has.
    """
    if name is None:
        return cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
    registry = cv2.videoio_registry
    known = {
        str(registry.getBackendName(i)).lower(): int(i) for i in registry.getCameraBackends() if registry.hasBackend(i)
    }
    known[ANY] = cv2.CAP_ANY
    if name.lower() not in known:
        raise InvalidInputError(f"--backend {name}: this OpenCV opens cameras with {', '.join(sorted(known))}")
    return known[name.lower()]


def _mode_of(capture: cv2.VideoCapture) -> CameraMode:
    height, width = (round(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
    fps, code = capture.get(cv2.CAP_PROP_FPS), round(capture.get(cv2.CAP_PROP_FOURCC))
    letters = "".join(chr(code >> shift & 255) for shift in (0, 8, 16, 24)) if code > 0 else ""
    return CameraMode(
        size=Size(height, width) if height > 0 and width > 0 else None,
        fps=fps if 0 < fps <= 1000 else None,
        fourcc=letters if letters.isascii() and letters.isprintable() and letters else None,
    )
