"""Plots of a bundle's figures."""

from xml.etree import ElementTree

import numpy as np

from core.fidelity import GATES
from core.precision import Precision
from export.plot import figure_svg, latency_figure, pareto_front, trade_off_figure
from export.tables import artifact_row
from export.verdict import find_verdict
from tests.export.report_bundle import artifact, manifest


def test_the_front_is_what_nothing_betters() -> None:
    points = [tuple(point) for point in np.random.default_rng(0).integers(0, 12, (60, 2)).tolist()]
    front = pareto_front(points)
    bettered = {one for one in points for other in points if other != one and other[0] <= one[0] and other[1] >= one[1]}
    assert set(front) == set(points) - bettered
    assert front == sorted(front)


def test_labels_of_crowded_points_stay_apart() -> None:
    kinds = [(target, kind) for target in ("onnx", "openvino", "tensorrt") for kind in ("fp32", "fp16", "int8")]
    crowd = [artifact(*kind, 10 + 0.05 * i, 50 + 0.2 * i) for i, kind in enumerate(kinds)]
    about = manifest(crowd, recommended=None)
    figure = trade_off_figure([artifact_row(one, about) for one in crowd], GATES)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text() in set(Precision)]
    assert len(boxes) == 9
    assert not [1 for i, box in enumerate(boxes) for other in boxes[:i] if box.overlaps(other)]
    ElementTree.fromstring(figure_svg(figure))


def test_a_call_with_several_frames_counts_them_all() -> None:
    about = manifest([artifact("onnx", "fp32", 10.0, 80.0, batch=4)], recommended="generator.fp32.onnx")
    (row,) = [artifact_row(one, about) for one in about.artifacts]
    words = [text.get_text() for text in latency_figure([row]).axes[0].texts]
    assert words == ["10.0 ms, 400 fps"]
    verdict = find_verdict(about)
    assert "translates 4 frames of 32x32 in 10.00 ms" in verdict.sentence
    assert [tile.value for tile in verdict.tiles][:2] == ["10.00", "400"]
