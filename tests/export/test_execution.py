from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from core.formats import TARGETS
from core.precision import Precision
from export import graph_inspection
from export.execution import _share, executed_share


def test_shares_are_of_the_work_and_not_of_the_layers() -> None:
    assert _share({"a": "int8", "b": "fp32"}, {"a": 300, "b": 100}) == {"int8": 0.75, "fp32": 0.25}
    assert _share({"a": "int8"}, {"a": 300, "b": 100}) is None, "what a layer runs in must be known of every layer"
    assert _share({}, {}) is None


@pytest.mark.parametrize(("device", "share"), [("cpu", {"int8": 1.0}), ("cuda", None)])
def test_what_onnx_runtime_makes_of_a_graph_is_known_of_the_cpu_only(
    device: str, share: dict[str, float] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_inspection, "executed_precisions", lambda _path: {"a": "int8"})
    engine = cast(Any, SimpleNamespace(device=device))
    planned = cast(Any, SimpleNamespace(target=TARGETS["onnx"], precision=Precision.INT8))
    assert executed_share(engine, planned, Path("generator.int8.onnx"), {"a": 5}) == share
