"""What is written: every picture, and nothing half-written."""

from pathlib import Path

import numpy as np
import pytest

from core.errors import SinkError
from core.frames import Frame, read_image
from runtime.sinks import ImageFileSink, ImageFolderSink, Picture, VideoFileSink, open_sink, video_file
from tests.runtime.stream_helpers import numbered_frame, read_clip, read_number

NS_PER_S = 1_000_000_000


def picture(index: int, *, name: str | None = None, seconds: float = 0.0, frame: Frame | None = None) -> Picture:
    shown = numbered_frame(index % 256) if frame is None else frame
    return Picture(frame=shown, seen=255 - shown, index=index, name=name, captured_ns=1 + int(seconds * NS_PER_S))


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", [*video_file.CODECS, ".MP4"])
def test_a_written_video_has_every_frame_as_it_was(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new" / f"out{suffix}"
    sink = VideoFileSink(path, fps=29.97, live=False)
    for index in range(45):
        sink.write(picture(index))
    assert not path.exists(), "it appears when it is finished"
    sink.close()
    sink.close()
    assert contents(path.parent) == [path.name]
    frames = read_clip(path)
    assert [read_number(frame) for frame in frames] == list(range(45))
    for index, frame in enumerate(frames):
        assert np.abs(frame.astype(int) - numbered_frame(index)).mean() < 8


def test_an_aborted_video_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"the one before")
    sink = VideoFileSink(tmp_path / "out.mp4", fps=30, live=False)
    sink.write(picture(0))
    sink.abort()
    sink.abort()
    sink.close()
    assert contents(tmp_path) == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_bytes() == b"the one before"


def test_a_video_without_pictures_is_not_made(tmp_path: Path) -> None:
    sink = VideoFileSink(tmp_path / "out.mp4", fps=30, live=False)
    sink.close()
    assert contents(tmp_path) == []


def test_a_video_that_lost_frames_is_an_error(tmp_path: Path) -> None:
    sink = VideoFileSink(tmp_path / "out.mp4", fps=30, live=False)
    sink.write(picture(0))
    sink.written += 1  # as if the disk had been full
    with pytest.raises(SinkError, match="2 frames were given, 1 are in the file"):
        sink.close()
    assert contents(tmp_path) == []


def test_a_codec_that_cannot_be_opened_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(video_file.CODECS, ".mp4", "zzzz")
    sink = VideoFileSink(tmp_path / "out.mp4", fps=30, live=False)
    with pytest.raises(SinkError, match="cannot write zzzz video"):
        sink.write(picture(0))
    sink.abort()
    assert contents(tmp_path) == []


def test_a_live_recording_plays_at_the_speed_of_life(tmp_path: Path) -> None:
    sink = VideoFileSink(tmp_path / "out.mp4", fps=30, live=True)
    for index in range(11):  # ten pictures a second, for a second
        sink.write(picture(index, seconds=index / 10))
    sink.close()
    numbers = [read_number(frame) for frame in read_clip(tmp_path / "out.mp4")]
    assert numbers == [index for index in range(10) for _ in range(3)] + [10]


def test_a_live_recording_of_a_source_faster_than_it_says_is_no_slow_motion(tmp_path: Path) -> None:
    sink = VideoFileSink(tmp_path / "out.mp4", fps=30, live=True)
    for index in range(120):  # sixty pictures a second, for two seconds
        sink.write(picture(index, seconds=index / 60))
    sink.close()
    numbers = [read_number(frame) for frame in read_clip(tmp_path / "out.mp4")]
    assert len(numbers) in (60, 61)
    assert all(abs(number - 2 * place) <= 2 for place, number in enumerate(numbers))


def test_a_live_recording_loses_no_picture_to_jitter(tmp_path: Path) -> None:
    sink = VideoFileSink(tmp_path / "out.mp4", fps=30, live=True)
    early_or_late = np.random.default_rng(0).uniform(-0.4, 0.4, 60)
    for index in range(60):
        sink.write(picture(index, seconds=(index + early_or_late[index] * (index > 0)) / 30))
    sink.close()
    assert [read_number(frame) for frame in read_clip(tmp_path / "out.mp4")] == list(range(60))


def test_pictures_of_another_size_are_refused(tmp_path: Path) -> None:
    sink = VideoFileSink(tmp_path / "out.mp4", fps=30, live=False)
    sink.write(picture(0))
    with pytest.raises(SinkError, match="has pictures of 48x64, and now one of 96x64 comes: leave out --native-size"):
        sink.write(picture(1, frame=numbered_frame(1, 96, 64)))
    sink.abort()


def test_images_are_named_after_their_source_or_numbered(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out.d"
    sink = ImageFolderSink(folder)
    for index, name in enumerate(("shoe", None, "b.jpg")):
        sink.write(picture(index, name=name))
    assert not folder.exists()
    sink.close()
    assert contents(folder) == ["b.jpg.png", "frame_000002.png", "shoe.png"]
    np.testing.assert_array_equal(read_image(folder / "shoe.png"), numbered_frame(0))
    assert contents(folder.parent) == ["out.d"]


def test_a_folder_keeps_what_it_held(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept")
    sink = ImageFolderSink(tmp_path / "out")
    sink.write(picture(0))
    sink.close()
    assert contents(tmp_path / "out") == ["frame_000001.png", "mine.txt"]
    again = ImageFolderSink(tmp_path / "out")
    again.write(picture(5))
    again.abort()
    assert contents(tmp_path) == ["out"]
    assert read_number(read_image(tmp_path / "out" / "frame_000001.png")) == 0


def test_a_folder_in_the_place_of_an_image_is_found_before_any_is_moved(tmp_path: Path) -> None:
    (tmp_path / "out" / "frame_000003.png").mkdir(parents=True)
    sink = ImageFolderSink(tmp_path / "out")
    for index in range(5):
        sink.write(picture(index))
    with pytest.raises(SinkError, match=r"frame_000003\.png is a folder, and an image has that name"):
        sink.close()
    assert contents(tmp_path / "out") == ["frame_000003.png"]


@pytest.mark.parametrize("name", ["folder", "image.png", "film.mp4"])
@pytest.mark.parametrize("moment", ["write", "close"])
def test_what_fails_while_writing_is_an_error_of_the_sink(tmp_path: Path, name: str, moment: str) -> None:
    path = tmp_path / "new" / name
    sink = open_sink(str(path), fps=30, live=False, frames=1)
    if moment == "close":
        sink.write(picture(0))
        path.parent.mkdir(exist_ok=True)
    if moment == "write":
        path.parent.write_text("a file is in the way")
    elif name == "folder":
        path.write_text("a file is in the way")
    else:
        path.mkdir()

    def finish() -> None:
        if moment == "write":
            sink.write(picture(0))
        sink.close()

    with pytest.raises(SinkError, match=rf"cannot write .*{name}: .*--output"):
        finish()
    sink.abort()


def test_an_image_that_cannot_be_written_into_a_folder_is_an_error_of_the_sink(tmp_path: Path) -> None:
    sink = ImageFolderSink(tmp_path / "out")
    with pytest.raises(SinkError, match=r"cannot write .*out: File name too long"):
        sink.write(picture(0, name="x" * 300))
    sink.abort()
    assert contents(tmp_path) == []


def test_one_image(tmp_path: Path) -> None:
    sink = ImageFileSink(tmp_path / "out.png")
    sink.write(picture(3))
    with pytest.raises(SinkError, match="holds one image"):
        sink.write(picture(4))
    sink.close()
    assert read_number(read_image(tmp_path / "out.png")) == 3


def test_the_path_decides_what_is_written(tmp_path: Path) -> None:
    def kind(name: str, frames: int | None = None) -> type:
        return type(open_sink(str(tmp_path / name), fps=30, live=False, frames=frames))

    assert kind("a.mp4") is VideoFileSink
    assert kind("a.AVI") is VideoFileSink
    assert kind("folder") is ImageFolderSink
    assert kind("a.png", 1) is ImageFileSink
    with pytest.raises(SinkError, match="holds one image"):
        kind("a.png", 2)
    with pytest.raises(SinkError, match=r"\.mp4"):
        kind("a.gif")
    for name in ("a.txt", "a.mp5", "a.v2"):
        with pytest.raises(SinkError, match="no such kind of file is written here"):
            kind(name)
    assert type(open_sink(f"{tmp_path}/a.txt/", fps=30, live=False, frames=None)) is ImageFolderSink
    (tmp_path / "a.v2").mkdir()
    assert kind("a.v2") is ImageFolderSink
    assert kind("2026.11.25") is ImageFolderSink


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(SinkError, match="is a file"):
        open_sink(str(tmp_path / "file"), fps=30, live=False, frames=None)
    with pytest.raises(SinkError, match="is a folder"):
        open_sink(str(tmp_path / "folder.mp4"), fps=30, live=False, frames=None)
    with pytest.raises(SinkError, match="is not a folder"):
        open_sink(str(tmp_path / "file" / "out.mp4"), fps=30, live=False, frames=None)


def test_what_the_generator_saw_can_be_written_beside_its_translation(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "x.png"), fps=None, live=False, frames=1, side_by_side=True)
    sink.write(picture(7))
    sink.notice("nothing to see")
    assert not sink.busy
    assert not sink.poll()
    sink.close()
    written = read_image(tmp_path / "x.png")
    assert np.array_equal(written, np.concatenate((255 - numbered_frame(7), numbered_frame(7)), axis=1))
