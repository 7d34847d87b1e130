"""Videos: whole, in order, upright, at their true rate; and one line for what is none."""

import threading
from pathlib import Path

import numpy as np
import pytest

from core.errors import SourceError
from core.frames import Size
from runtime.sources import VideoFileSource, open_source
from runtime.sources.video_files import SURVEYED
from tests.runtime.media_helpers import (
    lie_about_length,
    read_all,
    turn_clip,
    write_gray_clip,
    write_timed_clip,
    write_transparent_clip,
)
from tests.runtime.stream_helpers import HEIGHT, WIDTH, numbered_frame, read_clip, read_number, write_clip

SIZE = Size(HEIGHT, WIDTH)
SLOWING = [i if i < 10 else 10 + 4 * (i - 10) for i in range(20)]
"""Twenty frames, the second ten four times as slow: over 46 steps from first to last."""


def test_a_video_gives_every_frame_in_order(clip: Path) -> None:
    with open_source(str(clip), size=SIZE) as source:
        assert (source.live, source.fps, source.frame_count, source.frame_size) == (False, 25.0, 40, SIZE)
        assert source.describe() == f"{clip} (25 fps)"
        frames = read_all(source)
    assert [read_number(frame) for frame in frames] == list(range(40))
    for mine, theirs in zip(frames, read_clip(clip), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert source.captured_ns is not None


def test_a_video_that_breaks_off_ends_early_and_its_announced_length_stays_known(tmp_path: Path) -> None:
    whole = write_clip(
        tmp_path / "whole.avi",
        (np.random.default_rng(i).integers(0, 256, (64, 64, 3), dtype=np.uint8) for i in range(30)),
    )
    broken = tmp_path / "broken.avi"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with VideoFileSource(broken) as source:
        assert source.frame_count == 30
        assert 1 <= len(read_all(source)) < 30


def test_a_header_that_lies_about_its_length_is_not_waited_for(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "lie.avi", (numbered_frame(i) for i in range(30)))
    for claimed in (500, 7):
        lie_about_length(path, claimed)
        with VideoFileSource(path) as source:
            assert source.frame_count == claimed
            assert [read_number(frame) for frame in read_all(source)] == list(range(30))


def test_an_mp4_that_was_not_finished_is_refused(clip: Path) -> None:
    clip.write_bytes(clip.read_bytes()[:-700])  # what tells where frames are comes last
    with pytest.raises(SourceError, match=r"clip\.mp4 cannot be opened as a video: it is damaged, incomplete"):
        open_source(str(clip), size=SIZE)


@pytest.mark.parametrize(("height", "width", "count"), [(2160, 3840, 2), (48, 64, 1), (16, 16, 5), (1080, 2, 2)])
def test_odd_sizes_and_lengths_are_read_like_any_other(tmp_path: Path, height: int, width: int, count: int) -> None:
    frame = np.full((height, width, 3), (200, 100, 50), dtype=np.uint8)
    path = write_clip(tmp_path / "clip.mp4", [frame] * count)
    with open_source(str(path), size=SIZE) as source:
        assert (source.fps, source.frame_count, source.frame_size) == (25.0, count, Size(height, width))
        frames = read_all(source)
    assert len(frames) == count
    assert all(np.abs(found.astype(int) - frame).max() < 8 for found in frames)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", b"hello\n" * 200, "is a text file"),
        ("clip.mp4", b"hello\n" * 200, "is a text file"),
        ("noise.mp4", bytes(range(256)) * 20, "cannot be opened as a video"),
        ("empty.mp4", b"", r"is empty \(0 bytes\)"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=rf"{name} {message}") as refused:
        open_source(str(path), size=SIZE)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.parametrize("clock", [25.0, 1000.0, 90000.0])
def test_the_rate_of_a_file_of_variable_rate_is_its_average(tmp_path: Path, suffix: str, clock: float) -> None:
    """Such files tell the highest rate or the ticks of a clock; Matroska's length in frames is then wrong as well."""
    path = tmp_path / f"clip{suffix}"
    write_timed_clip(path, [round(step * clock / 25) for step in SLOWING], clock=clock)
    with open_source(str(path), size=SIZE) as source:
        assert source.fps == pytest.approx(19 / (46 / 25), rel=0.02)
        assert source.frame_count == 20
        assert [read_number(frame) for frame in read_all(source)] == list(range(20))
    assert source.describe().startswith(f"{path} (10.33 fps")


def test_of_a_long_file_only_the_beginning_is_surveyed(tmp_path: Path) -> None:
    path = write_timed_clip(tmp_path / "long.mkv", (i * 40 for i in range(SURVEYED + 100)), clock=1000.0)
    with open_source(str(path), size=SIZE) as source:
        assert source.fps == pytest.approx(25.0, rel=1e-3)


def test_a_video_comes_upright(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "held.mp4", (numbered_frame(i) for i in range(5)))
    turn_clip(path)
    with open_source(str(path), size=SIZE) as source:
        assert source.frame_size == Size(WIDTH, HEIGHT)
        frames = read_all(source)
    turned = [np.rot90(frame, -1) for frame in frames], [np.rot90(frame) for frame in frames]
    numbers = [[read_number(np.ascontiguousarray(frame)) for frame in way] for way in turned]
    assert list(range(5)) in numbers


@pytest.mark.parametrize("bits", [8, 16])
def test_a_gray_video_becomes_three_equal_channels_of_8_bits(tmp_path: Path, bits: int) -> None:
    path = write_gray_clip(tmp_path / "gray.mkv", 5, bits=bits)
    with open_source(str(path), size=SIZE) as source:
        frames = read_all(source)
    assert len(frames) == 5
    for number, frame in enumerate(frames):
        assert frame[: HEIGHT // 2].max() == 0
        assert np.abs(frame[HEIGHT // 2 :].astype(int) - 10 * (number + 1)).max() <= 1


def test_the_alpha_of_a_video_is_left_out(tmp_path: Path) -> None:
    path = write_transparent_clip(tmp_path / "clip.apng", 4)
    with open_source(str(path), size=SIZE) as source:
        assert [read_number(frame) for frame in read_all(source)][1::2] == [1, 3]
        assert source.frame_count == 4


def test_a_video_that_is_stopped_ends(clip: Path) -> None:
    with open_source(str(clip), size=SIZE) as source:
        assert source.read() is not None
        assert source.read() is not None
        thread = threading.Thread(target=source.stop)
        thread.start()
        thread.join(10)
        assert source.read() is None
    source.close()
    assert source.read() is None
