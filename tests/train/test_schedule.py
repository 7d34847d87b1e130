"""How the learning rate falls."""

import math

import pytest

from train.schedule import Schedule


def test_linear_is_constant_then_falls_to_zero() -> None:
    factors = [Schedule.LINEAR.factor(step, 100) for step in range(100)]
    assert factors[:51] == [1.0] * 51
    assert factors[75] == 0.5
    assert factors[99] == pytest.approx(0.02)
    assert Schedule.LINEAR.factor(100, 100) == 0
    assert Schedule.LINEAR.factor(0, 1) == 1


def test_cosine_and_constant() -> None:
    assert [Schedule.COSINE.factor(step, 100) for step in (0, 25, 50, 75, 100)] == pytest.approx(
        [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0]
    )
    assert {Schedule.CONSTANT.factor(step, 100) for step in range(100)} == {1.0}
