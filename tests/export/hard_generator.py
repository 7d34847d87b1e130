"""A generator that INT8 spoils, by the fault of one layer."""

from typing import Final

import torch

from core.networks import UNetGenerator
from tests.export.conftest import lively_generator

HARMFUL_LAYER: Final = "encoder.1.0"
"""The layer that cannot be quantized, by its name in the deploy graph."""
OUTLIER: Final = 1000.0


def hard_generator() -> UNetGenerator:
    """``lively_generator``'s pictures, by way of one channel that is a thousand times as large as the others.

    Its first layer gives that channel, and both layers that read it take it back. One of them is the last, which stays
    in float; the other, ``HARMFUL_LAYER``, has one range for all channels of its input, and so loses all but this one.
    """
    generator = lively_generator()
    first, second, last = (block[0] for block in (generator.encoder[0], generator.encoder[1], generator.decoder[-1]))
    skipped = last.weight.shape[0] - first.weight.shape[0]  # channels from below come before those of the skip
    with torch.no_grad():
        first.weight[0] *= OUTLIER
        first.bias[0] *= OUTLIER
        second.weight[:, 0] /= OUTLIER
        last.weight[skipped] /= OUTLIER
    return generator
