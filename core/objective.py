"""What the two networks are trained for (Isola et al. 2017, equations 1 to 4)."""

from enum import StrEnum
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

LAMBDA_L1: Final = 100.0
"""Weight of the L1 distance in the generator's objective (section 3.1 and 6.2)."""


class GanObjective(StrEnum):
    """The adversarial part."""

    BCE = "bce"
    """Binary cross-entropy on logits: the paper's."""
    LEAST_SQUARES = "lsgan"
    """Least squares (Mao et al. 2017)."""

    def loss(self, scores: Tensor, *, real: bool) -> Tensor:
        """Mean loss of ``scores`` (logits, any shape) against the answer "real" or "not real" for every patch."""
        target = torch.full_like(scores, float(real))
        if self is GanObjective.BCE:
            return functional.binary_cross_entropy_with_logits(scores, target)
        return functional.mse_loss(scores, target)


def discriminator_loss(objective: GanObjective, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """The discriminator's objective, halved so that it learns more slowly than the generator (section 3.3)."""
    return (objective.loss(real_scores, real=True) + objective.loss(fake_scores, real=False)) / 2


def reconstruction_loss(image: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of ``image`` and ``target`` in [-1, 1] (equation 3)."""
    return functional.l1_loss(image, target)
