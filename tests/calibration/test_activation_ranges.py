"""Ranges of activations: histograms against NumPy's, ranges against brute force and ONNX Runtime's calibrator."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization.calibrate import HistogramCollector

from calibration.activation_ranges import BINS, PERCENTILE, ActivationHistogram, ActivationRange, measure_ranges
from core.errors import InvalidInputError, UnavailableError
from core.export_record import RangeMethod

Values = NDArray[np.float32]


def histogram_of(*parts: Values) -> ActivationHistogram:
    histogram = ActivationHistogram()
    for part in parts:
        histogram.add(part)
    return histogram


def normal(count: int = 200_000, seed: int = 0) -> Values:
    return np.random.default_rng(seed).standard_normal(count).astype(np.float32)


def leaky(values: Values) -> Values:
    return np.where(values < 0, values * np.float32(0.2), values)


def mean_square_error(values: Values, low: float, high: float, *, symmetric: bool = False) -> float:
    """Of rounding to 8 bits as engines do it."""
    if symmetric:
        scale, zero, least, most = high / 127, 0.0, -127, 127
    else:
        scale = (high - low) / 255
        zero, least, most = np.round(-low / scale), 0, 255
    steps = np.clip(np.round(values / scale) + zero, least, most)
    return float(np.mean((values - (steps - zero) * scale) ** 2, dtype=np.float64))


@pytest.mark.parametrize("scales", [(1, 10, 100), (100, 10, 1), (1e-6, 3, 1e5)])
def test_a_histogram_that_grew_counts_as_one_made_at_once(scales: tuple[float, ...]) -> None:
    parts = [normal(5_000, seed) * np.float32(scale) for seed, scale in enumerate(scales)]
    histogram = histogram_of(*parts)
    together = np.concatenate(parts)
    expected, _ = np.histogram(together.astype(np.float64), bins=histogram.edges)
    # The same values in one go: the width of the bins depends on the largest only.
    np.testing.assert_array_equal(histogram.counts, expected)
    assert histogram.counts.sum() == together.size
    assert (histogram.low, histogram.high) == (together.min(), together.max())
    assert histogram.width < (histogram.high - histogram.low) * 8 / BINS


def test_min_max_is_exact_and_always_holds_zero() -> None:
    values = np.array([0.25, 3.7, 1.0], np.float32)
    assert histogram_of(values).range(RangeMethod.MIN_MAX) == ActivationRange(0.0, float(np.float32(3.7)))
    assert histogram_of(-values).range(RangeMethod.MIN_MAX) == ActivationRange(-float(np.float32(3.7)), 0.0)
    assert histogram_of(values, -values / 2).range(RangeMethod.MIN_MAX, symmetric=True) == ActivationRange(
        -float(np.float32(3.7)), float(np.float32(3.7))
    )


def test_a_percentile_is_numpys() -> None:
    values = leaky(normal())
    histogram = histogram_of(values[:1000], values[1000:])
    cut = (100 - PERCENTILE) / 2
    found = histogram.range(RangeMethod.PERCENTILE)
    assert found.low == pytest.approx(np.percentile(values, cut, method="higher"), abs=2 * histogram.width)
    assert found.high == pytest.approx(np.percentile(values, 100 - cut, method="lower"), abs=2 * histogram.width)
    symmetric = histogram.range(RangeMethod.PERCENTILE, symmetric=True)
    assert symmetric.high == pytest.approx(
        np.percentile(np.abs(values), PERCENTILE, method="lower"), abs=2 * histogram.width
    )


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("shape", ["normal", "leaky", "relu", "heavy tail"])
def test_least_squares_comes_near_the_best_range_there_is(shape: str, symmetric: bool) -> None:
    values = {
        "normal": normal(),
        "leaky": leaky(normal()),
        "relu": np.maximum(normal(), 0),
        "heavy tail": normal() ** 5,
    }[shape]
    found = histogram_of(values).range(RangeMethod.LEAST_SQUARES, symmetric=symmetric)
    low, high = float(values.min()), float(values.max())
    shares = np.linspace(0.02, 1, 40)
    if symmetric:
        best = min(mean_square_error(values, 0, max(-low, high) * share, symmetric=True) for share in shares)
    else:
        sample = values[:50_000]
        lows = [low * share for share in shares[::3]] if low < 0 else [0.0]
        grid = [(a, high * b) for a in lows for b in shares[::3]]
        best = mean_square_error(values, *min(grid, key=lambda ends: mean_square_error(sample, *ends)))
    assert mean_square_error(values, found.low, found.high, symmetric=symmetric) < 1.05 * best


def test_entropy_gives_up_outliers_but_not_a_uniform_distribution() -> None:
    values = normal()
    outlying = histogram_of(values, np.array([200], np.float32)).range(RangeMethod.ENTROPY, symmetric=True)
    assert np.abs(values).max() * 0.5 < outlying.high < 40
    uniform = np.random.default_rng(0).uniform(-1, 1, 500_000).astype(np.float32)
    assert histogram_of(uniform).range(RangeMethod.ENTROPY, symmetric=True).high > 0.98
    both = histogram_of(uniform).range(RangeMethod.ENTROPY)
    assert both.low < -0.98
    assert both.high > 0.98


def test_the_symmetric_entropy_range_is_close_to_onnx_runtimes() -> None:
    values = np.random.default_rng(1).laplace(size=1_000_000).astype(np.float32)
    counts, edges = np.histogram(values, bins=2047, range=(-np.abs(values).max(), np.abs(values).max()))
    collector = HistogramCollector("entropy", True, 2048, 128, 99.99, "same")
    low, high, *_ = collector.get_entropy_threshold((counts, edges, values.min(), values.max(), 0), 128)
    found = histogram_of(values).range(RangeMethod.ENTROPY, symmetric=True)
    assert found.high == pytest.approx(float(high), rel=0.25)


def test_entropy_of_what_a_leaky_relu_gives_out_is_as_lopsided_as_it_is() -> None:
    """A symmetric search would spend two fifths of the steps on values that never come."""
    values = leaky(np.random.default_rng(2).laplace(size=500_000).astype(np.float32))
    found = histogram_of(values).range(RangeMethod.ENTROPY)
    assert values.min() <= found.low < 0.15 * values.min()
    assert found.high > 3 * -found.low


@pytest.mark.parametrize("method", [RangeMethod.ENTROPY, RangeMethod.LEAST_SQUARES])
def test_exact_zeros_do_not_narrow_a_range(method: RangeMethod) -> None:
    values = np.maximum(normal(), 0)
    without = histogram_of(values[values > 0]).range(method)
    assert histogram_of(values, np.zeros(10**6, np.float32)).range(method) == without


@pytest.mark.parametrize("method", list(RangeMethod))
@pytest.mark.parametrize("symmetric", [False, True])
def test_odd_activations_have_a_range(method: RangeMethod, symmetric: bool) -> None:
    assert ActivationHistogram().range(method, symmetric=symmetric) == ActivationRange(0, 0)
    assert histogram_of(np.zeros(9, np.float32)).range(method, symmetric=symmetric) == ActivationRange(0, 0)
    for value in (5.0, -5.0, 1e-30, 60_000.0):
        found = histogram_of(np.full(9, value, np.float16 if value > 1e4 else np.float32)).range(
            method, symmetric=symmetric
        )
        assert found.low <= 0 <= found.high
        assert mean_square_error(np.full(1, value), found.low, found.high, symmetric=symmetric) < (0.02 * value) ** 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(InvalidInputError, match="not finite"):
        histogram_of(np.array([1, value], np.float32))


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """Frames, two at a time, times -2, through a ReLU: ONNX Runtime fuses the last two."""
    nodes = [
        helper.make_node("Cast", ["frames"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weight"], ["product"]),
        helper.make_node("Relu", ["product"], ["translation"]),
    ]
    weight = (-2 * np.eye(3, dtype=np.float32)).reshape(3, 3, 1, 1)
    made = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, [2, 4, 4, 3])],
        [helper.make_tensor_value_info("translation", TensorProto.FLOAT, [2, 3, 4, 4])],
        [numpy_helper.from_array(weight, "weight")],
    )
    path = tmp_path / "graph.onnx"
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def test_a_tensor_is_measured_before_what_it_is_fused_with(graph: Path) -> None:
    frames = list(np.random.default_rng(0).integers(1, 256, (4, 4, 4, 3), np.uint8))
    measured = measure_ranges(graph, ["product", "translation", "product"], frames)
    expected = histogram_of(*(-2 * frame.astype(np.float32) for frame in frames))
    np.testing.assert_array_equal(measured["product"].counts, expected.counts)
    assert measured["product"].low == expected.low
    assert measured["translation"].zeros == 4 * 4 * 4 * 3
    assert measured["translation"].range(RangeMethod.MIN_MAX) == ActivationRange(0, 0)


def test_every_frame_counts_where_a_graph_takes_several(graph: Path) -> None:
    quiet, loud = np.full((4, 4, 3), 10, np.uint8), np.full((4, 4, 3), 200, np.uint8)
    for order in ([loud, quiet, quiet], [quiet, quiet, loud]):
        assert measure_ranges(graph, ["product"], order)["product"].low == -400


def test_a_graph_that_cannot_run_is_one_line(graph: Path) -> None:
    with pytest.raises(UnavailableError, match=r"ONNX Runtime cannot run the graph[^\n]*$"):
        measure_ranges(graph, ["product"], [np.zeros((5, 4, 3), np.uint8)] * 2)
