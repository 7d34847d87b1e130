"""An exponential moving average of the generator (Yazici et al. 2019, "The unusual effectiveness of averaging")."""

import copy

import torch

from core.networks import Generator
from train.sharding import local


class WeightAverage:
    """A copy of a generator that follows it slowly.

    After step t (from 0) it moves by ``1 - min(decay, (1 + t) / (10 + t))`` towards the generator, as TensorFlow's
    ``ExponentialMovingAverage`` does: a short run's average would else still consist of its initial weights.
    Normalization statistics are averaged as well; counters are copied.
    """

    def __init__(self, generator: Generator, decay: float) -> None:
        self.decay = decay
        self.generator = copy.deepcopy(generator).requires_grad_(False)

    @torch.no_grad()
    def update(self, generator: Generator, step: int) -> None:
        """Follow ``generator`` after step ``step`` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages, currents = self.generator.state_dict(), generator.state_dict()
        # State dictionaries give sharded weights as such; each process averages its own part.
        moved = [name for name, tensor in averages.items() if tensor.is_floating_point()]
        torch._foreach_lerp_(
            [local(averages[name]) for name in moved], [local(currents[name]) for name in moved], 1 - decay
        )
        for name in averages.keys() - set(moved):
            averages[name].copy_(currents[name])
