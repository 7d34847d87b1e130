"""Recordings of streams that go on for long: gaps, other sizes, other containers, what killed processes left."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.errors import SinkError
from core.frames import read_image
from runtime.sinks import ImageFolderSink, VideoFileSink, open_sink
from tests.runtime.stream_helpers import numbered_frame, read_clip, read_number
from tests.runtime.test_sinks import contents, picture


def test_a_long_outage_is_left_out_and_said(tmp_path: Path) -> None:
    sink = VideoFileSink(tmp_path / "out.mp4", fps=10, live=True)
    sink.write(picture(1, seconds=0))
    sink.write(picture(2, seconds=1))  # filled
    sink.write(picture(3, seconds=3601))  # an hour
    sink.write(picture(4, seconds=3601.5))
    sink.close()
    numbers = [read_number(frame) for frame in read_clip(tmp_path / "out.mp4")]
    assert numbers == [1] * 10 + [2] * 21 + [3] * 4 + [3, 4] or numbers == [1] * 10 + [2] * 20 + [3] * 5 + [4]
    assert sink.note is not None
    assert "3598 s in which no picture came were left out" in sink.note


def test_a_live_stream_that_changes_its_size_goes_on_in_the_first_one(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "out.mp4"), fps=10, live=True, frames=None)
    sink.write(picture(1, seconds=0.0, frame=numbered_frame(1, 48, 64)))
    sink.write(picture(2, seconds=0.1, frame=numbered_frame(2, 96, 128)))
    sink.close()
    assert [frame.shape for frame in read_clip(tmp_path / "out.mp4")] == [(48, 64, 3)] * 2
    assert "pictures of 96x128 were cut to the first one's 48x64" in (sink.note or "")


@pytest.mark.parametrize(("suffix", "fps"), [(".wmv", 24.3456), (".wmv", 7.3), (".flv", 59.94), (".mkv", 23.976)])
def test_a_complete_video_is_kept_whatever_its_container_tells(suffix: str, fps: float, tmp_path: Path) -> None:
    sink = VideoFileSink(tmp_path / f"out{suffix}", fps=fps, live=False)
    for index in range(600):
        sink.write(picture(index, frame=np.full((16, 16, 3), index % 256, dtype=np.uint8)))
    sink.close()
    assert len(read_clip(tmp_path / f"out{suffix}")) == 600


@pytest.mark.parametrize("suffix", [".wmv", ".flv", ".mkv", ".mp4"])
def test_a_video_that_lacks_frames_is_found_out(suffix: str, tmp_path: Path) -> None:
    sink = VideoFileSink(tmp_path / f"out{suffix}", fps=30, live=False)
    for index in range(50):
        sink.write(picture(index))
    sink.written += 1
    with pytest.raises(SinkError, match="51 frames were given, 50 are in the file"):
        sink.close()
    assert contents(tmp_path) == []


def dead_process() -> int:
    """The number of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / f".out.{dead_process()}.partial.mp4").write_bytes(b"x")
    (tmp_path / f".out.{os.getppid()}.partial.mp4").write_bytes(b"another's, at work")
    (tmp_path / ".out.mine.partial.mp4").write_bytes(b"not ours")
    left = tmp_path / f".pictures.{dead_process()}.abc.partial"
    left.mkdir()
    video, images = VideoFileSink(tmp_path / "out.mp4", fps=30, live=False), ImageFolderSink(tmp_path / "pictures")
    for sink in (video, images):
        sink.write(picture(0))
        sink.close()
    kept = [".out.mine.partial.mp4", f".out.{os.getppid()}.partial.mp4", "out.mp4", "pictures"]
    assert contents(tmp_path) == sorted(kept)


def test_images_are_made_within_a_folder_that_is_there(tmp_path: Path) -> None:
    """It may be a disk of its own, to which nothing can be moved from outside."""
    folder = tmp_path / "disk"
    folder.mkdir()
    sink = ImageFolderSink(folder)
    sink.write(picture(7))
    assert contents(tmp_path) == ["disk"]
    (partial,) = folder.iterdir()
    assert partial.name.startswith(".disk.")
    sink.close()
    assert contents(folder) == ["frame_000001.png"]
    assert read_number(read_image(folder / "frame_000001.png")) == 7


def test_a_folder_under_one_that_cannot_be_written_to_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != tmp_path)
    ImageFolderSink(folder)
    with pytest.raises(SinkError, match="no permission in"):
        ImageFolderSink(tmp_path / "other")


def test_counting_needs_no_decoding(tmp_path: Path) -> None:
    from runtime.sinks.video_file import _count_packets

    path = tmp_path / "a.mkv"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (16, 16))
    for _ in range(5):
        writer.write(np.zeros((16, 16, 3), np.uint8))
    writer.release()
    assert _count_packets(path) == 5
    assert _count_packets(tmp_path / "none.mkv") == 0
