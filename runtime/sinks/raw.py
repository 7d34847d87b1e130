"""Raw frames on standard output, for another program to read."""

import os
import sys
from pathlib import Path
from typing import BinaryIO, Final

from core.errors import SinkError
from runtime.sinks.base import Picture, VideoSink

STANDARD_OUTPUT: Final = "-"


class RawSink(VideoSink):
    """Writes each picture as ``height * width * 3`` bytes, rows from the top, BGR: FFmpeg's ``bgr24``.

    A reader who goes away ends the stream as closing a window does.
    """

    def __init__(self, stream: BinaryIO | None = None) -> None:
        """Write to ``stream``, by default standard output; ``SinkError`` if that is closed or a terminal."""
        if stream is None and sys.stdout is None:
            raise SinkError("--output - writes to standard output, and that is closed: give another --output")
        self._stream: BinaryIO = stream or sys.stdout.buffer
        self._gone = False
        if self._stream.isatty():
            raise SinkError(
                "--output - writes raw frames, which a terminal cannot show: "
                "pipe them, for example into ffplay -f rawvideo -pixel_format bgr24 -video_size 256x256 -"
            )

    def write(self, picture: Picture) -> None:
        """Write one picture, whole."""
        if self._gone:
            return
        try:
            self._stream.write(picture.frame.data)
            self._stream.flush()
        except BrokenPipeError:
            self._gone = True
            if self._stream is sys.stdout.buffer:
                # The interpreter flushes what is left once more when it ends, and would complain.
                with Path(os.devnull).open("wb") as nowhere:
                    os.dup2(nowhere.fileno(), self._stream.fileno())
        except OSError as error:
            raise SinkError(f"cannot write to standard output: {error.strerror or error}") from error

    def poll(self) -> bool:
        """Whether the reader has gone."""
        return self._gone

    def close(self) -> None:
        """Nothing is left to be written."""

    def abort(self) -> None:
        """What was written is with the reader."""
