"""What frames are made of: videos, cameras, the demo, and folders however they are laid out."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import calibration.frame_sources
from calibration.frames import CalibrationSet, choose_frames
from core.conditions import Condition
from core.configuration import DataConfig, Direction, Layout
from core.errors import EdgeError, InvalidInputError, SourceError
from core.frames import Frame, Size, side_by_side, write_image
from core.pairs import Split, open_pairs
from runtime.sources import VideoSource
from tests.runtime.stream_helpers import HEIGHT, WIDTH, numbered_frame, read_number, write_clip

SIZE = Size(HEIGHT, WIDTH)
LIVE = DataConfig(height=HEIGHT, width=WIDTH)


def choose(source: Path | str | None, count: int, *, data: DataConfig = LIVE, seed: int = 0) -> CalibrationSet:
    return choose_frames(data, SIZE, source=None if source is None else str(source), count=count, seed=seed)


def numbers(chosen: CalibrationSet) -> list[int]:
    return [read_number(frame) for frame in chosen.frames]


class Camera(VideoSource):
    """30 frames a second of a clock that nobody waits for; what was made is counted."""

    live = True

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames = frames
        self.made = 0

    def read(self) -> Frame | None:
        self.made += 1
        self.captured_ns = self.made * 1_000_000_000 // 30
        return next(self._frames, None)

    def describe(self) -> str:
        return "a camera"


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> list[VideoSource]:
    """The sources that are opened instead of those asked for."""
    sources: list[VideoSource] = []
    monkeypatch.setattr(calibration.frame_sources, "open_source", lambda text, **options: sources.pop(0))
    return sources


def test_a_video_is_covered_from_end_to_end_whatever_its_length(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", (numbered_frame(i) for i in range(1, 256)))
    kept: list[int] = []
    chosen = choose_frames(LIVE, SIZE, source=str(clip), count=12, seed=0, on_frame=kept.append)
    found = numbers(chosen)
    assert len(found) == 12
    assert found[0] <= 32
    assert found[-1] >= 224
    assert max(b - a for a, b in pairwise(found)) < 4 * 255 / 12
    assert min(b - a for a, b in pairwise(found)) > 0
    assert chosen.record.seen == 255
    assert chosen.record.near_duplicates == 0
    assert max(kept) == 12
    assert numbers(choose(clip, 12)) == found
    assert numbers(choose(clip, 12, seed=1)) != found


def test_every_moment_of_a_video_has_the_same_chance(plug_in: list[VideoSource]) -> None:
    class Film(Camera):
        live = False

    drawn = []
    for seed in range(100):
        plug_in.append(Film(numbered_frame(i) for i in range(1, 101)))
        drawn += numbers(choose("http://film", 8, seed=seed))
    quarters = np.histogram(drawn, bins=[1, 26, 51, 76, 101])[0]
    assert quarters.sum() == 800
    assert quarters.min() > 150  # of 200, so that no quarter is favoured
    assert set(drawn) == set(range(1, 101)), "nor is any place in a stretch"


def test_what_stands_still_or_returns_is_taken_once(tmp_path: Path) -> None:
    shown = [*range(1, 21), *[21] * 100, *range(1, 21), *[0] * 10]
    clip = write_clip(tmp_path / "clip.mp4", (numbered_frame(i) for i in shown))
    chosen = choose(clip, 30)
    assert numbers(chosen) == list(range(1, 22))
    assert (chosen.record.seen, chosen.record.near_duplicates, chosen.record.flat) == (150, 119, 10)


def test_a_truncated_video_gives_what_it_has(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 64, (240, 320, 3), dtype=np.uint8)
    clip = write_clip(tmp_path / "clip.avi", (numbered_frame(i, 240, 320) ^ noise for i in range(1, 101)))
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) // 2])
    found = numbers(choose(clip, 10))
    assert len(found) == 10
    assert found[-1] < 70
    clip.write_bytes(whole[: len(whole) // 50])
    with pytest.raises(EdgeError) as refused:
        choose(clip, 10)
    assert "\n" not in str(refused.value)


def test_a_video_that_was_trained_on_keeps_its_held_out_frames_unseen(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", (numbered_frame(i) for i in range(1, 201)))
    data = DataConfig(source=str(clip), layout=Layout.PHOTOS, condition=Condition.GRAYSCALE, height=HEIGHT, width=WIDTH)
    train, val = (
        {read_number(pairs.read(i, SIZE).target) for i in range(len(pairs))}
        for pairs in (open_pairs(data, split) for split in (Split.TRAIN, Split.VAL))
    )
    for source in (None, clip):
        found = numbers(choose(source, 500, data=data))
        assert set(found) == train
        assert not set(found) & val
    some = choose(clip, 10, data=data).frames
    assert all(np.array_equal(frame[..., 0], frame[..., 2]) for frame in some)


def test_a_camera_is_looked_at_a_few_times_a_second_until_there_are_enough(plug_in: list[VideoSource]) -> None:
    camera = Camera(numbered_frame(1 + i % 254) for i in iter(int, 1) for i in range(10_000))
    plug_in.append(camera)
    kept: list[int] = []
    chosen = choose_frames(LIVE, SIZE, source="camera:0", count=20, seed=0, on_frame=kept.append)
    found = numbers(chosen)
    assert len(found) == 20
    assert kept == list(range(1, 21))
    assert {b - a for a, b in pairwise(found)} <= {7, 8}  # a quarter of a second
    assert camera.made < 8 * 20
    assert chosen.record.source == "camera:0"


def test_a_camera_that_ends_or_shows_nothing_new_does_not_keep_anybody_waiting(plug_in: list[VideoSource]) -> None:
    plug_in.append(Camera(numbered_frame(i) for i in range(1, 120)))
    assert len(choose("camera:0", 200).frames) == 16
    plug_in.append(Camera(numbered_frame(85) for _ in iter(int, 1)))
    with pytest.raises(InvalidInputError, match=r"camera:0 has only 1 frame .*looked at 40: 39 near-duplicates"):
        choose("0", 10)


def test_the_demo_needs_nothing_and_moves_on() -> None:
    data = DataConfig(condition=Condition.EDGES)
    once, again = (choose_frames(data, Size(64, 64), source="demo", count=9, seed=0) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(once.frames, again.frames, strict=True))
    assert set(np.unique(once.frames)) == {0, 255}


def pair(number: int) -> Frame:
    return side_by_side(numbered_frame(number), numbered_frame(255 - number))


def test_of_side_by_side_pairs_the_input_is_taken(tmp_path: Path) -> None:
    # Twice as wide as high: squares side by side.
    for number in range(1, 13):
        write_image(tmp_path / "train" / f"{number:03}.png", np.repeat(pair(number), 2, axis=0)[:WIDTH])
    square = Size(WIDTH, WIDTH)
    data = LIVE.model_copy(update={"height": WIDTH, "direction": Direction.B_TO_A})
    for root in (tmp_path, tmp_path / "train"):
        chosen = choose_frames(data, square, source=str(root), count=20, seed=0)
        assert numbers(chosen) == [255 - number for number in range(1, 13)]

    photos = data.model_copy(update={"layout": Layout.PHOTOS, "direction": Direction.A_TO_B})
    wide = data.model_copy(update={"width": 2 * WIDTH})
    chosen = choose_frames(photos, square, source=str(tmp_path), count=20, seed=0)
    np.testing.assert_array_equal(chosen.frames[0][0], pair(1)[0, WIDTH // 2 : WIDTH // 2 + WIDTH])
    chosen = choose_frames(wide, Size(WIDTH, 2 * WIDTH), source=str(tmp_path), count=20, seed=0)
    np.testing.assert_array_equal(chosen.frames[0][0], pair(1)[0])


@pytest.mark.parametrize("direction", list(Direction))
def test_of_folders_a_and_b_the_input_is_taken(tmp_path: Path, direction: Direction) -> None:
    for number in range(1, 11):
        write_image(tmp_path / "trainA" / f"{number:03}.png", numbered_frame(number))
        write_image(tmp_path / "trainB" / f"{number:03}.png", numbered_frame(number + 100))
    found = numbers(choose(tmp_path, 20, data=LIVE.model_copy(update={"direction": direction})))
    first = 1 if direction is Direction.A_TO_B else 101
    assert found == list(range(first, first + 10))


def test_images_that_the_run_keeps_apart_are_left_out_wherever_they_are_found(tmp_path: Path) -> None:
    for number in range(1, 41):
        write_image(tmp_path / "set" / "A" / f"{number:03}.png", numbered_frame(number))
        write_image(tmp_path / "set" / "B" / f"{number:03}.png", numbered_frame(number + 100))
    data = LIVE.model_copy(update={"source": str(tmp_path / "set"), "layout": Layout.FOLDERS})
    pairs = open_pairs(data, Split.VAL)
    val = {read_number(pairs.read(i, SIZE).input) for i in range(len(pairs))}
    assert val
    for source in (None, tmp_path, tmp_path / "set", tmp_path / "set" / "A"):
        assert set(numbers(choose(source, 50, data=data))) == set(range(1, 41)) - val
    assert set(numbers(choose(tmp_path / "set" / "B", 50, data=data))) == {
        number + 100 for number in range(1, 41) if number not in val
    }
    photos = data.model_copy(
        update={"source": str(tmp_path / "set" / "A"), "layout": Layout.PHOTOS, "condition": Condition.GRAYSCALE}
    )
    assert set(numbers(choose(tmp_path / "set", 50, data=photos))) == set(range(1, 41)) - val


def test_held_out_images_alone_are_refused(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for number in range(1, 21):
            write_image(tmp_path / split / f"{number:03}.png", numbered_frame(number))
    data = LIVE.model_copy(update={"source": str(tmp_path)})
    with pytest.raises(InvalidInputError, match="20 kept apart to measure fidelity"):
        choose(tmp_path / "val", 20, data=data)
    assert choose(tmp_path / "val", 20).record.frames == 20, "of another run's data they are frames like any other"


def test_what_is_no_source_is_refused_in_a_line(tmp_path: Path) -> None:
    text = tmp_path / "words.mp4"
    text.write_text("no video at all\n" * 50)
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    empty = tmp_path / "empty"
    empty.mkdir()
    broken = tmp_path / "broken"
    write_image(broken / "a.png", numbered_frame(1))
    (broken / "b.png").write_bytes(b"\x89PNG no more")
    cases: list[tuple[Path | str, type[EdgeError], str]] = [
        ("", InvalidInputError, "--calibrate is empty"),
        (tmp_path / "gone", InvalidInputError, "there is no file or folder .*give --calibrate a folder"),
        (text, SourceError, "is a text file"),
        (noise, SourceError, "cannot be opened as a video"),
        (empty, InvalidInputError, "holds no images"),
        (broken, InvalidInputError, r"b\.png is not an image"),
        (broken / "a.png", InvalidInputError, "only 1 frame to calibrate with"),
        ("x" * 5000, InvalidInputError, "cannot read"),
    ]
    for source, kind, message in cases:
        with pytest.raises(kind, match=message) as refused:
            choose(source, 8)
        assert "\n" not in str(refused.value)


def test_a_record_keeps_no_password(plug_in: list[VideoSource]) -> None:
    plug_in.append(Camera(numbered_frame(i) for i in range(1, 250)))
    chosen = choose("rtsp://me:secret@host/live", 8)
    assert chosen.record.source == "rtsp://host/live"
