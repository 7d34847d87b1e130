"""Every frame of a source; and video files of the kinds that phones and recorders leave, made by OpenCV alone."""

import struct
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from core.frames import Frame
from runtime.sources import VideoSource
from tests.runtime.stream_helpers import HEIGHT, WIDTH, numbered_frame


def read_all(source: VideoSource) -> list[Frame]:
    """Every frame that is left in ``source``; each is checked to be one."""
    frames = []
    while (frame := source.read()) is not None:
        assert frame.dtype == np.uint8
        assert frame.ndim == 3
        assert frame.flags.c_contiguous
        frames.append(frame)
    return frames


def write_timed_clip(path: Path, times: Iterable[int], *, clock: float) -> Path:
    """Numbered frames at these ``times``, in ticks of a ``clock`` that the file also gives as its rate."""
    parameters = [cv2.VIDEOWRITER_PROP_RAW_VIDEO, 1]
    writer = cv2.VideoWriter(
        str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), clock, (WIDTH, HEIGHT), parameters
    )
    assert writer.isOpened()
    for number, time in enumerate(times):
        writer.set(cv2.VIDEOWRITER_PROP_PTS, time)
        writer.set(cv2.VIDEOWRITER_PROP_KEY_FLAG, 1)
        writer.write(cv2.imencode(".jpg", numbered_frame(number))[1].ravel())
    writer.release()
    return path


def write_gray_clip(path: Path, count: int, *, bits: int) -> Path:
    """``count`` lossless frames of one channel of 8 or 16 ``bits``: half black, half numbered in steps of 8 bits."""
    parameters = [cv2.VIDEOWRITER_PROP_IS_COLOR, 0, cv2.VIDEOWRITER_PROP_DEPTH, cv2.CV_8U if bits == 8 else cv2.CV_16U]
    writer = cv2.VideoWriter(
        str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"FFV1"), 25.0, (WIDTH, HEIGHT), parameters
    )
    assert writer.isOpened()
    for number in range(count):
        frame = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
        frame[HEIGHT // 2 :] = 10 * (number + 1)
        writer.write(frame if bits == 8 else frame.astype(np.uint16) * 257)
    writer.release()
    return path


def write_transparent_clip(path: Path, count: int) -> Path:
    """An animated PNG of ``count`` numbered frames, the even ones wholly transparent."""
    animation = cv2.Animation()
    animation.frames = [
        np.dstack([numbered_frame(i), np.full((HEIGHT, WIDTH), 255 * (i % 2), np.uint8)]) for i in range(count)
    ]
    animation.durations = np.full(count, 40)
    encoded, data = cv2.imencodeanimation(".png", animation)
    assert encoded
    path.write_bytes(np.asarray(data).tobytes())
    return path


def turn_clip(path: Path) -> None:
    """Have an MP4 file say that it was held a quarter turn (the matrix of ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    header = data.index(b"tkhd") + 4
    assert data[header] == 0, "version 1 has longer times"
    struct.pack_into(">9i", data, header + 40, 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def lie_about_length(path: Path, frames: int) -> None:
    """Have an AVI file say in both of its headers that it holds ``frames``."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"avih") + 8 + 16, frames)
    struct.pack_into("<I", data, data.index(b"strh") + 8 + 32, frames)
    path.write_bytes(data)
