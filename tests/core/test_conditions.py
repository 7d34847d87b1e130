import numpy as np
import pytest

from core.conditions import Condition


@pytest.fixture
def square() -> np.ndarray:
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[16:48, 16:48] = (40, 160, 240)
    return frame


@pytest.mark.parametrize("condition", list(Condition))
def test_a_condition_makes_a_frame_of_a_frame(condition: Condition, square: np.ndarray) -> None:
    before = square.copy()
    made = condition.apply(square)
    assert made.shape == square.shape
    assert made.dtype == np.uint8
    assert made.flags.c_contiguous
    assert np.array_equal(square, before), "the live frame is shown beside the translation: it must not change"


def test_edges_are_dark_lines_on_white_where_the_picture_changes(square: np.ndarray) -> None:
    edges = Condition.EDGES.apply(square)
    assert set(np.unique(edges)) == {0, 255}
    rows, columns = np.nonzero(edges[..., 0] == 0)
    assert rows.size > 100
    assert rows.min() >= 13
    assert rows.max() <= 50
    assert np.all(edges[24:40, 24:40] == 255)


def test_grayscale_has_the_luminance_in_all_channels(square: np.ndarray) -> None:
    gray = Condition.GRAYSCALE.apply(square)
    assert np.array_equal(gray[..., 0], gray[..., 2])
    assert gray[32, 32, 0] == pytest.approx(0.114 * 40 + 0.587 * 160 + 0.299 * 240, abs=1)  # ITU-R BT.601
