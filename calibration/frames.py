"""Representative frames: what activation ranges are measured on."""

import numpy as np

from core.configuration import DataConfig
from core.errors import InvalidInputError
from core.frames import Frame, Size
from core.pairs import PairSource, Split, open_pairs

FEWEST = 8
"""With fewer frames the ranges of activations are a guess."""
SMALLEST_SPREAD = 2.0
"""Standard deviation, in 8-bit steps, below which a frame shows nothing."""


def calibration_frames(data: DataConfig, *, count: int) -> list[Frame]:
    """Inputs of the run's *training* pairs, evenly spread over the set: ``uint8 [H, W, 3]`` of the run's size.

    Training pairs, so that the held-out ones stay unseen until fidelity is measured on them.

    Raises:
        InvalidInputError: if the data cannot be read, or has fewer than ``FEWEST`` frames that show something.
    """
    pairs = open_pairs(data, Split.TRAIN)
    frames = [frame for frame in spread(pairs, Size(data.height, data.width), count) if frame.std() >= SMALLEST_SPREAD]
    if len(frames) < FEWEST:
        raise InvalidInputError(
            f"only {len(frames)} frames of {data.source} show anything, {FEWEST} are needed to calibrate INT8: "
            "leave out --int8, or train on more data"
        )
    return frames


def spread(pairs: PairSource, size: Size, count: int) -> list[Frame]:
    """The inputs of ``count`` pairs (or of all, if there are fewer), evenly spread over the set."""
    places = np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int)
    return [pairs.read(int(place), size).input for place in places]
