"""What a pair is, and which pairs of a data set are for training and which are kept apart."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple, Protocol, TypeVar

from core.frames import Frame, Size

VALIDATION_STRIDE: Final = 10
"""Of images without a validation split, every tenth one is kept apart."""

MAX_VALIDATION_BLOCKS: Final = 5
FRAMES_PER_BLOCK: Final = 40
"""A video gives one more validation block for so many of its frames, up to ``MAX_VALIDATION_BLOCKS``."""


class Split(StrEnum):
    """A part of a data set."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


class Pair(NamedTuple):
    """What the generator sees and what it should answer: two frames of equal size, not to be written to."""

    input: Frame
    target: Frame


class PairSource(Protocol):
    """Pairs that can be read in any order, by several threads."""

    def __len__(self) -> int:
        """Number of pairs."""
        ...

    def name(self, index: int) -> str:
        """What people call pair number ``index``: the same in every run and for either direction."""
        ...

    def read(self, index: int, size: Size) -> Pair:
        """Pair number ``index``, both frames cropped and resized to ``size`` as live ones are (``core.frames.fit``)."""
        ...


T = TypeVar("T")


def choose_split(find: Callable[[Split], Sequence[T] | None], split: Split) -> list[T]:
    """The items of ``split``, where ``find`` knows what lies in a split's own folder (None: it has none).

    ``find`` answers for the training split in any case: data without ``train/`` is its own training split. Without a
    validation split every tenth training item is kept apart for it (and is not trained on), whether there is a test
    split or not. A missing test split is empty.
    """
    if split is Split.TEST:
        return list(find(Split.TEST) or ())
    kept_apart = find(Split.VAL)
    if split is Split.VAL and kept_apart is not None:
        return list(kept_apart)
    items = list(find(Split.TRAIN) or ())
    if kept_apart is not None or len(items) < 2:
        return items
    if split is Split.VAL:
        return items[::VALIDATION_STRIDE]
    return [item for i, item in enumerate(items) if i % VALIDATION_STRIDE]


def split_in_time(frames: Sequence[T], split: Split) -> list[T]:
    """The part of a video's ``frames``, given in order of time, that ``split`` may use.

    Neighbouring frames are nearly one picture, so a tenth is kept apart in whole stretches of time, and the frames
    next to a stretch, a quarter of its length on either side, are used by nobody. There is no test split. A single
    frame is both.
    """
    count = len(frames)
    if split is Split.TEST:
        return []
    if count < 2:
        return list(frames)
    blocks = min(MAX_VALIDATION_BLOCKS, max(1, count // FRAMES_PER_BLOCK))
    length = max(1, count // VALIDATION_STRIDE // blocks)
    gap = max(1, length // 4) if count >= 2 * VALIDATION_STRIDE else 0
    starts = [(2 * block + 1) * count // (2 * blocks) - length // 2 for block in range(blocks)]
    kept_apart = {place for start in starts for place in range(start, start + length)}
    unused = {place for start in starts for place in range(start - gap, start + length + gap)}
    wanted = kept_apart if split is Split.VAL else set(range(count)) - unused
    return [frames[place] for place in sorted(wanted)]
