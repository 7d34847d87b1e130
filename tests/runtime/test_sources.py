"""Images, patterns and the demo: complete, in order, and with one line for what cannot be read."""

import os
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from core.errors import EdgeError, SourceError
from core.frames import Frame, Size, write_image
from runtime.sources import DemoSource, ImageSource, SourceOptions, VideoSource, open_source
from runtime.sources.images import natural_key
from tests.runtime.media_helpers import read_all
from tests.runtime.stream_helpers import HEIGHT, WIDTH, numbered_frame, read_number, write_clip

SIZE = Size(HEIGHT, WIDTH)


def names_of(source: VideoSource) -> list[str | None]:
    names = []
    while source.read() is not None:
        names.append(source.frame_name)
    return names


def test_images_come_in_natural_order_with_their_names(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        write_image(tmp_path / f"shot{number}.png", numbered_frame(number))
    (tmp_path / "notes.txt").write_text("not an image")
    source = open_source(str(tmp_path), size=SIZE, options=SourceOptions(input_fps=12.5))
    assert source.describe() == f"{tmp_path} (3 images)"
    names, numbers = [], []
    while (frame := source.read()) is not None:
        names.append(source.frame_name)
        numbers.append(read_number(frame))
    assert numbers == [1, 2, 10]
    assert names == ["shot1", "shot2", "shot10"]
    assert (source.live, source.frame_count, source.frame_size, source.fps) == (False, 3, SIZE, 12.5)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a.png", "a.bmp", "b.png"], ["a.bmp", "a.png", "b"]),
        (["a.jpg", "a.png", "a.png.bmp", "b.png"], ["a.jpg", "a.png", "a.png.bmp", "b"]),
        (["x/1.png", "y/1.png", "y/2.png"], ["x_1.png", "y_1.png", "2"]),
        (["a/b_c.png", "a_b/c.png", "a/c.png"], ["b_c", "a_c.png", "a_b_c.png"]),
        (["a/b/c.png", "a/b/b_c.png", "a/b_b/c.png", "a/b_c.png"], None),
    ],
)
def test_no_two_images_share_a_name(tmp_path: Path, files: list[str], names: list[str] | None) -> None:
    for file in files:
        write_image(tmp_path / file, numbered_frame(1))
    found = names_of(ImageSource(tmp_path, [tmp_path / file for file in files]))
    assert len(set(found)) == len(files)
    assert names is None or found == names
    assert not any(os.sep in str(name) for name in found), "a name is to become a file's"


def test_natural_order_counts_numbers_as_numbers() -> None:
    names = ["b1", "a10b2", "a10b10", "a9", "2", "10", "A1"]
    assert sorted(names, key=natural_key) == ["2", "10", "A1", "a9", "a10b2", "a10b10", "b1"]


def test_one_image_is_one_frame(tmp_path: Path) -> None:
    write_image(tmp_path / "one.png", numbered_frame(77))
    frames = read_all(open_source(str(tmp_path / "one.png"), size=SIZE))
    assert [read_number(frame) for frame in frames] == [77]


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", numbered_frame(0))
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    source = ImageSource(tmp_path)
    assert source.read() is not None
    with pytest.raises(SourceError, match=r"b\.png"):
        source.read()
    with pytest.raises(SourceError, match=r"b\.png"):
        open_source(str(tmp_path / "b.png"), size=SIZE)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """``photos``: images and other files, a folder of more images, and a hidden one."""
    folder = tmp_path / "photos"
    for number, name in enumerate(["2.jpg", "10.jpg", "3.PNG", "more/1.jpg", "more/deep/4.jpg", ".hidden.jpg"]):
        write_image(folder / name, numbered_frame(number))
    (folder / "notes.txt").write_text("none\n")
    write_clip(folder / "clip.mp4", [numbered_frame(1)])
    write_clip(folder / "other.mp4", [numbered_frame(1)])
    return folder


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.jpg", ["2", "10"]),
        ("*", ["2", "3", "10"]),
        ("[0-9].*", ["2", "3"]),
        ("?.PNG", ["3"]),
        ("*/*.jpg", ["1"]),
        ("**/*.jpg", ["2", "10", "1", "4"]),
    ],
)
def test_a_pattern_takes_the_images_that_it_matches(photos: Path, pattern: str, names: list[str]) -> None:
    source = open_source(str(photos / pattern), size=SIZE)
    assert source.describe().startswith(f"{photos / pattern} ({len(names)} image")
    assert names_of(source) == names


def test_a_pattern_may_begin_at_home_or_here(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(photos.parent))
    assert open_source("~/photos/*.jpg", size=SIZE).frame_count == 2
    monkeypatch.chdir(photos)
    assert open_source("*.jpg", size=SIZE).frame_count == 2


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    write_image(tmp_path / "a[1].png", numbered_frame(5))
    write_image(tmp_path / "a1.png", numbered_frame(6))
    assert [read_number(f) for f in read_all(open_source(str(tmp_path / "a[1].png"), size=SIZE))] == [5]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("*.tiff", r"nothing matches .*\*\.tiff: check the folder and the suffix"),
        ("*.mp4", r"matches 2 files, none of them an image: of videos give one at a time, .*--source .*clip\.mp4"),
        ("c*.mp4", r"matches one file, which is no image: .*--source .*clip\.mp4"),
        ("more*", r"matches folders only: give .*more\*/\* for the images in them"),
    ],
)
def test_a_pattern_without_images_says_what_to_give(photos: Path, pattern: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as refused:
        open_source(str(photos / pattern), size=SIZE)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["nowhere.mp4", "nowhere/", "demos", "camera", "http:/one.slash", "99999"])
def test_a_missing_source_is_refused_with_the_choices(text: str) -> None:
    with pytest.raises(SourceError, match=r"camera:0, - or demo"):
        open_source(text, size=SIZE)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(SourceError, match="no images"):
        open_source(str(tmp_path), size=SIZE)


def test_what_cannot_be_looked_at_is_refused_in_a_line(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for text in ("x" * 5000, str(tmp_path / "socket"), "/dev/zero"):
            with pytest.raises(EdgeError) as refused:
                open_source(text, size=SIZE)
            assert "\n" not in str(refused.value)


def test_the_demo_is_endless_and_the_same_every_time() -> None:
    source, again = DemoSource(SIZE), DemoSource(SIZE)
    assert (source.live, source.frame_count, source.fps) == (False, None, 30.0)
    frames = [source.read() for _ in range(12)]
    assert all(frame is not None and Size(*frame.shape[:2]) == source.frame_size == (64, 64) for frame in frames)
    for frame in frames:
        np.testing.assert_array_equal(frame, again.read())
    assert not np.array_equal(frames[0], frames[-1]), "it moves"


def test_a_live_demo_waits_for_its_moment_and_can_be_woken() -> None:
    source = DemoSource(SIZE, live=True)
    assert source.read() is not None
    source._start += 1000  # the next moment is far away
    thread = threading.Thread(target=lambda: frames.append(source.read()), daemon=True)
    frames: list[Frame | None] = []
    thread.start()
    source.stop()
    thread.join(10)
    assert frames == [None]
