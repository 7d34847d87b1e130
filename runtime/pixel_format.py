"""How raw frames are laid out in a pipe. Imports nothing slow: the command line lists the names."""

from enum import StrEnum


class PixelFormat(StrEnum):
    """Pixels of raw frames, by FFmpeg's names."""

    BGR24 = "bgr24"
    RGB24 = "rgb24"
    GRAY = "gray"
    YUV420P = "yuv420p"
    """Half the bytes of the colours above; BT.601, limited range, sides of an even number of pixels."""
