"""How the data in a folder lies: where its splits are, and which ``Layout`` it has where nobody said."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np

from core.conditions import Condition
from core.configuration import Direction, Layout, Task
from core.errors import InvalidInputError
from core.frames import IMAGE_SUFFIXES, Size, is_special, list_images
from core.splits import Split

MAX_DESCENT: Final = 3
"""Folders that hold nothing but one folder are passed through up to this deep: archives are often wrapped twice."""

LOOKED_AT: Final = 200
"""Images, evenly spread, whose proportions decide whether they are side by side: all of a small set."""

ARCHIVES: Final = frozenset({".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"})
_OWN_FOLDERS: Final = frozenset({"train", "val", "test", "A", "B", "trainA", "trainB"})


class FolderPair(NamedTuple):
    """A folder of As and a folder of Bs."""

    a: Path
    b: Path


def image_folder(root: Path, split: Split) -> Path | None:
    """The folder of the images of ``split``; None if there is none. Without ``train/`` it is ``root`` itself."""
    with readable(root):
        if (root / split).is_dir():
            return root / split
    return root if split is Split.TRAIN else None


def pair_folders(root: Path, split: Split) -> FolderPair | None:
    """The folders A and B of ``split``: ``A/train``, ``train/A`` or ``trainA``; for training also ``A`` alone.

    None if there are none.

    Raises:
        InvalidInputError: if one of them is there without the other, or, for training, neither is.
    """
    places = [
        FolderPair(root / "A" / split, root / "B" / split),
        FolderPair(root / split / "A", root / split / "B"),
        FolderPair(root / f"{split}A", root / f"{split}B"),
    ]
    if split is Split.TRAIN:
        places.append(FolderPair(root / "A", root / "B"))
    with readable(root):
        for place in places:
            there = [folder.is_dir() for folder in place]
            if all(there):
                return place
            if any(there):
                missing = place[there.index(False)]
                raise InvalidInputError(f"there is no folder {missing} beside {place[there.index(True)]}: add it")
    if split is Split.TRAIN:
        raise InvalidInputError(f"{root} has no folders A and B (or train/A and train/B, or trainA and trainB)")
    return None


def find_root(given: Path) -> Path:
    """Where the data below ``given`` begins: folders that hold nothing but one folder are passed through.

    Raises:
        InvalidInputError: if a folder cannot be read.
    """
    root = given
    for _ in range(MAX_DESCENT):
        with readable(root):
            entries = [path for path in root.iterdir() if not path.name.startswith((".", "__MACOSX"))]
            folders = [path for path in entries if path.is_dir()]
            has_images = any(path.suffix.lower() in IMAGE_SUFFIXES for path in entries)
        if has_images or len(folders) != 1 or folders[0].name in _OWN_FOLDERS:
            break
        root = folders[0]
    return root


def find_data(given: Path, *, layout: Layout | None, condition: Condition, task: Task) -> tuple[Path, Layout]:
    """Where the data that a user pointed at really is, and its layout: the one asked for, or ``detect_layout``'s.

    Raises:
        InvalidInputError: if ``given`` is not there, is neither a folder nor possibly a video, or holds no images, or
            the layout does not go with the condition and the task.
    """
    with readable(given):
        if not given.exists():
            raise InvalidInputError(f"there is no {given}: give --data a folder of images, or a video")
        is_file = given.is_file()
    root = given if is_file else find_root(given)
    if is_file:
        _check_file(given, layout)
    chosen = layout or detect_layout(root, condition=condition, task=task)
    check_layout(chosen, condition=condition, task=task)
    if is_file:
        return root, chosen
    if chosen is Layout.FOLDERS:
        pair_folders(root, Split.TRAIN)
    else:
        _check_images(root)
    return root, chosen


def detect_layout(root: Path, *, condition: Condition, task: Task) -> Layout:
    """The layout of the data in ``root``, a folder or a video, as ``find_root`` found it.

    A video is photographs. A and B in folders of their own are ``FOLDERS``. Anything else is side by side, unless the
    input can be made of the picture (there is a condition, or the task is to colorize): then images are photographs,
    except that with a condition images that are all exactly twice as wide as high are side by side.

    Raises:
        InvalidInputError: if a folder cannot be read or holds no images.
    """
    with readable(root):
        if root.is_file():
            return Layout.PHOTOS
        names = {path.name for path in root.iterdir() if path.is_dir()}
        train = {path.name for path in (root / Split.TRAIN).iterdir()} if Split.TRAIN in names else set()
    if {"A", "B"} <= names or {"trainA", "trainB"} <= names or {"A", "B"} <= train:
        return Layout.FOLDERS
    if task is Task.COLORIZE:
        return Layout.PHOTOS
    if condition is not Condition.IDENTITY and odd_one_out(root) is not None:
        return Layout.PHOTOS
    return Layout.PAIRS


def check_layout(layout: Layout, *, condition: Condition, task: Task, direction: Direction = Direction.A_TO_B) -> None:
    """Refuse photographs of which no input can be made, and a direction that would make the picture the input.

    Raises:
        InvalidInputError: saying which option to change.
    """
    if layout is not Layout.PHOTOS:
        return
    if condition is Condition.IDENTITY and task is Task.TRANSLATE:
        raise InvalidInputError(
            "photographs are targets, and nothing says what the input is: give --condition edges or grayscale, "
            "or --task colorize"
        )
    if direction is Direction.B_TO_A:
        raise InvalidInputError(
            "with photographs the input is made of the picture, which is always the target: leave out --direction BtoA"
        )


def odd_one_out(root: Path) -> tuple[Path, Size] | None:
    """The first training image that is not exactly twice as wide as high, and its size; None if all are.

    Of a large set, ``LOOKED_AT`` images are looked at. Broken ones say nothing here.

    Raises:
        InvalidInputError: if there are no images.
    """
    images = _check_images(root)
    step = -(-len(images) // LOOKED_AT)
    for path in images[::step]:
        size = _image_size(path)
        if size is not None and size.width != 2 * size.height:
            return path, size
    return None


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what the system says of ``path`` and what lies in it (no permission, a name too long) into one line."""
    try:
        yield
    except OSError as error:
        raise InvalidInputError(f"cannot read {error.filename or path}: {error.strerror}") from error


def _check_file(path: Path, layout: Layout | None) -> None:
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        raise InvalidInputError(f"{path} is a single image: give --data the folder it lies in, or a video")
    if suffix in ARCHIVES:
        raise InvalidInputError(f"{path} is an archive: unpack it and give --data the folder")
    if layout not in (None, Layout.PHOTOS):
        raise InvalidInputError(f"{path} is a file, and a video cannot have the layout {layout}: leave out --layout")


def _check_images(root: Path) -> list[Path]:
    """The training images; where there are none, the error helps to find them."""
    folder = image_folder(root, Split.TRAIN)
    assert folder is not None
    with readable(folder):
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        images = [path for path in entries if path.suffix.lower() in IMAGE_SUFFIXES and not is_special(path)]
        if images:
            return images
        folders = [path.name for path in entries if path.is_dir()]
    if folders and folder == root:
        shown = ", ".join(folders[:5]) + (", ..." if len(folders) > 5 else "")
        raise InvalidInputError(f"{folder} holds no images, but folders ({shown}): give --data the one with the data")
    if entries and all(path.is_file() for path in entries) and folder == root:
        raise InvalidInputError(
            f"{folder} holds no images, but {entries[0].name}: if that is a video, give --data the file itself"
        )
    return list_images(folder)


def _image_size(path: Path) -> Size | None:
    try:
        # An eighth of the pixels is quickest to decode, but does not tell 200 x 100 from 201 x 100.
        image = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    except (OSError, cv2.error):
        return None
    return None if image is None else Size(*image.shape[:2])
