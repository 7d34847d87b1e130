"""Smoothing, switching and noise against their definitions, and off unless asked for."""

import torch
from torch import Tensor

from train.stabilization import Stabilization, remaining

CPU = torch.device("cpu")
SCORES = torch.zeros(2, 1, 30, 30)


def measures(*, smooth: bool = False, switch: float = 0.0, noise: float = 0.0) -> Stabilization:
    torch.manual_seed(0)
    return Stabilization(smooth=smooth, switch=switch, noise=noise, device=CPU)


def test_off_they_change_nothing_and_draw_no_random_numbers() -> None:
    off = measures()
    before = torch.get_rng_state()
    off.begin_step(0, 100)
    real, fake = off.answers(SCORES)
    assert (float(real), float(fake)) == (1.0, 0.0)
    assert off.add_noise(SCORES) is SCORES
    assert torch.equal(before, torch.get_rng_state())
    assert off.amounts(0, 100) == {}


def test_decaying_measures_fall_linearly_to_zero() -> None:
    assert [remaining(step, 200) for step in (0, 50, 100, 150, 200)] == [1.0, 0.75, 0.5, 0.25, 0.0]
    both = measures(switch=0.2, noise=0.4)
    assert both.amounts(50, 200) == {"switch_labels": 0.2 * 0.75, "instance_noise": 0.4 * 0.75}


def test_smoothing_is_uniform_on_the_real_side_only() -> None:
    real, fake = measures(smooth=True).answers(torch.zeros(20_000))
    assert 0.8 <= float(real.min()) < 0.801
    assert 1.199 < float(real.max()) <= 1.2
    assert abs(float(real.mean()) - 1) < 0.005
    assert abs(float(real.std()) - 0.4 / 12**0.5) < 0.002
    assert torch.equal(fake, torch.zeros(()))


def switched_share(which: Stabilization, step: int, steps: int, draws: int) -> float:
    switched = 0
    for _ in range(draws):
        which.begin_step(step, steps)
        real, fake = which.answers(SCORES)
        assert {float(real), float(fake)} == {0.0, 1.0}
        switched += float(real) == 0.0
    return switched / draws


def test_labels_are_switched_with_the_probability_of_the_step() -> None:
    which = measures(switch=0.4)
    assert abs(switched_share(which, 0, 100, 2000) - 0.4) < 0.04
    assert abs(switched_share(which, 50, 100, 2000) - 0.2) < 0.04
    assert switched_share(which, 100, 100, 200) == 0


def test_noise_has_the_standard_deviation_of_the_step() -> None:
    which = measures(noise=0.5)
    images = torch.full((2, 3, 64, 64), 0.3)

    def added(step: int) -> Tensor:
        which.begin_step(step, 100)
        return which.add_noise(images) - images

    assert abs(float(added(0).std()) - 0.5) < 0.01
    assert abs(float(added(80).std()) - 0.1) < 0.005
    assert abs(float(added(0).mean())) < 0.02
    assert not torch.equal(added(0), added(0))
    assert float(added(100).abs().max()) == 0
