"""Whether black is -1 or 0 is seen from the last layer and from the answers, and never guessed."""

from pathlib import Path

import numpy as np
import pytest

from core.errors import InvalidInputError
from export.foreign_input import ValueRange
from tests.export.foreign_graphs import mixed, node, opened, saved


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


def test_range_of_a_network_that_nothing_bounds(tmp_path: Path) -> None:
    """An inverter in -1..1 leaves 0..1 for pictures in 0..1, and one in 0..1 leaves -1..1 for pictures in -1..1."""
    one = {"one": np.float32(1)}
    signed = saved(tmp_path / "signed.onnx", mixed(node("Neg", "mixed", "y")))
    unit = saved(tmp_path / "unit.onnx", mixed(node("Sub", "one", "mixed", "y"), weights=one))
    assert opened(signed).value_range is ValueRange.SIGNED
    assert opened(unit).value_range is ValueRange.UNIT
