"""Batch norm's running statistics, estimated anew on representative frames."""

import copy
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import nn

from core.configuration import Architecture
from core.errors import InvalidInputError
from core.frames import Frame, input_images
from core.networks import Generator

BATCH_VALUES: Final = 2**25
"""Values that the largest layer of the encoder may give for all frames of the batch: 128 MiB in float32. The decoder's
widest moment has about six times as many."""
FEWEST: Final = 4


def recalibrate(generator: Generator, frames: Sequence[Frame]) -> Generator:
    """A copy of ``generator`` in evaluation mode, its batch norms' running statistics being those of ``frames``.

    Training averages statistics of changing weights over small batches; with the weights fixed, the statistics of one
    large batch are what running statistics stand for, and every layer sees its predecessors normalized by theirs
    (Wu, Johnson 2021, "Rethinking 'Batch' in BatchNorm", section 3: population statistics).

    Args:
        generator: on the CPU; with batch norm.
        frames: ``uint8 [H, W, 3]`` BGR, all of one size; as many as memory allows are used, evenly spread.

    Raises:
        InvalidInputError: if there are fewer than ``FEWEST``.
    """
    if len(frames) < FEWEST:
        raise InvalidInputError(f"{len(frames)} frames are too few to measure statistics on, {FEWEST} are needed")
    height, width = frames[0].shape[:2]
    halved = generator.config.architecture is Architecture.UNET  # a residual generator's first layer is not
    values = generator.config.width * height * width // (4 if halved else 1)
    count = min(len(frames), max(FEWEST, BATCH_VALUES // values))
    places = np.linspace(0, len(frames) - 1, count).round().astype(int)
    batch = torch.from_numpy(np.stack([frames[place] for place in places]))
    own = copy.deepcopy(generator).eval()
    for module in own.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
            module.track_running_stats = True  # not so in a generator that has been used with each picture's own
            module.momentum = None  # a plain average, here of one batch
            module.reset_running_stats()
    with torch.inference_mode():
        own(input_images(batch, own.config))
    return own.eval()
