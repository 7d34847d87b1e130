"""Percentiles against NumPy's, and which ones too few samples leave out."""

import time

import numpy as np
import pytest

from runtime import latency
from runtime.latency import StageTimes, percentiles, process_start_ns, summarize


@pytest.mark.parametrize("count", [100, 101, 999])
def test_percentiles_are_those_of_numpy(count: int) -> None:
    values = np.random.default_rng(count).lognormal(size=count)
    np.testing.assert_allclose(percentiles(values.tolist()), np.percentile(values, [50, 90, 99]), rtol=1e-12)


@pytest.mark.parametrize(
    ("count", "known"),
    [(0, ""), (1, ""), (2, "50"), (9, "50"), (10, "50 90"), (99, "50 90"), (100, "50 90 99")],
)
def test_a_percentile_needs_a_sample_above_it(count: int, known: str) -> None:
    found = dict(zip(("50", "90", "99"), percentiles([float(i) for i in range(count)]), strict=True))
    assert {name for name, value in found.items() if value is not None} == set(known.split())


def test_outliers_are_not_clipped() -> None:
    summary = summarize([1.0] * 199 + [5000.0])
    assert (summary.max, summary.p50, summary.count) == (5000.0, 1.0, 200)
    assert summary.mean == pytest.approx((199 + 5000) / 200)


def test_no_samples_have_no_figures() -> None:
    summary = summarize([])
    assert summary.count == 0
    assert (summary.mean, summary.p50, summary.p90, summary.p99, summary.max) == (None,) * 5


def test_stage_times_are_in_milliseconds() -> None:
    times = StageTimes()
    for nanoseconds in (1_000_000, 2_000_000, 6_000_000):
        times.add(nanoseconds)
    summary = times.summary()
    assert (summary.p50, summary.mean, summary.max, summary.count) == (2.0, 3.0, 6.0, 3)


def test_a_long_stream_keeps_count_mean_and_maximum_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "MAX_KEPT", 2000)
    values = np.random.default_rng(0).permutation(np.arange(1, 20_001)) * 1000
    times = StageTimes()
    for value in values:
        times.add(int(value))
    summary = times.summary()
    assert (summary.count, summary.max) == (20_000, 20.0)
    assert summary.mean == pytest.approx(values.mean() / 1e6)
    assert summary.p50 == pytest.approx(np.percentile(values, 50) / 1e6, rel=0.06)  # of a tenth of the samples
    assert len(times._kept) == 2000


def test_the_process_started_before_now() -> None:
    assert process_start_ns() <= time.perf_counter_ns()
