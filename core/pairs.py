"""Where training pairs and held-out frames come from, without PyTorch: folders of images, photographs, a video, and
the built-in facades.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from core.conditions import Condition
from core.configuration import BUILT_IN_DATA, DataConfig, Direction, Layout, Task
from core.data_layout import check_layout, readable
from core.errors import InvalidInputError
from core.facades import facade_pair
from core.frames import Size, fit
from core.image_pairs import FolderPairs, Photographs, SideBySideImages, find_images, find_matched
from core.splits import Pair, PairSource, Split
from core.video import VideoFrames

__all__ = ["Pair", "PairSource", "SelectedPairs", "Split", "open_pairs"]

BUILT_IN_COUNTS: Final = {"train": 4000, "val": 100, "test": 100}
"""Pairs of the built-in set that one pass goes through, per split; the set itself is endless."""


class BuiltInFacades:
    """The procedural facades; a split is a range of the endless set that no other split touches.

    As ``PHOTOS``, pairs are the condition of a picture and the picture, whatever the ``direction``; so they are with a
    ``condition`` other than identity in any layout. Else they are the label map and the picture for ``AtoB``, the other
    way round for ``BtoA``.
    """

    def __init__(self, split: Split, config: DataConfig) -> None:
        self.split = split
        self.direction = config.direction
        self.condition = config.condition
        self.photographs = config.layout is Layout.PHOTOS or config.condition is not Condition.IDENTITY
        self.seed = config.seed

    def __len__(self) -> int:
        """Pairs of one pass."""
        return BUILT_IN_COUNTS[self.split]

    def name(self, index: int) -> str:
        """The house's number in the endless set."""
        return f"house {self._house(index)}"

    def read(self, index: int, size: Size) -> Pair:
        """Pair number ``index``."""
        labels, photo = (fit(frame, size) for frame in facade_pair(self._house(index), seed=self.seed, size=max(size)))
        if self.photographs:
            return Pair(self.condition.apply(photo), photo)
        return Pair(labels, photo) if self.direction is Direction.A_TO_B else Pair(photo, labels)

    def _house(self, index: int) -> int:
        return index + {Split.TRAIN: 0, Split.VAL: 1_000_000, Split.TEST: 2_000_000}[self.split]


class SelectedPairs:
    """Some pairs of ``source``, in the order of ``kept``."""

    def __init__(self, source: PairSource, kept: Sequence[int]) -> None:
        self.source = source
        self.kept = kept

    def __len__(self) -> int:
        """Number of pairs kept."""
        return len(self.kept)

    def name(self, index: int) -> str:
        """What the source calls it."""
        return self.source.name(self.kept[index])

    def read(self, index: int, size: Size) -> Pair:
        """Pair number ``index`` of those kept."""
        return self.source.read(self.kept[index], size)


def open_pairs(config: DataConfig, split: Split) -> PairSource:
    """The pairs of ``split`` of a run's data, without those it skipped; none at all if the data has no test split.

    Raises:
        InvalidInputError: if the data is missing, empty, unreadable, or not laid out as ``config`` says.
    """
    source = _open(config, split)
    if not config.skipped:
        return source
    skipped = set(config.skipped)
    return SelectedPairs(source, [index for index in range(len(source)) if source.name(index) not in skipped])


def _open(config: DataConfig, split: Split) -> PairSource:
    if config.source == BUILT_IN_DATA:
        return BuiltInFacades(split, config)
    # Whether an input can be made of photographs at all depends on the task, which the data does not know.
    check_layout(config.layout, condition=config.condition, task=Task.COLORIZE, direction=config.direction)
    root = Path(config.source)
    with readable(root):
        is_file, is_folder = root.is_file(), root.is_dir()
    if is_file and config.layout is Layout.PHOTOS:
        return VideoFrames(root, split, config.condition, Size(config.height, config.width))
    if not is_folder:
        what = {
            Layout.PAIRS: "a folder of side-by-side images",
            Layout.FOLDERS: "a folder that holds folders A and B",
            Layout.PHOTOS: "a folder of photographs, or a video",
        }
        raise InvalidInputError(f"there is no folder {root}: give --data {what[config.layout]}")
    if config.layout is Layout.FOLDERS:
        return FolderPairs(root, find_matched(root, split), config.direction)
    if config.layout is Layout.PHOTOS:
        return Photographs(root, find_images(root, split), config.condition)
    return SideBySideImages(root, find_images(root, split), config.direction)
