"""Pairs of a video: different frames only, splits apart in time, whatever the file says of itself."""

import struct
import threading
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

import core.video
from core.conditions import Condition
from core.configuration import DataConfig, Layout
from core.errors import InvalidInputError
from core.frames import Frame, Size
from core.pairs import Split, open_pairs
from core.splits import split_in_time

SIZE = Size(32, 32)


def picture(number: int, *, height: int = 48, width: int = 64) -> Frame:
    """A bar that has moved ``number`` times, on gray that tells the number in steps of 2."""
    frame = np.full((height, width, 3), 20 + 2 * (number % 100), np.uint8)
    place = number * 8 % (width - 8)
    frame[:, place : place + 8] = 250
    return frame


def write_video(path: Path, frames: Sequence[Frame], codec: str = "MJPG") -> Path:
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 25, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def config(path: Path, condition: Condition = Condition.EDGES, size: Size = SIZE) -> DataConfig:
    return DataConfig(source=str(path), layout=Layout.PHOTOS, condition=condition, height=size.height, width=size.width)


def names(data: DataConfig, split: Split) -> list[int]:
    source = open_pairs(data, split)
    return [int(source.name(i).removeprefix("frame ")) for i in range(len(source))]


def test_pairs_are_the_frames_and_their_condition(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.avi", [picture(i) for i in range(30)])
    source = open_pairs(config(clip), Split.TRAIN)
    for index in (len(source) - 1, 0):
        number = int(source.name(index).removeprefix("frame "))
        pair = source.read(index, Size(48, 64))
        assert np.abs(pair.target.astype(int) - picture(number)).mean() < 3  # what JPEG does to it
        np.testing.assert_array_equal(pair.input, Condition.EDGES.apply(pair.target))
    assert source.read(0, SIZE).target.shape == (32, 32, 3)


def test_what_stands_still_is_used_once_and_what_moves_outside_the_picture_not_at_all(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)

    def still(seed: int) -> Frame:
        frame = picture(seed).astype(int) + noise.integers(-4, 5, (48, 64, 3))
        return np.clip(frame, 0, 255).astype(np.uint8)

    clip = write_video(tmp_path / "clip.avi", [still(1)] * 10 + [still(3) for _ in range(10)] + [still(5)] * 10)
    assert sorted(names(config(clip), Split.TRAIN) + names(config(clip), Split.VAL)) == [0, 10, 20]

    beside = [picture(0, width=128) for _ in range(10)]
    for i, frame in enumerate(beside):
        frame[:, :8] = 25 * i  # the middle 48 of 128 columns are what a square picture shows
        frame[:, 8:] = 20
    clip = write_video(tmp_path / "beside.avi", beside)
    assert names(config(clip), Split.TRAIN) == [0]
    assert len(names(config(clip, size=Size(48, 128)), Split.TRAIN)) > 5


@pytest.mark.parametrize("count", [2, 3, 10, 19, 20, 45, 200, 2000, 1999])
def test_validation_frames_are_stretches_of_time_with_a_gap_around_them(count: int) -> None:
    train, val = (split_in_time(range(count), split) for split in (Split.TRAIN, Split.VAL))
    assert train
    assert len(val) == max(1, count // 10) if count < 200 else abs(len(val) - count // 10) < 5
    assert not set(train) & set(val)
    assert split_in_time(range(count), Split.TEST) == []
    stretches = 1 + sum(b - a > 1 for a, b in pairwise(val))
    assert stretches <= 5
    if count >= 20:
        assert min(abs(a - b) for a in train for b in (val[0], val[-1])) > 1
    assert len(train) + len(val) >= 0.84 * count


def test_a_long_video_gives_frames_of_its_whole_length_up_to_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_video(tmp_path / "clip.avi", [picture(i) for i in range(60)])
    monkeypatch.setattr(core.video, "MAX_FRAMES", 12)
    used = sorted(names(config(clip), Split.TRAIN) + names(config(clip), Split.VAL))
    assert used == list(range(0, 60, 5))
    monkeypatch.setattr(core.video, "FRAME_BYTES", 6 * 32 * 32 * 3 * core.video.ENLARGED)
    assert sorted(names(config(clip), Split.TRAIN) + names(config(clip), Split.VAL)) == list(range(0, 60, 10))


def test_the_frames_are_decoded_once_for_all_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_video(tmp_path / "clip.avi", [picture(i) for i in range(30)])
    source = open_pairs(config(clip), Split.TRAIN)
    opened: list[Path] = []
    open_video = core.video.open_video
    monkeypatch.setattr(core.video, "open_video", lambda path: opened.append(path) or open_video(path))
    read: list[Frame] = []
    threads = [threading.Thread(target=lambda: read.append(source.read(3, SIZE).target)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read) == 8
    assert all(np.array_equal(frame, read[0]) for frame in read)
    assert len(opened) == 1


def test_a_header_that_lies_and_a_file_that_was_cut_off_give_what_frames_there_are(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.avi", [picture(i) for i in range(40)])
    data = bytearray(clip.read_bytes())
    for promised in (0, 4, 100_000):
        lying = tmp_path / f"lying{promised}.avi"
        place = data.index(b"avih") + 8 + 16  # dwTotalFrames of the main header, and dwLength of the stream's
        data[place : place + 4] = struct.pack("<I", promised)
        place = data.index(b"strh") + 8 + 32
        data[place : place + 4] = struct.pack("<I", promised)
        lying.write_bytes(data)
        assert sorted(names(config(lying), Split.TRAIN) + names(config(lying), Split.VAL))[-1] >= 37
    cut = tmp_path / "cut.avi"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    source = open_pairs(config(cut), Split.TRAIN)
    assert 5 < len(source) < 30
    assert source.read(len(source) - 1, SIZE).target.std() > 1


def test_a_video_that_was_held_upright_is_turned(tmp_path: Path) -> None:
    frames = []
    for i in range(10):
        frame = np.zeros((48, 96, 3), np.uint8)
        frame[:, :48] = 150 + 10 * i  # the left half is bright: turned clockwise, it is on top
        frames.append(frame)
    clip = write_video(tmp_path / "clip.mp4", frames, "mp4v")
    data = bytearray(clip.read_bytes())
    place = data.index(b"tkhd") + 4 + 40  # the matrix of the track header (ISO/IEC 14496-12, 8.3.2)
    one = 1 << 16
    data[place : place + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 48 * one, 0, 1 << 30)
    clip.write_bytes(data)
    target = open_pairs(config(clip, size=Size(96, 48)), Split.TRAIN).read(0, Size(96, 48)).target
    assert target[:40].mean() > 120
    assert target[56:].mean() < 30


def test_what_is_no_video_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 99)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    whole = write_video(tmp_path / "whole.mp4", [picture(i) for i in range(10)], "mp4v").read_bytes()
    (tmp_path / "head.mp4").write_bytes(whole[: len(whole) // 2])  # the index of an MP4 lies at its end
    clip = write_video(tmp_path / "clip.avi", [picture(0)]).read_bytes()
    (tmp_path / "bare.avi").write_bytes(clip[: clip.index(b"movi") + 4])
    for name in ("text.mp4", "empty.mp4", "noise.mp4", "head.mp4", "bare.avi", "missing.mp4"):
        with pytest.raises(InvalidInputError, match=name) as caught:
            open_pairs(config(tmp_path / name), Split.TRAIN)
        assert "\n" not in str(caught.value)


def test_a_video_that_changed_meanwhile_is_noticed(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.avi", [picture(i) for i in range(30)])
    source = open_pairs(config(clip), Split.TRAIN)
    write_video(clip, [picture(i) for i in range(5)])
    with pytest.raises(InvalidInputError, match="can no longer be decoded"):
        source.read(0, SIZE)
    assert max(names(config(clip), Split.TRAIN)) <= 4
