"""Frames that carry their number, clips made with OpenCV alone, and the command as its user meets it."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from core.frames import Frame

HEIGHT, WIDTH = 48, 64


def numbered_frame(number: int, height: int = HEIGHT, width: int = WIDTH) -> Frame:
    """A frame that shows ``number`` (0 to 255) as eight black or white bars, which survive a lossy codec."""
    frame = np.zeros((height, width, 3), dtype=np.uint8)
    for bit in range(8):
        frame[:, bit * width // 8 : (bit + 1) * width // 8] = 255 * (number >> bit & 1)
    return frame


def read_number(frame: Frame) -> int:
    """The number that ``numbered_frame`` drew."""
    width = frame.shape[1]
    bars = [frame[:, bit * width // 8 + 2 : (bit + 1) * width // 8 - 2].mean() > 127 for bit in range(8)]
    return sum(1 << bit for bit, white in enumerate(bars) if white)


def write_clip(path: Path, frames: Iterable[Frame], *, fps: float = 25.0) -> Path:
    """A video file, written with OpenCV alone."""
    writer = None
    for frame in frames:
        if writer is None:
            size = (frame.shape[1], frame.shape[0])
            writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
            assert writer.isOpened()
        writer.write(frame)
    assert writer is not None
    writer.release()
    return path


def read_clip(path: Path) -> list[Frame]:
    """Every frame of a video file, read with OpenCV alone."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    frames = []
    while True:
        found, frame = capture.read()
        if not found:
            break
        frames.append(np.asarray(frame, dtype=np.uint8))
    capture.release()
    return frames


def run_command_line(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """``p2p-run`` in a process of its own, in the folder ``cwd`` and without a display."""
    return subprocess.run(
        [sys.executable, "-m", "runtime.command", *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def environment() -> dict[str, str]:
    """This process's environment, without a display and with the project importable from any folder."""
    hidden = {"DISPLAY", "WAYLAND_DISPLAY"}
    root = str(Path(__file__).parents[2])
    return {**{key: value for key, value in os.environ.items() if key not in hidden}, "PYTHONPATH": root}
