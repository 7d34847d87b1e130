"""A video file, whole or absent."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import cv2

from core.atomic import atomic_file
from core.errors import SinkError
from core.frames import Frame
from runtime.latency import NS_PER_S
from runtime.sinks.audio import add_audio
from runtime.sinks.base import Picture, VideoSink, check_writable, sink_errors

CODECS: Final = {
    ".mp4": "mp4v",
    ".m4v": "mp4v",
    ".mov": "mp4v",
    ".avi": "MJPG",
    ".mkv": "mp4v",
    ".webm": "VP80",
    ".wmv": "WMV2",
    ".flv": "FLV1",
}
"""What OpenCV's own FFmpeg writes without further libraries, frame by frame at any rate; it has no H.264 encoder."""

OTHER_MEDIA: Final = frozenset({".gif", ".mpg", ".mpeg", ".ts", ".ogv", ".3gp", ".apng", ".avif"})
"""Suffixes that do not mean a folder either. MPEG's know few frame rates: a video would play too fast or too slowly."""

DEFAULT_FPS: Final = 30.0


class VideoFileSink(VideoSink):
    """A video file, whole or absent: written beside its place under a hidden name and moved there when finished.

    These encoders take even sizes only: OpenCV leaves out the last column or row of pictures of another size.
    """

    def __init__(self, path: Path, *, fps: float | None, live: bool, audio_from: Path | None = None) -> None:
        """Nothing is written before the first picture.

        Args:
            path: with one of the suffixes of ``CODECS``.
            fps: frames per second of the file; default: 30.
            live: pictures come at irregular times: repeat or skip some so that the file plays at the speed of life.
            audio_from: a video whose sound this one is given, where an ``ffmpeg`` program is installed.

        Raises:
            SinkError: if the file could not be written.
        """
        if path.suffix.lower() not in CODECS:
            raise SinkError(f"{path}: cannot write this kind of video; use one of {', '.join(CODECS)}")
        if path.is_dir():
            raise SinkError(f"{path} is a folder: give --output another name")
        check_writable(path)
        self.path = path
        self.fps = fps or DEFAULT_FPS
        self.written = 0
        """Frames in the file, repeated ones included."""
        self._live = live
        self._audio_from = audio_from
        self._note: str | None = None
        self._writer: cv2.VideoWriter | None = None
        self._atomic: AbstractContextManager[Path] | None = None
        self._partial = path
        self._shape: tuple[int, ...] = ()
        self._first_ns = 0
        self._last: Frame | None = None

    @property
    def note(self) -> str | None:
        """Why the sound was not kept, if it was not."""
        return self._note

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
        if self._audio_from is not None:
            self._note = add_audio(self._partial, self._audio_from)
        atomic, self._atomic = self._atomic, None
        with sink_errors(self.path):
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
        with sink_errors(self.path):
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
