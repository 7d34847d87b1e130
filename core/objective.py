"""What the two networks are trained for (Isola et al. 2017, equations 1 to 4), and the alternatives to it."""

from typing import Final

from torch import Tensor
from torch.nn import functional

from core.configuration import Distance, GanObjective


def adversarial_loss(objective: GanObjective, scores: Tensor, answer: Tensor) -> Tensor:
    """Mean loss of the discriminator's ``scores`` (logits, any shape) if ``answer`` is right for every patch.

    Args:
        objective: binary cross-entropy on logits; least squares (Mao et al. 2017, equation 2 with a = 0, b = 1);
            or the hinge loss (Miyato et al. 2018, equation 16).
        scores: of real or of translated pairs.
        answer: 1 for "real", 0 for "not real", or something near them; broadcast to ``scores``. The hinge loss knows
            no degrees: above 0.5 is "real".
    """
    match objective:
        case GanObjective.BCE:
            return functional.binary_cross_entropy_with_logits(scores, answer.expand_as(scores))
        case GanObjective.LEAST_SQUARES:
            return functional.mse_loss(scores, answer.expand_as(scores))
        case GanObjective.HINGE:
            sign = 2.0 * (answer > 0.5) - 1.0
            return functional.relu(1 - sign * scores).mean()


def deception_loss(objective: GanObjective, scores: Tensor) -> Tensor:
    """The generator's adversarial loss, given the discriminator's ``scores`` of its translations.

    Non-saturating, as the paper's (section 3.3); for the hinge loss, -mean(scores) (Miyato et al. 2018, equation 17).
    """
    if objective is GanObjective.HINGE:
        return -scores.mean()
    return adversarial_loss(objective, scores, scores.new_ones(()))


def reconstruction_loss(distance: Distance, image: Tensor, target: Tensor) -> Tensor:
    """Mean absolute (equation 3) or mean squared difference of ``image`` and ``target``, both in [-1, 1]."""
    if distance is Distance.L1:
        return functional.l1_loss(image, target)
    return functional.mse_loss(image, target)


def mean_score(objective: GanObjective, scores: Tensor) -> Tensor:
    """The discriminator's opinion as one number.

    For binary cross-entropy the mean probability of "real"; else the mean score itself (1 is real and 0 is not for
    least squares; above 1 and below -1 is beyond doubt for the hinge loss).
    """
    return scores.sigmoid().mean() if objective is GanObjective.BCE else scores.mean()


CERTAINTY: Final = {
    GanObjective.BCE: (0.98, 0.02),
    GanObjective.LEAST_SQUARES: (0.95, 0.05),
    GanObjective.HINGE: (1.0, -1.0),
}
"""Mean scores of real and of translated pairs beyond which a discriminator has nothing left to teach."""
