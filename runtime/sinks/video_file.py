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
from runtime.sinks.base import OneSize, Picture, VideoSink, check_writable, sink_errors

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
LONGEST_FILL_SECONDS: Final = 2.0
"""Of a live recording: so long a gap is filled with the last picture. What is missing for longer is left out: a night's
outage would be a million copies, written while the stream waits."""
INDEXED: Final = frozenset({".mp4", ".m4v", ".mov", ".avi"})
"""Containers with a table of their frames; what the others tell is their length times a rounded rate."""


class VideoFileSink(VideoSink):
    """A video file, whole or absent: written beside its place under a hidden name and moved there when finished.

    These encoders take even sizes only: OpenCV leaves out the last column or row of pictures of another size.
    """

    def __init__(
        self, path: Path, *, fps: float | None, live: bool, fitted: bool = False, audio_from: Path | None = None
    ) -> None:
        """Nothing is written before the first picture.

        Args:
            path: with one of the suffixes of ``CODECS``.
            fps: frames per second of the file; default: 30.
            live: pictures come at irregular times: repeat or skip some so that the file plays at the speed of life.
            fitted: pictures of another size than the first one's are cut to it; else they are refused.
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
        self._one_size = OneSize(str(path), fitted=fitted)
        self._left_out_ns = 0
        self._cut_short = False
        self._audio_from = audio_from
        self._notes: dict[str, str] = {}
        self._writer: cv2.VideoWriter | None = None
        self._atomic: AbstractContextManager[Path] | None = None
        self._partial = path
        self._first_ns = 0
        self._last: Frame | None = None

    @property
    def note(self) -> str | None:
        """Why the sound was not kept, pictures were cut or gaps left out, if that was so."""
        return "; ".join(filter(None, (self._one_size.note, *self._notes.values()))) or None

    def write(self, picture: Picture) -> None:
        """Encode one picture; all must be of the first one's size, unless they are fitted."""
        frame = self._one_size.of(picture.frame)
        if self._writer is None:
            self._writer = self._open(frame)
            self._first_ns = picture.captured_ns
        if self._live and self._last is not None:
            place = self._place(picture.captured_ns)
            while self.written < round(place):
                self._encode(self._writer, self._last)
            self._last = frame
            if place <= self.written - 1:  # a whole period early: less is jitter
                return
        self._encode(self._writer, frame)
        self._last = frame

    def _place(self, captured_ns: int) -> float:
        """Which frame of a live recording was captured then, counted from 0."""
        place = (captured_ns - self._first_ns - self._left_out_ns) * self.fps / NS_PER_S
        too_many = place - self.written - LONGEST_FILL_SECONDS * self.fps
        if too_many > 0:
            self._left_out_ns += round(too_many * NS_PER_S / self.fps)
            seconds = self._left_out_ns / NS_PER_S
            self._notes["gaps"] = f"{self.path}: {seconds:.0f} s in which no picture came were left out"
            place -= too_many
        return place

    def cut_short(self) -> None:
        """Let the sound end with the pictures."""
        self._cut_short = True

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
            length = self.written / self.fps if self._cut_short else None
            if reason := add_audio(self._partial.absolute(), self._audio_from, seconds=length):
                self._notes["sound"] = reason
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
        codec = CODECS[self.path.suffix.lower()]
        fourcc = cv2.VideoWriter.fourcc(*codec)
        size = (frame.shape[1], frame.shape[0])
        writer = cv2.VideoWriter(str(self._partial.absolute()), cv2.CAP_FFMPEG, fourcc, self.fps, size)
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
        indexed = self.path.suffix.lower() in INDEXED
        frames = (_count_indexed if indexed else _count_packets)(self._partial.absolute())
        if frames != self.written:
            raise SinkError(
                f"{self.path}: {self.written} frames were given, {max(0, frames)} are in the file; "
                "is there room on the disk?"
            )


def _count_indexed(path: Path) -> int:
    """Frames of a video as its table tells, if the last of them is there."""
    reader = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    frames = round(reader.get(cv2.CAP_PROP_FRAME_COUNT)) if reader.isOpened() else 0
    reader.set(cv2.CAP_PROP_POS_FRAMES, frames - 1)
    if not reader.read()[0]:  # the header may promise what never reached the disk
        frames = 0
    reader.release()
    return frames


def _count_packets(path: Path) -> int:
    """Frames of a video, one by one; none is decoded."""
    reader = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    frames = 0
    while reader.isOpened() and reader.grab():
        frames += 1
    reader.release()
    return frames
