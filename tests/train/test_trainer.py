"""The training step against what the paper says it is."""

import copy
import functools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from core.frames import Size, frames_to_array
from train.defaults import resolve
from train.feeding import DeviceBatch
from train.history import MEASURES
from train.settings import TrainingConfig, TrainingOptions
from train.trainer import Trainer


def config(**values: object) -> TrainingConfig:
    small: dict[str, object] = {"size": Size(32, 32), "width": 4, "steps": 40, "threads": 1}
    return resolve(TrainingOptions.model_validate(small | values), device="cpu", pairs=4, cores=1)


def some_batch(count: int = 1) -> DeviceBatch:
    random = np.random.default_rng(5)
    frames = torch.from_numpy(random.integers(0, 256, (2, count, 32, 32, 3), dtype=np.uint8))
    return DeviceBatch(frames[0], frames[1])


@pytest.mark.parametrize("distance", ["l1", "l2"])
@pytest.mark.parametrize("gan", ["bce", "lsgan", "hinge"])
def test_losses_are_those_of_the_equations(gan: str, distance: str) -> None:
    """Equations 1, 3 and 4 (and 16 and 17 of Miyato et al. 2018), in NumPy on the scores before each update."""
    torch.manual_seed(0)
    trainer = Trainer(config(gan=gan, distance=distance, dropout=False, lr=1e-12))  # the updates do not show
    batch = some_batch()
    source, target = (torch.from_numpy(frames_to_array(frames.numpy())) for frames in batch)
    with torch.no_grad():
        translation = trainer.generator(source)
        real = trainer.discriminator(source, target).double().numpy()
        fake = trainer.discriminator(source, translation).double().numpy()
    scores = [real.mean(), fake.mean()]
    if gan == "bce":
        expected = [np.log1p(np.exp(-real)).mean(), np.log1p(np.exp(fake)).mean(), np.log1p(np.exp(-fake)).mean()]
        scores = [(1 / (1 + np.exp(-real))).mean(), (1 / (1 + np.exp(-fake))).mean()]
    elif gan == "lsgan":
        expected = [((real - 1) ** 2).mean(), (fake**2).mean(), ((fake - 1) ** 2).mean()]
    else:
        expected = [np.maximum(0, 1 - real).mean(), np.maximum(0, 1 + fake).mean(), -fake.mean()]
    difference = translation.numpy() - target.numpy()
    expected.append(np.abs(difference).mean() if distance == "l1" else (difference**2).mean())
    measured = trainer.step(batch).tolist()
    assert measured == pytest.approx([*expected, *scores], rel=1e-4, abs=1e-6)
    assert len(MEASURES) == len(measured)


def with_gradients(*, lr: float) -> tuple[Trainer, Trainer, dict[str, tuple[Tensor, ...]]]:
    """A trainer, another with the same weights, and the gradients that equations 1, 3 and 4 give on ``some_batch``."""
    torch.manual_seed(0)
    settings = config(dropout=False, norm="none", lr=lr)
    trainer, reference = Trainer(settings), Trainer(settings)
    reference.generator.load_state_dict(trainer.generator.state_dict())
    reference.discriminator.load_state_dict(trainer.discriminator.state_dict())
    source, target = (torch.from_numpy(frames_to_array(frames.numpy())) for frames in some_batch())
    fake = reference.generator(source)
    softplus, score = torch.nn.functional.softplus, reference.discriminator
    halved = 0.5 * (softplus(-score(source, target)).mean() + softplus(score(source, fake.detach())).mean())
    whole = softplus(-score(source, fake)).mean() + 100 * (fake - target).abs().mean()
    gradients = {
        "discriminator": torch.autograd.grad(halved, list(score.parameters())),
        "generator": torch.autograd.grad(whole, list(reference.generator.parameters())),
    }
    return trainer, reference, gradients


def test_each_update_follows_its_own_objective() -> None:
    """Adam's first step moves every weight by the rate against the sign of its gradient: compare all the signs.

    Gradients too small to tell are left out: a float of a weight's size does not hold the step, or the discriminator's
    own update turns them round.
    """
    trainer, reference, wanted = with_gradients(lr=1e-6)
    trainer.step(some_batch())
    for name, gradients in wanted.items():
        befores, afters = (getattr(which, name).parameters() for which in (reference, trainer))
        for before, after, gradient in zip(befores, afters, gradients, strict=True):
            told = gradient.abs() > max(1e-10, 1e-3 * gradient.abs().max().item())
            assert told.any(), name
            assert torch.equal(torch.sign(before - after)[told], torch.sign(gradient)[told]), name


def test_the_discriminator_stays_trainable_and_steps_are_counted() -> None:
    trainer = Trainer(config())
    trainer.step(some_batch(2))
    assert all(parameter.requires_grad for parameter in trainer.discriminator.parameters())
    assert trainer.steps_done == 1


def test_a_few_steps_bring_translations_closer() -> None:
    torch.manual_seed(0)
    trainer = Trainer(config(steps=60, width=8, lr=2e-3, dropout=False))
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.integers(0, 256, (4, 4, 4, 3), dtype=np.uint8))
    inputs = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)
    distances = [
        trainer.step(DeviceBatch(inputs[i % 4 : i % 4 + 1], 255 - inputs[i % 4 : i % 4 + 1]))[3].item()
        for i in range(60)
    ]
    assert np.mean(distances[-4:]) < 0.5 * np.mean(distances[:4])
    assert all(math.isfinite(distance) for distance in distances)


def test_the_average_follows_the_generator_as_its_formula_says() -> None:
    torch.manual_seed(0)
    trainer = Trainer(config(ema=0.9))
    assert trainer.average is not None
    expected = {name: tensor.clone() for name, tensor in trainer.generator.state_dict().items()}
    for step in range(5):
        trainer.step(some_batch())
        decay = min(0.9, (1 + step) / (10 + step))
        for name, tensor in trainer.generator.state_dict().items():
            if tensor.is_floating_point():
                expected[name] = decay * expected[name] + (1 - decay) * tensor
            else:
                expected[name] = tensor.clone()
    averaged = trainer.average.generator.state_dict()
    assert trainer.deployable() is trainer.average.generator
    assert all(torch.allclose(averaged[name], tensor, atol=1e-6) for name, tensor in expected.items())
    assert any(not torch.equal(averaged[name], tensor) for name, tensor in trainer.generator.state_dict().items())


def test_compiled_networks_learn_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the backend that traces and differentiates but generates no code, which would take a minute."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    torch.manual_seed(0)
    plain = Trainer(config(dropout=False))
    torch.manual_seed(0)
    compiled = Trainer(config(dropout=False, compile=True))
    for _ in range(2):
        expected, measured = plain.step(some_batch()), compiled.step(some_batch())
    assert torch.allclose(expected, measured, rtol=1e-3)
    assert compiled.generator.state_dict().keys() == plain.generator.state_dict().keys()


def test_bf16_on_request() -> None:
    torch.manual_seed(0)
    full = Trainer(config(dropout=False))
    torch.manual_seed(0)
    half = Trainer(config(dropout=False, precision="bf16"))
    expected, measured = full.step(some_batch()), half.step(some_batch())
    assert not torch.equal(expected, measured)
    assert torch.allclose(expected, measured, rtol=0.05)
    assert all(parameter.dtype == torch.float32 for parameter in half.generator.parameters())


def test_the_gradients_are_those_of_the_halved_and_the_weighted_loss() -> None:
    """Adam's first moment after one step is (1 - beta1) times the gradient; its sign alone would not show the scale."""
    trainer, _, wanted = with_gradients(lr=1e-12)
    trainer.step(some_batch())
    for optimizer, gradients in zip(
        trainer.state()["optimizers"], (wanted["generator"], wanted["discriminator"]), strict=True
    ):
        for index, gradient in enumerate(gradients):
            moment = optimizer["state"][index]["exp_avg"]
            assert torch.allclose(moment, 0.5 * gradient, rtol=1e-3, atol=1e-3 * float(moment.abs().max()) + 1e-12)


def test_a_state_without_a_loss_scaler_fits_everywhere() -> None:
    """As one saved on a CPU and resumed on a GPU in fp16: nothing is there to be restored."""
    trainer, other = Trainer(config()), Trainer(config())
    trainer.step(some_batch())
    other._scaler = torch.amp.GradScaler("cpu", enabled=True)
    other.restore(trainer.state())
    assert other.steps_done == 1


def test_a_state_of_another_memory_layout_is_the_same_state() -> None:
    """As one saved on a GPU, where weights and moments lie channels last: fused Adam goes by memory, not by place."""
    torch.manual_seed(0)
    trainer, other = Trainer(config(dropout=False)), Trainer(config(dropout=False))
    trainer.step(some_batch())
    state = copy.deepcopy(trainer.state())
    for optimizer in state["optimizers"]:
        for moments in optimizer["state"].values():
            for name, tensor in moments.items():
                if tensor.dim() == 4:
                    moments[name] = tensor.contiguous(memory_format=torch.channels_last)
    other.restore(state)
    assert torch.equal(other.step(some_batch()), trainer.step(some_batch()))
    for one, same in zip(other.generator.parameters(), trainer.generator.parameters(), strict=True):
        assert torch.equal(one, same)


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_an_average_follows_whatever_the_norm_keeps(norm: str) -> None:
    trainer = Trainer(config(norm=norm, ema=0.9))
    trainer.step(some_batch(2))
    average, generator = (network.state_dict() for network in (trainer.deployable(), trainer.generator) if network)
    assert average.keys() == generator.keys()
    counters = {name for name, tensor in average.items() if not tensor.is_floating_point()}
    assert all(torch.equal(average[name], generator[name]) for name in counters)
    assert bool(counters) is (norm == "batch")
