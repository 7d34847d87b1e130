"""Where training pairs and held-out frames come from, without PyTorch: folders of side-by-side images, and the
built-in facades.
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from core.conditions import Condition
from core.configuration import BUILT_IN_DATA, DataConfig, Direction
from core.errors import InvalidInputError
from core.facades import facade_pair
from core.frames import Frame, Size, fit, list_images, read_image

BUILT_IN_COUNTS: Final = {"train": 4000, "val": 100, "test": 100}
"""Pairs of the built-in set that one pass goes through, per split; the set itself is endless."""

VALIDATION_STRIDE: Final = 10
"""Of a folder without ``val/``, every tenth image is kept apart."""


class Split(StrEnum):
    """A part of a data set."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


class Pair(NamedTuple):
    """What the generator sees and what it should answer: two frames of equal size."""

    input: Frame
    target: Frame


class PairSource(Protocol):
    """Pairs that can be read in any order, by several threads."""

    def __len__(self) -> int:
        """Number of pairs."""
        ...

    def read(self, index: int, size: Size) -> Pair:
        """Pair number ``index``, both frames cropped and resized to ``size`` as live ones are (``core.frames.fit``)."""
        ...


class SideBySideImages:
    """Images that hold A on the left and B on the right (the layout of the paper's data sets)."""

    def __init__(self, images: Sequence[Path], direction: Direction) -> None:
        self.images = images
        self.direction = direction

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

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


class BuiltInFacades:
    """The procedural facades; a split is a range of the endless set that no other split touches.

    With a ``condition`` other than identity, pairs are the condition of a picture and the picture, whatever the
    ``direction``: without, the label map and the picture for ``AtoB``, the other way round for ``BtoA``.
    """

    def __init__(self, split: Split, direction: Direction, condition: Condition, seed: int) -> None:
        self.split = split
        self.direction = direction
        self.condition = condition
        self.seed = seed

    def __len__(self) -> int:
        """Pairs of one pass."""
        return BUILT_IN_COUNTS[self.split]

    def read(self, index: int, size: Size) -> Pair:
        """Pair number ``index``."""
        offset = {Split.TRAIN: 0, Split.VAL: 1_000_000, Split.TEST: 2_000_000}[self.split]
        labels, photo = (fit(frame, size) for frame in facade_pair(offset + index, seed=self.seed, size=max(size)))
        if self.condition is not Condition.IDENTITY:
            return Pair(self.condition.apply(photo), photo)
        return Pair(labels, photo) if self.direction is Direction.A_TO_B else Pair(photo, labels)


def find_images(root: Path, split: Split) -> list[Path]:
    """The images of ``split`` below ``root``, sorted by name; none if the data has no such split.

    A folder without ``train/`` is its own training split. Where there is no ``val/``, every tenth training image is
    kept apart for validation (and is not trained on).

    Raises:
        InvalidInputError: if a folder of that split is there but holds no images.
    """
    if (root / split).is_dir():
        images = list_images(root / split)
    elif split is Split.TEST:
        return []
    else:
        images = list_images(root / Split.TRAIN if (root / Split.TRAIN).is_dir() else root)
    if (root / Split.VAL).is_dir() or split is Split.TEST or len(images) < 2:
        return images
    kept_apart = images[::VALIDATION_STRIDE]
    return kept_apart if split is Split.VAL else sorted(set(images) - set(kept_apart))


def open_pairs(config: DataConfig, split: Split) -> PairSource:
    """The pairs of ``split`` of a run's data; without any if the data has no test split.

    Raises:
        InvalidInputError: if the folder is missing or empty.
    """
    if config.source == BUILT_IN_DATA:
        return BuiltInFacades(split, config.direction, config.condition, config.seed)
    root = Path(config.source)
    if not root.is_dir():
        raise InvalidInputError(f"there is no folder {root}: give --data a folder of side-by-side images")
    return SideBySideImages(find_images(root, split), config.direction)
