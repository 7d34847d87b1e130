"""OpenVINO's refusals, a dozen lines long, in one that says what is wrong."""

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from core.errors import UnavailableError
from export.intermediate_representation import convert
from tests.export.foreign_graphs import by_hand, node, saved

ON = node("Constant", "on", value=numpy_helper.from_array(np.array(True)))
HALF = node("Constant", "half", value=helper.make_tensor("t", TensorProto.FLOAT, [], [0.5]))


def dropping(times: int) -> ModelProto:
    """Dropout in training mode, again and again."""
    names = ["x", *(f"dropped_{i}" for i in range(times - 1)), "y"]
    layers = [
        helper.make_node("Dropout", [names[i], "half", "on"], [names[i + 1]], name=f"/deep/{i}/Dropout")
        for i in range(times)
    ]
    return by_hand([ON, HALF, *layers])


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            by_hand([node("Bogus", "x", "z"), node("Magic", "z", "y")]),
            ["No conversion rule found for operations: Bogus-20, Magic-20"],
        ),
        (dropping(1), ["<Node(Dropout): y>", "Training mode is not supported for Dropout op"]),
        (dropping(40), ["Training mode is not supported for Dropout op"]),
        (by_hand([node("Add", "x", "w", "y")], {"w": np.zeros(7, np.float32)}), ["Argument shapes are inconsistent"]),
        (by_hand([node("Add", "x", "w", "y")]), ['Input tensor isn\'t found for node "w"']),
    ],
)
def test_one_line_says_what_is_wrong(tmp_path: Path, model: ModelProto, says: list[str]) -> None:
    with pytest.raises(UnavailableError) as refused:
        convert(saved(tmp_path / "none.256x256.fp32.onnx", model))
    line = str(refused.value)
    for part in says:
        assert part in line
    assert "\n" not in line
    assert len(line) < 350
    for noise in ("Check '", ".cpp", "none.256x256", "Summary", "FrontEnd"):
        assert noise not in line


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as refused:
        convert(tmp_path / "none.256x256.fp32.onnx")
    assert str(tmp_path) not in str(refused.value)
