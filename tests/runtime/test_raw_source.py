"""Raw frames from a pipe: all of them, whole, in order, and nobody left waiting."""

import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.errors import SourceError
from core.frames import Frame, Size
from runtime.sources import PixelFormat, RawSource, SourceOptions, open_source
from tests.runtime.media_helpers import read_all
from tests.runtime.stream_helpers import HEIGHT, WIDTH, environment, numbered_frame, read_number

SIZE = Size(HEIGHT, WIDTH)
RAW = SourceOptions(input_size=SIZE)
BYTES = HEIGHT * WIDTH * 3


@pytest.fixture
def pipe() -> Iterator[tuple[FileIO, FileIO]]:
    """The end of a pipe that is read, and the one that is written to."""
    reads, writes = os.pipe()
    with FileIO(reads, "r") as reader, FileIO(writes, "w") as writer:
        yield reader, writer


def write_all(writer: FileIO, data: bytes) -> threading.Thread:
    """Have a thread write ``data`` and close the pipe."""

    def work() -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(writer.fileno(), rest[:5000]) :]  # frames do not come in one piece
        writer.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_every_frame_comes_once_whole_and_stays_as_it_was(pipe: tuple[FileIO, FileIO]) -> None:
    thread = write_all(pipe[1], b"".join(numbered_frame(i).tobytes() for i in range(100)))
    with RawSource(pipe[0], SIZE, fps=30.0) as source:
        assert (source.live, source.fps, source.frame_count, source.frame_size) == (False, 30.0, None, SIZE)
        frames = read_all(source)  # all are kept, so a buffer that is used again would show
        assert [read_number(frame) for frame in frames] == list(range(100))
        assert source.describe() == "standard input (64x48 bgr24, 30 fps)"
        assert source.note is None
        assert source.read() is None
    thread.join(10)


@pytest.mark.parametrize(
    ("pixel_format", "conversion", "tolerance"),
    [
        (PixelFormat.BGR24, None, 0),
        (PixelFormat.RGB24, cv2.COLOR_BGR2RGB, 0),
        (PixelFormat.GRAY, cv2.COLOR_BGR2GRAY, 0),
        (PixelFormat.YUV420P, cv2.COLOR_BGR2YUV_I420, 3),
    ],
)
def test_pixels_are_understood(
    pipe: tuple[FileIO, FileIO], pixel_format: PixelFormat, conversion: int | None, tolerance: int
) -> None:
    colours = [(200, 100, 50), (10, 20, 230)] if pixel_format is not PixelFormat.GRAY else [(7, 7, 7), (250, 250, 250)]
    frames: list[Frame] = [np.full((HEIGHT, WIDTH, 3), colour, np.uint8) for colour in colours]
    raw = [frame if conversion is None else cv2.cvtColor(frame, conversion) for frame in frames]
    write_all(pipe[1], b"".join(np.asarray(data).tobytes() for data in raw)).join(10)
    found = read_all(RawSource(pipe[0], SIZE, pixel_format))
    assert len(found) == 2
    for mine, theirs in zip(found, frames, strict=True):
        assert np.abs(mine.astype(int) - theirs).max() <= tolerance


def test_a_last_frame_that_is_cut_off_is_left_out_and_told(pipe: tuple[FileIO, FileIO]) -> None:
    write_all(pipe[1], numbered_frame(3).tobytes() + b"\0" * 1000)
    source = RawSource(pipe[0], SIZE)
    assert [read_number(frame) for frame in read_all(source)] == [3]
    assert source.truncated_bytes == 1000
    assert source.note is not None
    assert f"cut off after 1000 of {BYTES} bytes" in source.note


@pytest.mark.parametrize("length", [0, 1, BYTES - 1])
def test_not_one_whole_frame_is_an_error(pipe: tuple[FileIO, FileIO], length: int) -> None:
    write_all(pipe[1], b"\0" * length)
    with pytest.raises(SourceError, match=rf"ended after {length} bytes, before one frame of 64x48 bgr24 \({BYTES}"):
        RawSource(pipe[0], SIZE).read()


def test_a_read_that_waits_ends_when_stopped(pipe: tuple[FileIO, FileIO]) -> None:
    os.write(pipe[1].fileno(), b"\0" * 100)  # and then nothing more
    source = RawSource(pipe[0], SIZE)
    answers: list[Frame | None] = []
    thread = threading.Thread(target=lambda: answers.append(source.read()), daemon=True)
    thread.start()
    source.stop()
    thread.join(10)
    assert answers == [None]
    source.stop()
    source.close()
    source.close()
    source.stop()
    assert source.read() is None
    assert not pipe[0].closed, "it is whoever opened it who closes it"


def test_closing_ends_a_read_that_waits(pipe: tuple[FileIO, FileIO]) -> None:
    source = RawSource(pipe[0], SIZE)
    thread = threading.Thread(target=source.read, daemon=True)
    thread.start()
    source.close()
    thread.join(10)
    assert not thread.is_alive()


def test_a_pipe_that_somebody_set_not_to_wait_is_waited_for(pipe: tuple[FileIO, FileIO]) -> None:
    os.set_blocking(pipe[0].fileno(), False)
    source = RawSource(pipe[0], SIZE)
    thread = write_all(pipe[1], b"".join(numbered_frame(i).tobytes() for i in range(20)))
    assert [read_number(frame) for frame in read_all(source)] == list(range(20))
    thread.join(10)


def test_a_terminal_is_refused_with_an_example() -> None:
    leader, follower = pty.openpty()
    with (
        FileIO(leader, "r"),
        FileIO(follower, "r") as terminal,
        pytest.raises(SourceError, match=r"is a terminal: pipe raw frames .*--source - --input-size 64x48"),
    ):
        RawSource(terminal, SIZE)


@pytest.mark.parametrize("text", ["-", "pipe"])
def test_raw_frames_need_their_size(tmp_path: Path, text: str) -> None:
    if text == "pipe":
        text = str(tmp_path / "pipe")
        os.mkfifo(text)
    with pytest.raises(SourceError, match="add --input-size WIDTHxHEIGHT"):
        open_source(text, size=SIZE)


def test_odd_sides_cannot_be_yuv420p(pipe: tuple[FileIO, FileIO]) -> None:
    with pytest.raises(SourceError, match="yuv420p needs an even --input-size, not 63x48"):
        RawSource(pipe[0], Size(48, 63), PixelFormat.YUV420P)


def test_a_named_pipe_is_read_whenever_somebody_writes(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    os.mkfifo(path)
    with open_source(str(path), size=SIZE, options=RAW) as source:  # nobody has opened it to write: no waiting
        frames: list[Frame] = []
        thread = threading.Thread(target=lambda: frames.extend(read_all(source)), daemon=True)
        thread.start()
        path.write_bytes(b"".join(numbered_frame(i).tobytes() for i in range(30)))
        thread.join(10)
    assert [read_number(frame) for frame in frames] == list(range(30))
    unknown = "of unknown rate: a video is given 30 fps, or --input-fps"
    assert source.describe() == f"the pipe {path} (64x48 bgr24, {unknown})"


def test_a_named_pipe_that_nobody_writes_to_can_be_given_up(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    os.mkfifo(path)
    source = open_source(str(path), size=SIZE, options=RAW)
    answers: list[Frame | None] = []
    thread = threading.Thread(target=lambda: answers.append(source.read()), daemon=True)
    thread.start()
    source.stop()
    thread.join(10)
    assert answers == [None]
    source.close()


PROGRAM = f"""
from core.frames import Size
from runtime.sources import SourceOptions, open_source
source = open_source("-", size=Size(1, 1), options=SourceOptions(input_size=Size({HEIGHT}, {WIDTH})))
sums = []
while (frame := source.read()) is not None:
    sums.append(int(frame.sum()))
print(sums)
"""


def test_standard_input_is_read_to_its_end() -> None:
    frames = [numbered_frame(i) for i in range(20)]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=b"".join(frame.tobytes() for frame in frames),
        env=environment(),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.decode().strip() == str([int(frame.sum()) for frame in frames])


def test_closed_standard_input_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import os, sys; os.close(0); sys.stdin = None\n" + PROGRAM],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "SourceError: standard input is closed: pipe raw frames into it" in done.stderr
