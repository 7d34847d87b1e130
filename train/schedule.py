"""How the learning rate falls over a run."""

import math
from enum import StrEnum


class Schedule(StrEnum):
    """What the learning rate is multiplied by, step by step."""

    LINEAR = "linear"
    """1 in the first half of the steps, then falling linearly to 0: the recipe of the authors' own code."""
    COSINE = "cosine"
    """Half a cosine from 1 to 0 (Loshchilov, Hutter 2017, equation 5 without restarts)."""
    CONSTANT = "constant"
    """1 throughout: the paper's section 6.2, and the TensorFlow tutorial."""

    def factor(self, step: int, steps: int) -> float:
        """The factor in step ``step`` (from 0) of ``steps``."""
        match self:
            case Schedule.LINEAR:
                return min(1.0, (steps - step) / (steps / 2))
            case Schedule.COSINE:
                return (1 + math.cos(math.pi * step / steps)) / 2
            case Schedule.CONSTANT:
                return 1.0
