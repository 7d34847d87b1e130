"""What other tools say of a bundle's files is understood, and compared round by round."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import openvino
import pytest
from onnx import TensorProto, helper

from benchmarks.exported import PLAIN_SCRIPT, Row, Seen, chosen, openvino_ports, see_onnx, see_openvino
from core.errors import InvalidInputError, UnavailableError
from core.manifest import Artifact, ArtifactFile, Status
from core.precision import Precision

FRAME = "uint8 [1, 8, 12, 3]"


def artifact(target: str, precision: Precision = Precision.FP32, **values: Any) -> Artifact:
    suffixes = {"onnx": ("onnx",), "openvino": ("xml", "bin"), "tensorrt": ("engine",)}[target]
    files = tuple(ArtifactFile(name=f"generator.{precision}.{one}", sha256="0" * 64, bytes=1) for one in suffixes)
    same: dict[str, Any] = {"height": 8, "width": 12, "fidelity": None, "latency_ms": None, "reason": None}
    return Artifact(
        target=target, precision=precision, files=files, status=Status.PASSED, build_seconds=0.0, **(same | values)
    )


def seen(p50_ms: float, *ports: str) -> Seen:
    return Seen(ports=ports or (FRAME, FRAME), p50_ms=p50_ms, raw=[p50_ms])


@pytest.fixture
def negative(tmp_path: Path) -> Path:
    """A graph that takes frames of 8 x 12, and gives their negatives."""
    ends = [helper.make_tensor_value_info(name, TensorProto.UINT8, [1, 8, 12, 3]) for name in ("frames", "translation")]
    node = helper.make_node("BitwiseNot", ["frames"], ["translation"])
    graph = helper.make_graph([node], "negative", ends[:1], ends[1:])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), tmp_path / "one.onnx"
    )
    return tmp_path / "one.onnx"


def test_both_tools_see_the_same_frames(negative: Path) -> None:
    xml = negative.with_suffix(".xml")
    openvino.save_model(openvino.convert_model(negative), xml)
    for one in (see_onnx(negative, threads=1, runs=3), see_openvino(xml, threads=1, runs=3)):
        assert one.ports == (FRAME, FRAME)
        assert one.p50_ms >= 0


def test_the_plain_script_needs_nothing_of_this_project(negative: Path, tmp_path: Path) -> None:
    """From another folder, and isolated from whatever the environment names."""
    report = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__'); print(*sys.modules)"
    command = [sys.executable, "-I", "-c", report.replace("sys.argv[1]", repr(str(PLAIN_SCRIPT)))]
    done = subprocess.run(
        [*command, str(negative), "--runs", "4", "--warm-up", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    printed, modules = done.stdout.splitlines()
    assert len(json.loads(printed)["raw_ms"]) == 4
    packages = {name.partition(".")[0] for name in modules.split()}
    assert packages.isdisjoint({"core", "export", "runtime", "calibration", "train", "benchmarks", "torch", "onnx"})


def test_ratios_are_those_of_one_round() -> None:
    """The machine is ten times slower in the second round; the tool takes 1.1 times as long in both."""
    row = Row(artifact=artifact("onnx"), tool=[seen(11.0), seen(110.0)], own_ms=[[9.0, 10.0, 50.0], [100.0]])
    assert row.ratios == pytest.approx([1.1, 1.1])
    assert row.agrees
    assert "**1.10** (1.10 to 1.10)" in row.line()


@pytest.mark.parametrize("port", ["float32 [1, 8, 12, 3]", "uint8 [1, 12, 8, 3]", "uint8 [1, 3, 8, 12]"])
def test_a_file_that_is_not_what_the_manifest_says_is_pointed_out(port: str) -> None:
    row = Row(artifact=artifact("onnx"), tool=[seen(1.0), seen(1.0, FRAME, port)], own_ms=[[1.0], [1.0]])
    assert not row.agrees
    assert port in row.line()
    assert row.record()["shapes_agree"] is False


def test_only_what_the_tools_can_open_as_it_is_is_compared() -> None:
    artifacts = (
        artifact("onnx"),
        artifact("onnx", Precision.FP16),
        artifact("openvino", dynamic=True),
        artifact("openvino", Precision.INT8),
        artifact("tensorrt"),
    )
    names = [row.artifact.name for row in chosen(artifacts, "fp32, int8")]
    assert names == ["generator.fp32.onnx", "generator.int8.xml"]
    with pytest.raises(InvalidInputError, match="--precision 'fp8' is unknown"):
        chosen(artifacts, "fp32,fp8")
    with pytest.raises(InvalidInputError, match="has no int8"):
        chosen(artifacts[:2], "int8")


def test_a_benchmark_app_that_says_something_else_is_no_agreement() -> None:
    with pytest.raises(UnavailableError, match="does not print"):
        openvino_ports("[Step 4/11] Reading model files\n[Step 5/11] Resizing\n")
