"""What the two networks are trained for (Isola et al. 2017, equations 1 to 4)."""

import torch
from torch import Tensor
from torch.nn import functional

from core.configuration import GanObjective


def adversarial_loss(objective: GanObjective, scores: Tensor, *, real: bool) -> Tensor:
    """Mean loss of ``scores`` (logits, any shape) against the answer "real" or "not real" for every patch."""
    target = torch.full_like(scores, float(real))
    if objective is GanObjective.BCE:
        return functional.binary_cross_entropy_with_logits(scores, target)
    return functional.mse_loss(scores, target)


def discriminator_loss(objective: GanObjective, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """The discriminator's objective, halved so that it learns more slowly than the generator (section 3.3)."""
    real = adversarial_loss(objective, real_scores, real=True)
    return (real + adversarial_loss(objective, fake_scores, real=False)) / 2


def reconstruction_loss(image: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of ``image`` and ``target`` in [-1, 1] (equation 3)."""
    return functional.l1_loss(image, target)
