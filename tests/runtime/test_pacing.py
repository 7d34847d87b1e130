"""Frames of a file are read just before they are needed, and no engine waits for them for long."""

import random

import pytest

from runtime.pacing import SLACK_NS, JustInTime

MS = 1_000_000


def simulate(infer_ms: list[float], read_ms: float) -> tuple[list[float], float]:
    """Ages of frames when they were taken and the share of time that the engine waited, as the stages have it."""
    pace = JustInTime()
    taken = now = 0.0  # when the last frame was taken, and when the engine is free again
    ages, waited = [], 0.0
    for duration in infer_ms:
        ready = taken + pace.delay_ns / MS + read_ms
        if ready <= now:
            pace.frame_waited(int((now - ready) * MS))
            ages.append(now - ready)
            taken = now
        else:
            pace.engine_waited(int((ready - now) * MS))
            waited += ready - now
            ages.append(0.0)
            taken = ready
        now = taken + duration
    return ages, waited / now


@pytest.mark.parametrize(("infer", "read"), [(6.0, 1.0), (25.0, 2.0), (80.0, 5.0), (300.0, 20.0)])
def test_a_steady_engine_gets_young_frames_and_never_waits(infer: float, read: float) -> None:
    ages, waited = simulate([infer] * 400, read)
    assert waited < 0.02
    assert sorted(ages[100:])[150] <= 2 * SLACK_NS / MS


def test_an_unsteady_engine_hardly_waits() -> None:
    jitter = random.Random(0)
    ages, waited = simulate([jitter.gauss(25, 1.5) for _ in range(800)], 2.0)
    assert waited < 0.04
    assert sorted(ages[100:])[350] < 6.0


def test_a_slow_source_is_read_at_once() -> None:
    pace = JustInTime()
    for _ in range(20):
        pace.engine_waited(5 * MS)
    assert pace.delay_ns == 0


def test_an_engine_that_speeds_up_is_followed() -> None:
    _, waited = simulate([80.0] * 100 + [10.0] * 300, 1.0)
    assert waited < 0.03
