"""The training step: generator and discriminator in turn (Isola et al. 2017, section 3.3)."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

from core.frames import input_images, target_images
from core.networks import Generator, PatchDiscriminator, build_generator
from core.networks.assembly import blank_generator
from core.objective import adversarial_loss, deception_loss, mean_score, reconstruction_loss
from train.averaging import WeightAverage
from train.devices import autocast_dtype, local_device
from train.feeding import DeviceBatch
from train.graphed_step import GraphedStep
from train.parallel import replicated, synchronize_batch_norm
from train.settings import TrainingConfig
from train.sharding import load_optimizer, load_weights, shard, whole
from train.stabilization import Stabilization
from train.world import World

BETA2: Final = 0.999


NetworkT = TypeVar("NetworkT", bound=nn.Module)
Step = Callable[[Tensor, Tensor], Tensor]


class Trainer:
    """Both networks, their optimizers, and the step that improves them.

    What it goes on from is ``state()``; everything else follows from that and the configuration.
    """

    def __init__(self, config: TrainingConfig, *, world: World | None = None, initial: Generator | None = None) -> None:
        self.config = config
        self.world = world or World()
        self.device = local_device(config.device, self.world)
        # On tensor cores, channels last; oneDNN has layouts of its own, and FSDP takes only contiguous weights.
        on_tensor_cores = self.device.type == "cuda" and not config.shard
        self._layout = torch.channels_last if on_tensor_cores else torch.contiguous_format
        generator = build_generator(config.generator_config())
        discriminator = PatchDiscriminator(config.discriminator_config())
        if initial is not None:
            generator.load_state_dict(initial.state_dict())
        self.generator = self._placed(generator)
        self.discriminator = self._placed(discriminator)
        self.average = WeightAverage(self.generator, config.ema) if config.ema else None
        if config.shard:  # the discriminator is small: every process has all of it
            for spread in (self.generator, *([self.average.generator] if self.average else [])):
                shard(spread, self.world, self.device)
        self._optimizers = [self._adam(network) for network in (self.generator, self.discriminator)]
        self._precision = autocast_dtype(config.precision, self.device)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=self._precision is torch.float16)
        self._stabilization = Stabilization(
            smooth=config.smooth_labels,
            switch=config.switch_labels,
            noise=config.instance_noise,
            device=self.device,
        )
        # The generator's own step goes through the discriminator without training it, and so without its replicas.
        self._generate: Callable[..., Tensor] = self._fast(
            self.generator if config.shard else replicated(self.generator, self.world)
        )
        self._judge: Callable[..., Tensor] = self._fast(replicated(self.discriminator, self.world))
        self._judge_for_generator: Callable[..., Tensor] = self._fast(self.discriminator)
        self._run: Step = self._graphed() if config.cuda_graph else self._improve
        self.steps_done = 0
        if self.world.rank:  # the same weights everywhere, but dropout and noise of each process's own
            torch.manual_seed(self.world.own_seed(config.seed))

    @property
    def rate(self) -> float:
        """Learning rate of the step that comes next."""
        return self.config.lr * self.config.schedule.factor(self.steps_done, self.config.steps)

    @property
    def amounts(self) -> dict[str, float]:
        """Strengths, in the step that comes next, of the stabilizing measures that decay."""
        return self._stabilization.amounts(self.steps_done, self.config.steps)

    def deployable(self) -> Generator | None:
        """The generator that samples, figures and exports are made with: the average if there is one.

        In the main process, and None in others, which must call it as well: what is sharded is gathered.
        """
        generator = self.generator if self.average is None else self.average.generator
        if not self.config.shard:
            return generator if self.world.is_main else None
        weights = whole(generator.state_dict())
        if not self.world.is_main:
            return None
        gathered = blank_generator(self.config.generator_config())  # draws no random numbers, unlike a new one
        gathered.load_state_dict(weights, assign=True)
        return gathered.to(self.device)

    def step(self, batch: DeviceBatch) -> Tensor:
        """Improve the discriminator, then the generator, on one batch.

        Returns ``float [6]`` on the device, in the order of ``history.MEASURES``: reading it waits for the step to end.
        """
        for group in chain(*(optimizer.param_groups for optimizer in self._optimizers)):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(self.rate)
            else:
                group["lr"] = self.rate
        self._stabilization.begin_step(self.steps_done, self.config.steps)
        measures = self._run(batch.input, batch.target)
        if self.average is not None:
            self.average.update(self.generator, self.steps_done)
        self.steps_done += 1
        return measures

    def state(self) -> dict[str, Any]:
        """Everything a run goes on from: weights, optimizers, scaler, average and the step.

        Whole, however the networks are spread; every process must call it.
        """
        state = {
            "step": self.steps_done,
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "average": None if self.average is None else self.average.generator.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "scaler": self._scaler.state_dict(),
        }
        return dict(whole(state)) if self.config.shard else state

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what ``state()`` gave, on this or on another device.

        Raises:
            KeyError, ValueError, RuntimeError: if it is not the state of such a trainer.
        """
        load_weights(self.generator, state["generator"])
        load_weights(self.discriminator, state["discriminator"])
        if self.average is not None:
            load_weights(self.average.generator, state["average"])
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            rates = [group["lr"] for group in optimizer.param_groups]
            load_optimizer(optimizer, saved)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):  # a graph reads the rate's own tensor
                group.update(lr=rate, fused=True, capturable=self.config.cuda_graph)
        if state["scaler"]:  # empty where none was needed
            self._scaler.load_state_dict(state["scaler"])
        self.steps_done = int(state["step"])

    def _improve(self, input_frames: Tensor, target_frames: Tensor) -> Tensor:
        """The step itself, from frames on the device to its MEASURES; nothing in it waits for the device."""
        config = self.generator.config
        source = input_images(input_frames, config).contiguous(memory_format=self._layout)
        target = target_images(target_frames, config).contiguous(memory_format=self._layout)
        with self._autocast():
            translation = self._generate(source)
        of_discriminator = self._improve_discriminator(source, target, translation.detach())
        of_generator = self._improve_generator(source, target, translation)
        self._scaler.update()
        losses, scores = of_discriminator[:2], of_discriminator[2:]
        return torch.stack([*losses, *of_generator, *scores]).detach()

    def _improve_discriminator(self, source: Tensor, target: Tensor, translation: Tensor) -> tuple[Tensor, ...]:
        # Each network call has an autocast block of its own: within one, the 16-bit copies of the weights are kept,
        # and the discriminator's would be stale after its update.
        noisy = self._stabilization.add_noise
        with self._autocast():
            real_scores = self._judge(noisy(source), noisy(target)).float()
            fake_scores = self._judge(noisy(source), noisy(translation)).float()
        gan = self.config.gan
        real_answer, fake_answer = self._stabilization.answers(real_scores)
        real = adversarial_loss(gan, real_scores, real_answer)
        fake = adversarial_loss(gan, fake_scores, fake_answer)
        # Halved, so that it learns more slowly than the generator (section 3.3).
        self._update(1, (real + fake) / 2)
        with torch.no_grad():
            return real, fake, mean_score(gan, real_scores), mean_score(gan, fake_scores)

    def _improve_generator(self, source: Tensor, target: Tensor, translation: Tensor) -> tuple[Tensor, Tensor]:
        noisy = self._stabilization.add_noise
        self.discriminator.requires_grad_(False)  # gradients pass through it, and none are collected for it
        try:
            with self._autocast():
                scores = self._judge_for_generator(noisy(source), noisy(translation))
            adversarial = deception_loss(self.config.gan, scores.float())
            distance = reconstruction_loss(self.config.distance, translation.float(), target)
            self._update(0, adversarial + self.config.l1 * distance)
        finally:
            self.discriminator.requires_grad_(True)
        return adversarial, distance

    def _update(self, which: int, loss: Tensor) -> None:
        optimizer = self._optimizers[which]
        optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.step(optimizer)

    def _placed(self, network: NetworkT) -> NetworkT:
        if self.world.size > 1:
            synchronize_batch_norm(network)
        return network.to(self.device).to(memory_format=self._layout).train()

    def _adam(self, network: nn.Module) -> torch.optim.Adam:
        # Fused: one pass over the weights. On two CPU cores the update takes a fifth of the time of the default.
        rate = torch.tensor(self.config.lr, device=self.device) if self.config.cuda_graph else self.config.lr
        betas = (self.config.beta1, BETA2)
        return torch.optim.Adam(network.parameters(), rate, betas=betas, fused=True, capturable=self.config.cuda_graph)

    def _autocast(self) -> AbstractContextManager[object]:
        if self._precision is None:
            return nullcontext()
        # Within a graph the 16-bit copies must be made anew each time, from weights that have changed since.
        return torch.autocast(self.device.type, dtype=self._precision, cache_enabled=not self.config.cuda_graph)

    def _fast(self, network: nn.Module) -> Callable[..., Tensor]:
        return torch.compile(network) if self.config.compile else network

    def _graphed(self) -> Step:
        return GraphedStep(self._improve)
