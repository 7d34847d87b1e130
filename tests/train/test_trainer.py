"""The training step against what the paper says it is."""

import math

import numpy as np
import pytest
import torch

from core.frames import Size, frames_to_array
from train.loader import Batch
from train.settings import TrainingConfig, TrainingOptions, resolve
from train.trainer import Trainer, rate_factor


def config(**values: object) -> TrainingConfig:
    small: dict[str, object] = {"size": Size(32, 32), "width": 4, "steps": 40, "threads": 1}
    return resolve(TrainingOptions.model_validate(small | values), device="cpu", pairs=4, cores=1)


def some_batch(count: int = 1) -> Batch:
    random = np.random.default_rng(5)
    frames = random.integers(0, 256, (2, count, 32, 32, 3), dtype=np.uint8)
    return Batch(frames[0], frames[1])


def test_the_rate_is_constant_then_falls_to_zero() -> None:
    factors = [rate_factor(step, 100) for step in range(100)]
    assert factors[:51] == [1.0] * 51
    assert factors[75] == 0.5
    assert factors[99] == pytest.approx(0.02)
    assert rate_factor(100, 100) == 0
    assert rate_factor(0, 1) == 1


@pytest.mark.parametrize("gan", ["bce", "lsgan"])
def test_losses_are_those_of_the_equations(gan: str) -> None:
    """Equations 1, 3 and 4, written out in NumPy on the scores before each update."""
    torch.manual_seed(0)
    trainer = Trainer(config(gan=gan, dropout=False, lr=1e-12))  # so small that the updates do not show
    batch = some_batch()
    source, target = (torch.from_numpy(frames_to_array(frames)) for frames in batch)
    with torch.no_grad():
        translation = trainer.generator(source)
        real = trainer.discriminator(source, target).double().numpy()
        fake = trainer.discriminator(source, translation).double().numpy()
    if gan == "bce":
        expected = [np.log1p(np.exp(-real)).mean(), np.log1p(np.exp(fake)).mean(), np.log1p(np.exp(-fake)).mean()]
    else:
        expected = [((real - 1) ** 2).mean(), (fake**2).mean(), ((fake - 1) ** 2).mean()]
    expected.append(np.abs(translation.numpy() - target.numpy()).mean())
    assert trainer.step(batch).tolist() == pytest.approx(expected, rel=1e-4)


def test_each_update_follows_its_own_objective() -> None:
    """Adam's first step moves every weight by the rate against the sign of its gradient: compare all the signs.

    Gradients too small to tell are left out: a float of a weight's size does not hold the step, or the discriminator's
    own update turns them round.
    """
    torch.manual_seed(0)
    settings = config(dropout=False, norm="none", lr=1e-6)
    trainer, reference = Trainer(settings), Trainer(settings)
    reference.generator.load_state_dict(trainer.generator.state_dict())
    reference.discriminator.load_state_dict(trainer.discriminator.state_dict())
    batch = some_batch()
    source, target = (torch.from_numpy(frames_to_array(frames)) for frames in batch)
    fake = reference.generator(source)
    softplus = torch.nn.functional.softplus
    score = reference.discriminator
    halved = 0.5 * (softplus(-score(source, target)).mean() + softplus(score(source, fake.detach())).mean())
    whole = softplus(-score(source, fake)).mean() + 100 * (fake - target).abs().mean()
    wanted = {
        "discriminator": torch.autograd.grad(halved, list(score.parameters())),
        "generator": torch.autograd.grad(whole, list(reference.generator.parameters())),
    }
    trainer.step(batch)
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
    inputs = np.repeat(np.repeat(random.integers(0, 256, (4, 4, 4, 3), dtype=np.uint8), 8, 1), 8, 2)
    distances = [
        trainer.step(Batch(inputs[i % 4 : i % 4 + 1], 255 - inputs[i % 4 : i % 4 + 1]))[3].item() for i in range(60)
    ]
    assert np.mean(distances[-4:]) < 0.5 * np.mean(distances[:4])
    assert all(math.isfinite(distance) for distance in distances)
