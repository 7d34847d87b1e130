"""Whether black is -1 or 0 is seen from the last layer and from the answers, and never guessed."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from core.configuration import DataConfig
from core.errors import InvalidInputError
from export.foreign_graph import open_foreign_graph
from export.foreign_input import ValueRange
from tests.export.foreign_graphs import SIDE, by_hand, mixed, node, opened, saved


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([("Tanh", "mixed", "y")], ValueRange.SIGNED),
        ([("Sigmoid", "mixed", "y")], ValueRange.UNIT),
        ([("Tanh", "mixed", "a"), ("Add", "one", "a", "b"), ("Div", "b", "two", "y")], ValueRange.UNIT),
        ([("Sigmoid", "mixed", "a"), ("Mul", "a", "two", "b"), ("Sub", "one", "b", "y")], ValueRange.SIGNED),
        ([("Clip", "mixed", "zero", "one", "y")], ValueRange.UNIT),
        ([("Identity", "mixed", "y")], None),  # a mean of colours is within either range
        ([("Mul", "mixed", "two", "y")], None),  # within neither
        ([("Mul", "mixed", "zero", "y")], None),  # nothing to see
    ],
)
def test_range_detection(tmp_path: Path, layers: list[tuple[str, ...]], expected: ValueRange | None) -> None:
    numbers = {"zero": np.float32(0), "one": np.float32(1), "two": np.float32(2)}
    path = saved(tmp_path / "net.onnx", mixed(*(node(*layer) for layer in layers), weights=numbers))
    if expected is not None:
        assert opened(path).value_range is expected
        return
    with pytest.raises(InvalidInputError, match=r"--range=-1\.\.1 or --range=0\.\.1") as refused:
        opened(path)
    assert "for pictures in -1..1, and of" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert opened(path, ValueRange.UNIT).value_range is ValueRange.UNIT


@pytest.mark.parametrize(
    ("layers", "wrong", "says"),
    [
        ([("Tanh", "mixed", "y")], ValueRange.UNIT, "--range=0..1 does not fit"),
        ([("Sigmoid", "mixed", "y")], ValueRange.SIGNED, "whose last layer gives 0..1: leave --range out"),
        ([("Clip", "mixed", "zero", "one", "y")], ValueRange.SIGNED, "gives 0..1"),
        ([("Sigmoid", "mixed", "a"), ("Mul", "a", "white", "y")], ValueRange.UNIT, "gives 0..255: export it with"),
    ],
)
def test_a_stated_range_that_the_last_layer_contradicts(
    tmp_path: Path, layers: list[tuple[str, ...]], wrong: ValueRange, says: str
) -> None:
    numbers = {"zero": np.float32(0), "one": np.float32(1), "white": np.float32(255)}
    path = saved(tmp_path / "net.onnx", mixed(*(node(*layer) for layer in layers), weights=numbers))
    with pytest.raises(InvalidInputError) as refused:
        opened(path, wrong)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_stated_range_that_the_last_layer_leaves_open(tmp_path: Path) -> None:
    """A clip wider than the range says nothing of it."""
    numbers = {"low": np.float32(-3), "high": np.float32(3)}
    path = saved(tmp_path / "net.onnx", mixed(node("Clip", "mixed", "low", "high", "y"), weights=numbers))
    for stated in ValueRange:
        assert opened(path, stated).value_range is stated


def test_range_of_a_network_that_nothing_bounds(tmp_path: Path) -> None:
    """An inverter in -1..1 leaves 0..1 for pictures in 0..1, and one in 0..1 leaves -1..1 for pictures in -1..1."""
    one = {"one": np.float32(1)}
    signed = saved(tmp_path / "signed.onnx", mixed(node("Neg", "mixed", "y")))
    unit = saved(tmp_path / "unit.onnx", mixed(node("Sub", "one", "mixed", "y"), weights=one))
    assert opened(signed).value_range is ValueRange.SIGNED
    assert opened(unit).value_range is ValueRange.UNIT


def test_it_is_tried_on_the_users_own_pictures(tmp_path: Path) -> None:
    """Which here show nothing, so that they cannot tell what the built-in ones would."""
    path = saved(tmp_path / "signed.onnx", by_hand([node("Neg", "x", "y")]))
    assert opened(path).value_range is ValueRange.SIGNED
    (tmp_path / "val").mkdir()
    cv2.imwrite(str(tmp_path / "val" / "1.png"), np.zeros((SIDE, 2 * SIDE, 3), np.uint8))
    data = DataConfig(source=str(tmp_path), height=SIDE, width=SIDE)
    with pytest.raises(InvalidInputError, match=r"gives values of 1 to 1 for pictures in -1\.\.1"):
        open_foreign_graph(path, value_range=None, data=data, size=None)
