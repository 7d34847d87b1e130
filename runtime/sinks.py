"""Where translated pictures go: a video file, an image, a folder of images (the window is in ``runtime.window``)."""

import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2

from core.atomic import atomic_file, make_folder
from core.errors import InvalidInputError, SinkError
from core.frames import IMAGE_SUFFIXES, Frame, write_image
from runtime.latency import NS_PER_S

CODECS: Final = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}
"""What OpenCV's own FFmpeg writes without further libraries; it has no H.264 encoder."""

OTHER_MEDIA: Final = frozenset({".webm", ".gif", ".wmv", ".flv", ".mpg", ".mpeg", ".ts", ".ogv", ".apng", ".avif"})
"""Suffixes that do not mean a folder either."""

DEFAULT_FPS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Picture:
    """A translation on its way out."""

    frame: Frame
    index: int
    """Of the captured frame, from 0; frames that were dropped are counted too."""
    name: str | None
    """What the source calls the frame (an image's name without suffix), if it does."""
    captured_ns: int
    """When the frame was captured, on the scale of ``time.perf_counter_ns``."""


class VideoSink(ABC):
    """Takes pictures in order, from one thread. Ends with ``close`` (all is well) or ``abort`` (leave nothing)."""

    @abstractmethod
    def write(self, picture: Picture) -> None:
        """Take one picture.

        Raises:
            SinkError: if it cannot be written.
        """

    @property
    def busy(self) -> bool:
        """Whether it wants no further picture just now (``poll`` is called until it does)."""
        return False

    def poll(self) -> bool:
        """Called between pictures and while none comes; True if its user wants the stream to end."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Finish what was written. May be called again.

        Raises:
            SinkError: if that fails; then nothing is left.
        """

    @abstractmethod
    def abort(self) -> None:
        """Leave nothing of what was written, unless it was finished by ``close``. Raises nothing."""


class VideoFileSink(VideoSink):
    """A video file, whole or absent: written beside its place under a hidden name and moved there when finished."""

    def __init__(self, path: Path, *, fps: float | None, live: bool) -> None:
        """Nothing is written before the first picture.

        Args:
            path: with one of the suffixes of ``CODECS``.
            fps: frames per second of the file; default: 30.
            live: pictures come at irregular times: repeat or skip some so that the file plays at the speed of life.

        Raises:
            SinkError: if the file could not be written.
        """
        if path.suffix.lower() not in CODECS:
            raise SinkError(f"{path}: cannot write this kind of video; use one of {', '.join(CODECS)}")
        if path.is_dir():
            raise SinkError(f"{path} is a folder: give --output another name")
        _check_writable(path)
        self.path = path
        self.fps = fps or DEFAULT_FPS
        self.written = 0
        """Frames in the file, repeated ones included."""
        self._live = live
        self._writer: cv2.VideoWriter | None = None
        self._atomic: AbstractContextManager[Path] | None = None
        self._partial = path
        self._shape: tuple[int, ...] = ()
        self._first_ns = 0
        self._last: Frame | None = None

    def write(self, picture: Picture) -> None:
        """Encode one picture; all must be of the first one's size."""
        frame = picture.frame
        if self._writer is None:
            self._writer = self._open(frame)
            self._first_ns = picture.captured_ns
        if frame.shape != self._shape:
            raise SinkError(f"{self.path}: a frame of {frame.shape} in a video of {self._shape}")
        if self._live and self._last is not None:
            place = (picture.captured_ns - self._first_ns) * self.fps / NS_PER_S
            while self.written < round(place):
                self._encode(self._writer, self._last)
            self._last = frame
            if place <= self.written - 1:  # a whole period early: less is jitter
                return
        self._encode(self._writer, frame)
        self._last = frame

    def close(self) -> None:
        """Finish the file, check that it holds every frame, and move it into place."""
        if self._writer is None or self._atomic is None:
            return
        self._writer.release()
        self._writer = None
        try:
            self._verify()
        except SinkError:
            self.abort()
            raise
        atomic, self._atomic = self._atomic, None
        with _sink_errors(self.path):
            atomic.__exit__(None, None, None)

    def abort(self) -> None:
        """Remove the unfinished file."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None
        if self._atomic is not None:
            atomic, self._atomic = self._atomic, None
            error = SinkError("aborted")
            atomic.__exit__(SinkError, error, error.__traceback__)

    def _open(self, frame: Frame) -> cv2.VideoWriter:
        atomic = atomic_file(self.path)
        with _sink_errors(self.path):
            self._partial = atomic.__enter__()
        self._atomic = atomic
        self._shape = frame.shape
        codec = CODECS[self.path.suffix.lower()]
        fourcc = cv2.VideoWriter.fourcc(*codec)
        size = (frame.shape[1], frame.shape[0])
        writer = cv2.VideoWriter(str(self._partial), cv2.CAP_FFMPEG, fourcc, self.fps, size)
        if not writer.isOpened():
            raise SinkError(
                f"{self.path}: this OpenCV cannot write {codec} video of {size[0]} x {size[1]} pixels at "
                f"{self.fps:g} fps; try another suffix ({', '.join(CODECS)}) or a folder of images"
            )
        return writer

    def _encode(self, writer: cv2.VideoWriter, frame: Frame) -> None:
        writer.write(frame)
        self.written += 1

    def _verify(self) -> None:
        """OpenCV's writer reports no failure (of a full disk, say), so the finished file is asked."""
        reader = cv2.VideoCapture(str(self._partial), cv2.CAP_FFMPEG)
        frames = round(reader.get(cv2.CAP_PROP_FRAME_COUNT)) if reader.isOpened() else 0
        reader.set(cv2.CAP_PROP_POS_FRAMES, frames - 1)
        if not reader.read()[0]:  # the header may promise what never reached the disk
            frames = 0
        reader.release()
        if frames != self.written:
            raise SinkError(
                f"{self.path}: {self.written} frames were given, {max(0, frames)} are in the file; "
                "is there room on the disk?"
            )


class ImageFileSink(VideoSink):
    """A single image."""

    def __init__(self, path: Path) -> None:
        """Raise ``SinkError`` if ``path`` could not be written."""
        if path.is_dir():
            raise SinkError(f"{path} is a folder: give --output another name")
        _check_writable(path)
        self.path = path
        self._frame: Frame | None = None

    def write(self, picture: Picture) -> None:
        """Keep the picture; a second one is refused."""
        if self._frame is not None:
            raise SinkError(f"{self.path} holds one image and the source gives more: name a folder or a video")
        self._frame = picture.frame

    def close(self) -> None:
        """Write the image."""
        if self._frame is not None:
            with _sink_errors(self.path):
                write_image(self.path, self._frame)

    def abort(self) -> None:
        """Forget the image."""
        self._frame = None


class ImageFolderSink(VideoSink):
    """A folder of PNG images, named after the source's where it names them, else ``frame_000001.png``.

    They are moved there together at the end; files of other names that the folder holds stay.
    """

    def __init__(self, folder: Path) -> None:
        """Raise ``SinkError`` if ``folder`` is a file or could not be written to."""
        if folder.is_file():
            raise SinkError(f"{folder} is a file: give --output a folder, or a name that ends in .mp4")
        _check_writable(folder)
        self.folder = folder
        self.written = 0
        self._partial: Path | None = None

    def write(self, picture: Picture) -> None:
        """Write one image into the hidden folder."""
        with _sink_errors(self.folder):
            if self._partial is None:
                make_folder(self.folder.parent)
                prefix = f".{self.folder.name}."
                self._partial = Path(tempfile.mkdtemp(prefix=prefix, suffix=".partial", dir=self.folder.parent))
                self._partial.chmod(0o755)
            self.written += 1
            write_image(self._partial / f"{picture.name or f'frame_{self.written:06d}'}.png", picture.frame)

    def close(self) -> None:
        """Move the images into place."""
        if self._partial is None:
            return
        try:
            with _sink_errors(self.folder):
                make_folder(self.folder)
                for image in self._partial.iterdir():
                    image.replace(self.folder / image.name)
        finally:
            self.abort()

    def abort(self) -> None:
        """Remove the hidden folder."""
        if self._partial is not None:
            shutil.rmtree(self._partial, ignore_errors=True)
            self._partial = None


def open_sink(path: Path, *, fps: float | None, live: bool, frames: int | None) -> VideoSink:
    """The sink for ``path``: a video, an image or (any other name) a folder of images.

    Args:
        path: where to write.
        fps: of a video.
        live: see ``VideoFileSink``.
        frames: how many pictures will come, None if not known.

    Raises:
        SinkError: if it could not be written, or is of a kind that cannot be.
    """
    suffix = path.suffix.lower()
    if suffix in CODECS or suffix in OTHER_MEDIA:
        return VideoFileSink(path, fps=fps, live=live)
    if suffix not in IMAGE_SUFFIXES:
        return ImageFolderSink(path)
    if frames != 1:
        raise SinkError(
            f"{path} holds one image and the source gives more: name a folder or a video, or add --frames 1"
        )
    return ImageFileSink(path)


@contextmanager
def _sink_errors(path: Path) -> Iterator[None]:
    """Raise ``SinkError`` for whatever keeps the block from writing ``path``."""
    try:
        yield
    except (InvalidInputError, OSError) as error:
        cause = error.__cause__ if isinstance(error, InvalidInputError) else error  # itself made of an OSError
        reason = cause.strerror if isinstance(cause, OSError) else None
        raise SinkError(f"cannot write {path}: {reason or error}; choose another --output") from error


def _check_writable(path: Path) -> None:
    """Raise ``SinkError`` unless ``path`` could be made; its nearest folder that exists tells."""
    folder = next(parent for parent in (path, *path.absolute().parents) if parent.exists() and parent != path)
    if not folder.is_dir():
        raise SinkError(f"cannot write {path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SinkError(f"cannot write {path}: no permission in {folder}; choose another --output")
