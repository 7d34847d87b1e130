"""The training step: generator and discriminator in turn (Isola et al. 2017, section 3.3)."""

from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.frames import to_network
from core.networks import PatchDiscriminator, build_generator
from core.objective import adversarial_loss, discriminator_loss, reconstruction_loss
from train.devices import mixed_precision
from train.loader import Batch
from train.settings import TrainingConfig

LOSSES: Final = ("discriminator_real", "discriminator_fake", "generator_gan", "generator_l1")
"""What a step reports, in this order: the discriminator's two before they are halved, L1 before it is weighted."""

BETAS: Final = (0.5, 0.999)


NetworkT = TypeVar("NetworkT", bound=nn.Module)


def rate_factor(step: int, steps: int) -> float:
    """What the learning rate is multiplied by in step ``step`` (from 0): 1 in the first half, then linearly to 0."""
    half = steps / 2
    return min(1.0, (steps - step) / half)


class Trainer:
    """Both networks, their optimizers, and the step that improves them.

    Its state is the networks', the optimizers', the scaler's and ``steps_done``: everything else follows from these
    and the configuration.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.device = torch.device(config.device)
        # On the CPU, NCHW with oneDNN's own blocked layouts; on tensor cores, channels last.
        self._layout = torch.channels_last if self.device.type == "cuda" else torch.contiguous_format
        self.generator = self._placed(build_generator(config.generator_config())).train()
        self.discriminator = self._placed(PatchDiscriminator(config.discriminator_config())).train()
        # Fused: one pass over the weights. On two CPU cores the update takes a fifth of the time of the default.
        self._generator_optimizer = torch.optim.Adam(self.generator.parameters(), config.lr, betas=BETAS, fused=True)
        self._discriminator_optimizer = torch.optim.Adam(
            self.discriminator.parameters(), config.lr, betas=BETAS, fused=True
        )
        self._precision = mixed_precision(self.device)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=self._precision is torch.float16)
        self.steps_done = 0

    @property
    def rate(self) -> float:
        """Learning rate of the step that comes next."""
        return self.config.lr * rate_factor(self.steps_done, self.config.steps)

    def step(self, batch: Batch) -> Tensor:
        """Improve the discriminator, then the generator, on one batch.

        Returns ``float [4]`` on the device, in the order of LOSSES: reading it waits for the step to end.
        """
        source, target = self._images(batch.input), self._images(batch.target)
        for group in chain(self._generator_optimizer.param_groups, self._discriminator_optimizer.param_groups):
            group["lr"] = self.rate
        with self._autocast():
            translation = self.generator(source)
        real, fake = self._improve_discriminator(source, target, translation.detach())
        adversarial, distance = self._improve_generator(source, target, translation)
        self._scaler.update()
        self.steps_done += 1
        return torch.stack([real, fake, adversarial, distance]).detach()

    def _improve_discriminator(self, source: Tensor, target: Tensor, translation: Tensor) -> tuple[Tensor, Tensor]:
        # Each network call has an autocast block of its own: within one, the 16-bit copies of the weights are kept,
        # and the discriminator's would be stale after its update.
        with self._autocast():
            real_scores = self.discriminator(source, target)
            fake_scores = self.discriminator(source, translation)
        loss = discriminator_loss(self.config.gan, real_scores.float(), fake_scores.float())
        self._update(self._discriminator_optimizer, loss)
        with torch.no_grad():
            real = adversarial_loss(self.config.gan, real_scores.float(), real=True)
            return real, 2 * loss - real

    def _improve_generator(self, source: Tensor, target: Tensor, translation: Tensor) -> tuple[Tensor, Tensor]:
        self.discriminator.requires_grad_(False)  # gradients pass through it, and none are collected for it
        try:
            with self._autocast():
                scores = self.discriminator(source, translation)
            adversarial = adversarial_loss(self.config.gan, scores.float(), real=True)
            distance = reconstruction_loss(translation.float(), target)
            self._update(self._generator_optimizer, adversarial + self.config.l1 * distance)
        finally:
            self.discriminator.requires_grad_(True)
        return adversarial, distance

    def _update(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.step(optimizer)

    def _placed(self, network: NetworkT) -> NetworkT:
        return network.to(self.device).to(memory_format=self._layout)

    def _autocast(self) -> AbstractContextManager[object]:
        if self._precision is None:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self._precision)

    def _images(self, frames: NDArray[np.uint8]) -> Tensor:
        tensor = torch.from_numpy(frames)
        if self.device.type == "cuda":
            tensor = tensor.pin_memory().to(self.device, non_blocking=True)
        return to_network(tensor).contiguous(memory_format=self._layout)
