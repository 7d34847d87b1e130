"""Where frames for calibration come from, as a live stream would bring them: cropped, resized, after the condition."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.conditions import Condition
from core.configuration import BUILT_IN_DATA, DataConfig, Layout, Task
from core.data_layout import detect_layout, find_root, image_folder, odd_one_out, pair_folders, readable
from core.errors import InvalidInputError
from core.frames import Frame, Size, fit, list_images
from core.image_pairs import FolderPairs, Photographs, SideBySideImages, match_names
from core.pairs import PairSource, SelectedPairs, Split, open_pairs
from core.places import expanded
from core.video import VideoFrames, decode_frames
from runtime.sources import CAMERA, DEMO, URL, DemoSource, VideoSource, hide_password, open_source

SAMPLES_A_SECOND: Final = 4.0
"""Frames looked at of a source without an end: consecutive ones would all show the same moment."""
CHOICES: Final = "a folder of images, a video, a URL, camera:0 or demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedFrames:
    """Frames that can be read in any order, so that only those needed are."""

    count: int
    read: Callable[[Sequence[int]], Iterable[Frame]]
    """The frames of these numbers, given in rising order."""
    held_out: int = 0
    """How many more there were, which are kept apart to measure fidelity on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedFrames:
    """Frames that come one after the other, nobody knows how many."""

    frames: Iterator[Frame]
    endless: bool
    """Whether somebody has to say when there are enough."""


@contextmanager
def open_frames(data: DataConfig, size: Size, source: str | None) -> Iterator[IndexedFrames | StreamedFrames]:
    """What a generator trained on ``data`` is given of ``source``: ``uint8 [H, W, 3]`` BGR frames of ``size``.

    None stands for the inputs of the training pairs; so does the run's own folder or video, whose held-out frames are
    to stay unseen. In another folder:

    - folders A and B hold pairs, and the inputs are those of the run's direction;
    - images that are all exactly twice as wide as high are side-by-side pairs, if the run was trained on such and its
      own inputs are not twice as wide as high: again the half that is the input;
    - any other image is what a camera would show: cropped, resized, and passed through the condition.

    Of a folder with ``train/``, that is used; images that the run keeps apart for fidelity are left out wherever they
    are found. Anything else is opened as ``p2p-run`` opens it. Of a camera, a stream or the demo,
    ``SAMPLES_A_SECOND`` frames are taken.

    Raises:
        InvalidInputError: if there is no such thing, or it is not laid out as pairs must be.
        SourceError: if it cannot be opened.
    """
    if source is None:
        yield _indexed(open_pairs(data, Split.TRAIN), size)
        return
    path = find_source(source)
    if path is not None:
        path = path.resolve()
        root = find_root(path) if path.is_dir() else path
        if data.source != BUILT_IN_DATA and Path(data.source).resolve() in (path, root):
            yield _indexed(open_pairs(data, Split.TRAIN), size)
            return
        if path.is_dir():
            yield _open_folder(root, data, size)
            return
    # As in p2p-run: a generator whose input is made of photographs is shown some.
    photos = data.condition is not Condition.IDENTITY or data.layout is Layout.PHOTOS
    with open_source(source, size=size, demo_photos=photos) as opened:
        endless = opened.live or isinstance(opened, DemoSource)
        frames = _sampled(opened) if endless else _all(opened)
        yield StreamedFrames(frames=(data.condition.apply(fit(frame, size)) for frame in frames), endless=endless)


def shown(source: str) -> str:
    """``source`` as a record keeps it: a URL without its password, camera ``0`` as ``camera:0``."""
    camera = CAMERA.fullmatch(source)
    if camera is not None and not Path(source).exists():
        return f"camera:{int(camera[1])}"
    return hide_password(source) if URL.match(source) else source


def find_source(source: str) -> Path | None:
    """The path that ``source`` is; None if it is a camera, a URL or the demo.

    Raises:
        InvalidInputError: if it can be nothing at all.
    """
    if not source:
        raise InvalidInputError(f"--calibrate is empty: give {CHOICES}")
    if source == DEMO or URL.match(source):
        return None
    path = expanded(source)
    with readable(path):
        if path.exists():
            if path.is_file() or path.is_dir():
                return path
            raise InvalidInputError(f"{source} is a pipe or a device: give --calibrate {CHOICES}")
    if CAMERA.fullmatch(source):
        return None
    raise InvalidInputError(f"there is no file or folder {source}: give --calibrate {CHOICES}")


def _indexed(pairs: PairSource, size: Size, *, held_out: int = 0) -> IndexedFrames:
    if isinstance(pairs, VideoFrames):  # which would decode all of its frames and keep them

        def decode(indices: Sequence[int]) -> Iterator[Frame]:
            numbers = [pairs.numbers[index] for index in indices]
            return map(pairs.condition.apply, decode_frames(pairs.path, numbers, size))

        return IndexedFrames(count=len(pairs), read=decode)

    def read(indices: Sequence[int]) -> Iterator[Frame]:
        return (pairs.read(index, size).input for index in indices)

    return IndexedFrames(count=len(pairs), read=read, held_out=held_out)


def _open_folder(root: Path, data: DataConfig, size: Size) -> IndexedFrames:
    kept_apart = _held_out_files(data, beside=root)
    if detect_layout(root, condition=Condition.IDENTITY, task=Task.TRANSLATE) is Layout.FOLDERS:
        folders = pair_folders(root, Split.TRAIN)
        assert folders is not None  # for training it raises instead
        matched = match_names(*folders)
        kept = [pair for pair in matched if not kept_apart.intersection(pair)]
        return _indexed(FolderPairs(root, kept, data.direction), size, held_out=len(matched) - len(kept))
    folder = image_folder(root, Split.TRAIN)
    assert folder is not None  # without train/ it is the root
    found = list_images(folder)
    images = [path for path in found if path not in kept_apart]
    side_by_side = data.layout is Layout.PAIRS and data.width != 2 * data.height and odd_one_out(root) is None
    pairs: PairSource = (
        SideBySideImages(root, images, data.direction) if side_by_side else Photographs(root, images, data.condition)
    )
    return _indexed(pairs, size, held_out=len(found) - len(images))


def _held_out_files(data: DataConfig, *, beside: Path) -> set[Path]:
    """The images that a run of ``data`` keeps apart, if its folder and ``beside`` can have any in common."""
    if data.source == BUILT_IN_DATA:
        return set()
    root = Path(data.source).resolve()
    if not root.is_dir() or not (beside.is_relative_to(root) or root.is_relative_to(beside)):
        return set()
    pairs = open_pairs(data.model_copy(update={"source": str(root)}), Split.VAL)
    pairs = pairs.source if isinstance(pairs, SelectedPairs) else pairs
    if isinstance(pairs, FolderPairs):
        return {path for pair in pairs.pairs for path in pair}
    assert isinstance(pairs, SideBySideImages | Photographs)
    return set(pairs.images)


def _all(source: VideoSource) -> Iterator[Frame]:
    while (frame := source.read()) is not None:
        yield frame


def _sampled(source: VideoSource) -> Iterator[Frame]:
    """``SAMPLES_A_SECOND`` frames of ``source``; the others are read as well, or a camera would hand over old ones."""
    period = 1 / SAMPLES_A_SECOND
    due = float("-inf")
    number = 0
    while (frame := source.read()) is not None:
        if source.live:
            seconds = (source.captured_ns or time.perf_counter_ns()) / 1e9
        else:
            seconds = number / (source.fps or 1.0)
        if seconds >= due:
            yield frame
            due = due + period if due + period > seconds else seconds + period
        number += 1
