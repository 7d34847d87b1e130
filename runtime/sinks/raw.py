"""Raw frames on standard output, for another program to read."""

import os
import select
import stat
import sys
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from core.errors import SinkError
from runtime.sinks.base import OneSize, Picture, VideoSink

STANDARD_OUTPUT: Final = "-"
WAIT_MS: Final = 100
"""How long a pipe is waited for before it is asked whether the user wants to end."""


class RawSink(VideoSink):
    """Writes each picture as ``height * width * 3`` bytes, rows from the top, BGR: FFmpeg's ``bgr24``.

    A reader who goes away ends the stream as closing a window does; one who stands still is waited for until the user
    wants to end.
    """

    def __init__(self, stream: BinaryIO | None = None, *, fitted: bool = False) -> None:
        """Write to ``stream``, by default standard output; ``SinkError`` if that is closed or a terminal.

        ``fitted``: pictures of another size than the first one's are cut to it; else they are refused.
        """
        if stream is None and (sys.stdout is None or sys.__stdout__ is None):
            raise SinkError("--output - writes to standard output, and that is closed: give another --output")
        self._stream: BinaryIO = stream or sys.stdout.buffer
        self._one_size = OneSize("standard output", fitted=fitted)
        self._gone = self._ending = False
        if self._stream.isatty():
            raise SinkError(
                "--output - writes raw frames, which a terminal cannot show: "
                "pipe them, for example into ffplay -f rawvideo -pixel_format bgr24 -video_size 256x256 -"
            )
        self._waits = _pipe_of(self._stream)

    @property
    def note(self) -> str | None:
        """That pictures were cut, if any were."""
        return self._one_size.note

    def write(self, picture: Picture) -> None:
        """Write one picture, whole."""
        if self._gone:
            return
        data = np.ascontiguousarray(self._one_size.of(picture.frame)).data.cast("B")
        try:
            if self._waits is None:
                self._stream.write(data)
                self._stream.flush()
            else:
                self._write_to_pipe(self._waits, data)
        except BrokenPipeError:
            self._gone = True
            if self._stream is sys.stdout.buffer:
                # The interpreter flushes what is left once more when it ends, and would complain.
                with Path(os.devnull).open("wb") as nowhere:
                    os.dup2(nowhere.fileno(), self._stream.fileno())
        except OSError as error:
            raise SinkError(f"cannot write to standard output: {error.strerror or error}") from error

    def _write_to_pipe(self, pipe: int, data: memoryview) -> None:
        """As much at a time as a pipe that is ready takes without waiting (pipe(7), ``PIPE_BUF``)."""
        waiting = select.poll()
        waiting.register(pipe, select.POLLOUT)
        place = 0
        while place < len(data) and not self._gone:
            if waiting.poll(WAIT_MS):
                place += os.write(pipe, data[place : place + select.PIPE_BUF])
            else:
                self._gone = self._ending

    def interrupt(self) -> None:
        """Wait no longer for a reader who stands still."""
        self._ending = True

    def poll(self) -> bool:
        """Whether the reader has gone."""
        return self._gone

    def close(self) -> None:
        """Nothing is left to be written."""

    def abort(self) -> None:
        """What was written is with the reader."""


def _pipe_of(stream: BinaryIO) -> int | None:
    """The descriptor of ``stream`` if it is a pipe or a socket, whose reader may stand still."""
    if sys.platform == "win32":
        return None
    try:
        descriptor = stream.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError):
        return None
    return descriptor if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None
