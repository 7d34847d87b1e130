"""Pairs from folders of images: side by side in one image, in two folders, or made from photographs."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from core.conditions import Condition
from core.configuration import Direction
from core.data_layout import image_folder, pair_folders
from core.errors import InvalidInputError
from core.frames import Size, fit, list_images, read_image
from core.splits import Pair, Split, choose_split

NAMED: Final = 3
"""Images a message names before it only counts them."""


class _OneImageEach:
    """Pairs of which each comes from one image below ``root``."""

    def __init__(self, root: Path, images: Sequence[Path]) -> None:
        self.root = root
        self.images = images

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def name(self, index: int) -> str:
        """The image's path below the data's folder."""
        return relative_name(self.images[index], self.root)


class SideBySideImages(_OneImageEach):
    """Images that hold A on the left and B on the right (the layout of the paper's data sets)."""

    def __init__(self, root: Path, images: Sequence[Path], direction: Direction) -> None:
        super().__init__(root, images)
        self.direction = direction

    def read(self, index: int, size: Size) -> Pair:
        """Pair number ``index`` in the order of the file names.

        Raises:
            InvalidInputError: for an image that cannot be decoded, or whose width is odd.
        """
        path = self.images[index]
        image = read_image(path)
        height, width = image.shape[:2]
        if width % 2:
            raise InvalidInputError(
                f"{path} is {width} x {height} pixels, which is not two equal halves side by side: "
                "replace it by an image of even width"
            )
        left, right = image[:, : width // 2], image[:, width // 2 :]
        halves = (left, right) if self.direction is Direction.A_TO_B else (right, left)
        return Pair(*(fit(half, size) for half in halves))


class Matched(NamedTuple):
    """Two images of one name."""

    a: Path
    b: Path


class FolderPairs:
    """An image of folder A and the one of the same name of folder B."""

    def __init__(self, root: Path, pairs: Sequence[Matched], direction: Direction) -> None:
        self.root = root
        self.pairs = pairs
        self.direction = direction

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.pairs)

    def name(self, index: int) -> str:
        """The path of A's image below the data's folder, whatever the direction."""
        return relative_name(self.pairs[index].a, self.root)

    def read(self, index: int, size: Size) -> Pair:
        """Pair number ``index`` in the order of the names in A. Each image is cropped by itself.

        Raises:
            InvalidInputError: if either image cannot be decoded, or their proportions are not the same.
        """
        a, b = (read_image(path) for path in self.pairs[index])
        # A pixel of rounding in either is no difference; more, and the two crops would not show the same.
        if abs(a.shape[0] * b.shape[1] - a.shape[1] * b.shape[0]) > max(*a.shape[:2], *b.shape[:2]):
            raise InvalidInputError(
                f"{self.pairs[index].a} is {a.shape[1]} x {a.shape[0]} pixels and its partner {self.pairs[index].b} "
                f"{b.shape[1]} x {b.shape[0]}, which are other proportions: crop them alike"
            )
        frames = (a, b) if self.direction is Direction.A_TO_B else (b, a)
        return Pair(*(fit(frame, size) for frame in frames))


class Photographs(_OneImageEach):
    """Pictures: the picture is the target, and its ``condition`` the input."""

    def __init__(self, root: Path, images: Sequence[Path], condition: Condition) -> None:
        super().__init__(root, images)
        self.condition = condition

    def read(self, index: int, size: Size) -> Pair:
        """Pair number ``index``; the condition is made of what was cropped and resized, as of a live frame.

        Raises:
            InvalidInputError: for a picture that cannot be decoded.
        """
        target = fit(read_image(self.images[index]), size)
        return Pair(self.condition.apply(target), target)


def relative_name(path: Path, root: Path) -> str:
    """``path`` as seen from ``root``, with forward slashes."""
    return path.relative_to(root).as_posix()


def find_images(root: Path, split: Split) -> list[Path]:
    """The images of ``split`` below ``root`` (``core.splits.choose_split``), sorted by name.

    Raises:
        InvalidInputError: if a folder of that split is there but holds no images, or cannot be read.
    """

    def find(wanted: Split) -> list[Path] | None:
        folder = image_folder(root, wanted)
        return None if folder is None else list_images(folder)

    return choose_split(find, split)


def find_matched(root: Path, split: Split) -> list[Matched]:
    """The pairs of ``split`` in folders A and B below ``root``, sorted by the names in A.

    Raises:
        InvalidInputError: if a folder is missing, empty or unreadable, or an image has no partner.
    """

    def find(wanted: Split) -> list[Matched] | None:
        folders = pair_folders(root, wanted)
        return None if folders is None else match_names(*folders)

    return choose_split(find, split)


def match_names(a: Path, b: Path) -> list[Matched]:
    """Each image of folder ``a`` with that of ``b`` which has the same name, suffix aside, sorted by name.

    Where all names of a folder end with its letter (``1_A.jpg``, ``1_B.jpg``), that is left aside too.

    Raises:
        InvalidInputError: if an image has no partner, or a folder has two images of one name.
    """
    first, second = _by_stem(a, "_A"), _by_stem(b, "_B")
    alone = [path for stem, path in (first | second).items() if (stem in first) != (stem in second)]
    if alone:
        raise InvalidInputError(
            f"{_count(alone)} no partner of the same name: {_some(alone)}; "
            f"add the partners in {a} and {b}, or remove what has none"
        )
    return [Matched(path, second[stem]) for stem, path in first.items()]


def _by_stem(folder: Path, ending: str) -> dict[str, Path]:
    images = list_images(folder)
    cut = len(ending) if all(path.stem.endswith(ending) for path in images) else 0
    found: dict[str, Path] = {}
    for path in images:
        # Macs spell accents in two characters where others use one.
        stem = unicodedata.normalize("NFC", path.stem[: len(path.stem) - cut])
        other = found.setdefault(stem, path)
        if other is not path:
            raise InvalidInputError(
                f"{folder} holds both {other.name} and {path.name}, and pairs are matched by the name without "
                "its suffix: rename or remove one of them"
            )
    return found


def _count(paths: Sequence[Path]) -> str:
    return "1 image has" if len(paths) == 1 else f"{len(paths)} images have"


def _some(paths: Sequence[Path]) -> str:
    shown = ", ".join(str(path) for path in paths[:NAMED])
    return shown if len(paths) <= NAMED else f"{shown} and {len(paths) - NAMED} more"
