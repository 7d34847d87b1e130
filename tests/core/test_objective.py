"""Losses against numbers worked out by hand."""

import math

import pytest
import torch

from core.configuration import Distance, GanObjective
from core.objective import adversarial_loss, deception_loss, mean_score, reconstruction_loss

SCORES = torch.tensor([0.0, 2.0, -3.0])
REAL, FAKE = torch.tensor(1.0), torch.tensor(0.0)


def test_cross_entropy() -> None:
    real = (math.log(2) + math.log(1 + math.exp(-2)) + math.log(1 + math.exp(3))) / 3
    fake = (math.log(2) + math.log(1 + math.exp(2)) + math.log(1 + math.exp(-3))) / 3
    assert adversarial_loss(GanObjective.BCE, SCORES, REAL).item() == pytest.approx(real)
    assert adversarial_loss(GanObjective.BCE, SCORES, FAKE).item() == pytest.approx(fake)
    assert deception_loss(GanObjective.BCE, SCORES).item() == pytest.approx(real)
    # An answer of 0.9 mixes both: 0.9 x real + 0.1 x fake.
    mixed = adversarial_loss(GanObjective.BCE, SCORES, torch.tensor(0.9)).item()
    assert mixed == pytest.approx(0.9 * real + 0.1 * fake)


def test_least_squares() -> None:
    assert adversarial_loss(GanObjective.LEAST_SQUARES, SCORES, REAL).item() == pytest.approx((1 + 1 + 16) / 3)
    assert adversarial_loss(GanObjective.LEAST_SQUARES, SCORES, FAKE).item() == pytest.approx((0 + 4 + 9) / 3)
    assert deception_loss(GanObjective.LEAST_SQUARES, SCORES).item() == pytest.approx(6)


def test_hinge() -> None:
    assert adversarial_loss(GanObjective.HINGE, SCORES, REAL).item() == pytest.approx((1 + 0 + 4) / 3)
    assert adversarial_loss(GanObjective.HINGE, SCORES, FAKE).item() == pytest.approx((1 + 3 + 0) / 3)
    assert deception_loss(GanObjective.HINGE, SCORES).item() == pytest.approx(1 / 3)


def test_scores_of_cross_entropy_are_probabilities() -> None:
    probabilities = [0.5, 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(3))]
    assert mean_score(GanObjective.BCE, SCORES).item() == pytest.approx(sum(probabilities) / 3)
    assert mean_score(GanObjective.HINGE, SCORES).item() == pytest.approx(-1 / 3)


def test_distances() -> None:
    image, target = torch.tensor([0.5, -1.0, 1.0]), torch.tensor([0.0, 1.0, 1.0])
    assert reconstruction_loss(Distance.L1, image, target).item() == pytest.approx(2.5 / 3)
    assert reconstruction_loss(Distance.L2, image, target).item() == pytest.approx(4.25 / 3)
