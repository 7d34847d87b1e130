"""Measures that keep the discriminator from winning too early. All are off unless asked for."""

from typing import Final

import torch
from torch import Tensor

SMOOTH_REAL: Final = (0.8, 1.2)
"""One-sided label smoothing (Salimans et al. 2016, section 3.4, where the answer is 0.9): for real patches the answer
is drawn from this range, as is common practice."""


def remaining(step: int, steps: int) -> float:
    """What is left of a decaying measure in step ``step`` (from 0) of ``steps``: 1 at first, falling linearly to 0."""
    return max(0.0, 1 - step / steps)


class Stabilization:
    """Label smoothing, label switching and noise on the discriminator's inputs.

    The amounts that decay live in a tensor on the device, so that a step which was captured in a CUDA graph follows
    them; random numbers are drawn only for measures that are on.

    Args:
        smooth: draw the answer for each real patch from SMOOTH_REAL instead of taking 1.
        switch: probability in the first step with which real pairs are called translated and the other way round.
        noise: standard deviation in the first step of the Gaussian noise added to both images of every pair that the
            discriminator sees (Sønderby et al. 2017, section 3.2, "instance noise"), in units of [-1, 1].
    """

    def __init__(self, *, smooth: bool, switch: float, noise: float, device: torch.device) -> None:
        self._smooth = smooth
        self._switch = switch
        self._noise = noise
        self._amounts = torch.zeros(2, device=device)
        self._is_decaying = switch > 0 or noise > 0

    def amounts(self, step: int, steps: int) -> dict[str, float]:
        """The measures that are on and decay, and how strong they are in step ``step`` (from 0) of ``steps``."""
        strengths = {"switch_labels": self._switch, "instance_noise": self._noise}
        left = remaining(step, steps)
        return {name: strength * left for name, strength in strengths.items() if strength > 0}

    def begin_step(self, step: int, steps: int) -> None:
        """Set the amounts for step ``step`` (from 0) of ``steps``."""
        if self._is_decaying:
            left = remaining(step, steps)
            self._amounts[0].fill_(self._switch * left)  # fills need no copy from the host, which would be waited for
            self._amounts[1].fill_(self._noise * left)

    def answers(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """What the discriminator is told of real and of translated pairs: tensors that broadcast to ``scores``."""
        real, fake = scores.new_ones(()), scores.new_zeros(())
        if self._smooth:
            low, high = SMOOTH_REAL
            real = low + (high - low) * torch.rand_like(scores)
        if self._switch > 0:
            switched = torch.rand((), device=scores.device) < self._amounts[0]
            real, fake = torch.where(switched, fake, real), torch.where(switched, real, fake)
        return real, fake

    def add_noise(self, images: Tensor) -> Tensor:
        """``images`` with this step's noise added; ``images`` themselves where there is none."""
        return images + self._amounts[1] * torch.randn_like(images) if self._noise > 0 else images
