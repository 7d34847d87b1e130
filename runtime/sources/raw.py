"""Raw frames from a pipe: what FFmpeg's ``-f rawvideo`` writes."""

import os
import select
import sys
import threading
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import SourceError
from core.frames import Frame, Size
from runtime.pixel_format import PixelFormat
from runtime.sources.base import SourceOptions, VideoSource

STANDARD_INPUT: Final = "-"
LARGEST_READ: Final = 2**20
"""Bytes asked for at a time: Linux takes at most 2 GiB, and a pipe holds far less."""
_CONVERSIONS: Final = {
    PixelFormat.RGB24: cv2.COLOR_RGB2BGR,
    PixelFormat.GRAY: cv2.COLOR_GRAY2BGR,
    PixelFormat.YUV420P: cv2.COLOR_YUV2BGR_I420,
}


class RawSource(VideoSource):
    """Frames without any header, one after the other. None is lost: whoever writes them waits until they are read."""

    live = False

    def __init__(
        self,
        stream: BinaryIO | RawIOBase,
        size: Size,
        pixel_format: PixelFormat = PixelFormat.BGR24,
        fps: float | None = None,
        *,
        shown: str = "standard input",
        close_stream: bool = False,
    ) -> None:
        """Read nothing yet.

        Args:
            stream: an open file or pipe, of which nothing was read yet; its ``fileno`` is read.
            size: of the frames.
            pixel_format: of the frames.
            fps: frames per second that they count as.
            shown: what the stream is called in messages.
            close_stream: whether ``close`` closes it.

        Raises:
            SourceError: if it is a terminal, or the size is not one of the pixel format.
        """
        if stream.isatty():
            raise SourceError(
                f"{shown} is a terminal: pipe raw frames into it (ffmpeg -i clip.mp4 -f rawvideo "
                f"-pix_fmt {pixel_format} - | p2p-run --source - --input-size {size.width}x{size.height})"
            )
        if pixel_format is PixelFormat.YUV420P and (size.height % 2 or size.width % 2):
            raise SourceError(f"--pixel-format yuv420p needs an even --input-size, not {size.width}x{size.height}")
        self._stream = stream
        self._close_stream = close_stream
        self._shape = {
            PixelFormat.GRAY: (size.height, size.width),
            PixelFormat.YUV420P: (size.height * 3 // 2, size.width),
        }.get(pixel_format, (size.height, size.width, 3))
        self._conversion = _CONVERSIONS.get(pixel_format)
        self._size = size
        self._format = pixel_format
        self._shown = shown
        self._frames = 0
        self._stopped = False
        self._closed = False
        self._lock = threading.Lock()
        self._reads_end, self._wakes = os.pipe()
        self.fps = fps
        self.frame_size = size
        self.truncated_bytes = 0
        """How many bytes came of a last frame that did not come whole."""

    def read(self) -> Frame | None:
        """The next frame, waiting for it; None at the end, or once stopped.

        Raises:
            SourceError: if there was not one whole frame, or the pipe cannot be read.
        """
        raw = np.empty(self._shape, dtype=np.uint8)  # a new one each time: the pipeline still holds the last
        with self._lock:
            if self._stopped:
                return None
            try:
                filled = self._fill(raw)
            except OSError as error:
                raise SourceError(f"{self._shown} cannot be read: {error.strerror}") from error
        if self._stopped:
            return None
        if filled == raw.nbytes:
            self._frames += 1
            return raw if self._conversion is None else np.asarray(cv2.cvtColor(raw, self._conversion), np.uint8)
        shape = f"{self._size.width}x{self._size.height} {self._format}"
        if self._frames == 0:
            raise SourceError(
                f"{self._shown} ended after {filled} bytes, before one frame of {shape} ({raw.nbytes} bytes) was "
                "whole: do --input-size and --pixel-format match what is piped in?"
            )
        if filled:
            self.truncated_bytes = filled
            self.note = (
                f"the last frame in {self._shown} was cut off after {filled} of {raw.nbytes} bytes and left out: "
                f"if pictures look wrong, it holds no frames of {shape}"
            )
        return None

    def _fill(self, raw: NDArray[np.uint8]) -> int:
        """Read into ``raw`` until it is full, the stream ends or is stopped; how many bytes came."""
        descriptor = self._stream.fileno()
        rest = raw.reshape(-1).data
        filled = 0
        while filled < len(rest):
            self._wait(descriptor)
            if self._stopped:
                break
            try:
                count = _read_into(descriptor, rest[filled : filled + LARGEST_READ])
            except BlockingIOError:  # somebody set the pipe so: it is waited for above
                continue
            if count == 0:
                break
            filled += count
        return filled

    def _wait(self, descriptor: int) -> None:
        if sys.platform == "win32":  # pipes cannot be waited for there: the read itself does
            return
        waiting = select.poll()  # unlike select, it knows descriptors above 1023
        waiting.register(descriptor, select.POLLIN)
        waiting.register(self._reads_end, select.POLLIN)
        waiting.poll()

    def describe(self) -> str:
        """Where from, of what size, and how the pixels lie."""
        rate = f", {self.fps:g} fps" if self.fps else ", of unknown rate: a video is given 30 fps, or --input-fps"
        return f"{self._shown} ({self._size.width}x{self._size.height} {self._format}{rate})"

    def stop(self) -> None:
        """Wake a ``read`` that waits for the pipe."""
        if not self._stopped:
            self._stopped = True
            os.write(self._wakes, b"!")

    def close(self) -> None:
        """Close what was opened here; standard input stays open."""
        self.stop()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.close(self._reads_end)
            os.close(self._wakes)
            if self._close_stream:
                self._stream.close()


def open_standard_input(options: SourceOptions) -> RawSource:
    """Raw frames from standard input; ``SourceError`` if it is closed or a terminal, or their size is not known."""
    size = _required_size(STANDARD_INPUT, options)
    if sys.stdin is None:
        raise SourceError("standard input is closed: pipe raw frames into it, or give another --source")
    return RawSource(sys.stdin.buffer, size, options.pixel_format, options.input_fps)


def open_named_pipe(path: Path, options: SourceOptions) -> RawSource:
    """Raw frames from a named pipe; ``SourceError`` if it cannot be read, or their size is not known."""
    size = _required_size(str(path), options)
    try:
        # Opened to be read and nothing else, it would not be open before somebody opens it to write.
        stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    return RawSource(stream, size, options.pixel_format, options.input_fps, shown=f"the pipe {path}", close_stream=True)


def _required_size(source: str, options: SourceOptions) -> Size:
    if options.input_size is None:
        raise SourceError(
            f"--source {source} takes raw frames, which do not tell their size: add --input-size WIDTHxHEIGHT, "
            "such as --input-size 640x480"
        )
    return options.input_size


def _read_into(descriptor: int, buffer: memoryview) -> int:
    if sys.platform != "win32":
        return os.readv(descriptor, [buffer])
    data = os.read(descriptor, len(buffer))
    buffer[: len(data)] = data
    return len(data)
