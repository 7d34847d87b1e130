"""A bundle that the real command made, checked with the engines' own libraries and none of this project's code."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch

from core.checkpoint import load_generator
from core.facades import facade_pair
from core.formats import TARGETS
from core.frames import Frame
from core.machine import this_machine
from export.bench_command import THROUGHPUT_DEPTH
from tests.export.conftest import SIDE, p2p

Exported = tuple[Path, dict[str, Any]]


def artifact(manifest: dict[str, Any], target: str, precision: str) -> dict[str, Any]:
    return next(row for row in manifest["artifacts"] if (row["target"], row["precision"]) == (target, precision))


def by_hand(home: Path, frame: Frame) -> np.ndarray:
    """The generator's picture of ``frame``, with pixels moved in NumPy, step by step."""
    generator, _ = load_generator(home / "runs" / "small" / "generator.safetensors")
    image = frame[:, :, ::-1].astype(np.float64).transpose(2, 0, 1)[None] / 127.5 - 1
    with torch.inference_mode():
        output = generator(torch.from_numpy(image).float()).numpy()[0]
    return np.clip(np.rint((output.transpose(1, 2, 0)[:, :, ::-1] + 1) * 127.5), 0, 255)


def test_every_file_is_there_with_its_hash(exported: Exported) -> None:
    home, manifest = exported
    folder = home / "exports" / "small"
    assert json.loads((folder / "manifest.json").read_text()).items() <= manifest.items()
    listed = {file["name"]: file for row in manifest["artifacts"] for file in row["files"]}
    assert {path.name for path in folder.iterdir()} == {*listed, "manifest.json", "report.html"}
    for name, file in listed.items():
        data = (folder / name).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (file["sha256"], file["bytes"])
    assert (home / "exports" / "latest").resolve() == folder.resolve()


def test_what_this_machine_can_make_is_made(exported: Exported) -> None:
    _, manifest = exported
    made = {(row["target"], row["precision"]) for row in manifest["artifacts"]}
    assert {row["target"] for row in manifest["left_out"]} == set(TARGETS) - {target for target, _ in made}
    assert made >= {(t, p) for t in ("onnx", "openvino", "tensorrt_rtx") for p in ("fp32", "fp16", "int8")}


def test_what_ran_has_figures_and_what_did_not_has_a_reason(exported: Exported) -> None:
    _, manifest = exported
    for row in manifest["artifacts"]:
        if row["status"] == "built, not run":
            assert this_machine().gpu is None
            assert row["latency_ms"] is None
            if row["target"] == "onnx_tensorrt":  # ONNX Runtime shows what it does to the picture
                assert "trtexec" in row["reason"]
                assert row["fidelity"]["psnr_db"] >= 32
            else:
                assert row["target"].startswith("tensorrt")
                assert "NVIDIA GPU" in row["reason"]
                assert row["fidelity"] is None
        else:
            assert row["fidelity"]["frames"] == 16
            assert row["latency_ms"]["runs"] >= 100
            assert 0 < row["latency_ms"]["p50"] <= row["latency_ms"]["p90"] <= row["latency_ms"]["p99"]


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_fp32_is_within_one_step_everywhere(exported: Exported, target: str) -> None:
    fidelity = artifact(exported[1], target, "fp32")["fidelity"]
    assert fidelity["max_abs"] <= 1
    assert artifact(exported[1], target, "fp32")["status"] == "passed"


@pytest.mark.parametrize("target", ["onnx", "openvino"])
@pytest.mark.parametrize(("precision", "psnr"), [("fp16", 45.0), ("int8", 32.0)])
def test_the_gate_decides_the_status(exported: Exported, target: str, precision: str, psnr: float) -> None:
    row = artifact(exported[1], target, precision)
    reached = row["fidelity"]["psnr_db"] >= psnr and (precision == "fp16" or row["fidelity"]["ssim"] >= 0.95)
    assert (row["status"] == "passed") is reached
    assert (row["reason"] is None) is reached


def test_the_recommended_artifact_is_the_fastest_that_passed(exported: Exported) -> None:
    _, manifest = exported
    passed = {row["files"][0]["name"]: row["latency_ms"]["p50"] for row in manifest["artifacts"] if row["latency_ms"]
              and row["status"] == "passed"}  # fmt: skip
    assert manifest["recommended"] == min(passed, key=passed.__getitem__)


def test_onnx_runtime_alone_gives_the_generators_picture(exported: Exported) -> None:
    home, _ = exported
    path = home / "exports" / "small" / "generator.fp32.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (source,), (target,) = session.get_inputs(), session.get_outputs()
    assert (source.type, source.shape) == (target.type, target.shape) == ("tensor(uint8)", [1, SIDE, SIDE, 3])
    frame = facade_pair(77, size=SIDE).labels
    picture = session.run(None, {source.name: frame[None]})[0][0]
    assert np.abs(picture - by_hand(home, frame)).max() <= 1
    assert picture.std() > 10, "a flat picture would make this test pass whatever is wrong"


def test_openvino_alone_gives_the_generators_picture(exported: Exported) -> None:
    home, _ = exported
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(home / "exports" / "small" / "generator.fp32.xml", "CPU", settings)
    frame = facade_pair(78, size=SIDE).labels
    picture = model(frame[None])[0][0]
    assert picture.dtype == np.uint8
    assert np.abs(picture - by_hand(home, frame)).max() <= 1


def test_an_fp16_graph_stores_its_weights_in_fp16(exported: Exported) -> None:
    graph = onnx.load(exported[0] / "exports" / "small" / "generator.fp16.onnx").graph
    kinds = {tensor.data_type for tensor in graph.initializer if len(tensor.dims) == 4}
    assert kinds == {onnx.TensorProto.FLOAT16}
    assert not any(node.op_type in ("Dropout", "BatchNormalization") for node in graph.node)


def test_show_me_the_bundle_and_run_it(exported: Exported, tmp_path: Path) -> None:
    """The next command works as printed, on what the last one left."""
    home, manifest = exported
    video = tmp_path / "out.mp4"
    stream = p2p(
        "runtime.command", "--source", "demo", "--frames", "5", "--no-show", "--output", video, "--json", cwd=home
    )
    assert stream.returncode == 0, stream.stderr
    summary = json.loads(stream.stdout)
    assert summary["artifact"] == manifest["recommended"]
    assert summary["frames"] == 5
    assert video.stat().st_size > 0


def test_bench_times_everything_beside_the_baselines(exported: Exported, tmp_path: Path) -> None:
    home, manifest = exported
    plot, table = tmp_path / "plot.png", tmp_path / "table.md"
    done = p2p("export.bench_command", "--json", "--runs", "12", "--plot", plot, "--markdown", table, cwd=home)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["runs"], report["blocks"], report["depth"]) == (12, 6, 1)
    rows = {row["name"]: row for row in report["artifacts"]}
    baselines = {"PyTorch eager", "naive ONNX", "naive OpenVINO"}
    assert rows.keys() == {row["files"][0]["name"] for row in manifest["artifacts"]} | baselines
    for row in rows.values():
        if row["latency_ms"]:
            assert [len(block) for block in row["raw_ms_blocks"]] == [2] * 6
            assert len(row["raw_ms"]) == row["latency_ms"]["runs"] == 12
            assert row["latency_ms"]["p50"] == pytest.approx(float(np.percentile(row["raw_ms"], 50)), abs=1e-3)
            assert row["latency_ms"]["p99"] is None, "12 runs carry no 99th percentile"
        else:
            assert row["reason"]
        assert f"| {row['precision']} |" in table.read_text(encoding="utf-8") or row["recommended"]
    assert all(rows[name]["latency_ms"] for name in baselines)
    assert plot.read_bytes().startswith(b"\x89PNG")
    for text in (done.stderr, table.read_text(encoding="utf-8")):
        assert baselines <= {name for name in baselines if name in text}
        assert "12 calls each in 6 blocks" in text
        assert f"onnxruntime {report['libraries']['onnxruntime']}" in text
    assert report["fingerprint"] == manifest["fingerprint"]


def test_bench_counts_throughput_and_compares(exported: Exported, tmp_path: Path) -> None:
    home, manifest = exported
    given = ("--json", "--runs", "12", "--no-baselines", "--throughput")
    first = p2p("export.bench_command", *given, cwd=home)
    assert first.returncode == 0, first.stderr
    report = json.loads(first.stdout)
    rows = {row["name"]: row for row in report["artifacts"]}
    assert rows.keys() == {row["files"][0]["name"] for row in manifest["artifacts"]}
    assert report["depth"] == THROUGHPUT_DEPTH
    for row in rows.values():
        if row["latency_ms"]:
            assert row["fps"] == pytest.approx(12 / sum(row["block_seconds"]), rel=0.01)
    old = tmp_path / "old.json"
    old.write_text(first.stdout, encoding="utf-8")
    again = p2p("export.bench_command", *given, "--compare", old, cwd=home)
    assert again.returncode == 0, again.stderr
    changes = json.loads(again.stdout)["changes"]
    assert changes["not_comparable"] is None
    assert {change["name"] for change in changes["changes"]} == rows.keys()
    assert f"compared with {old}" in again.stderr
    other = p2p("export.bench_command", "--json", "--runs", "2", "--no-baselines", "--compare", old, cwd=home)
    assert (
        f"it was measured with {THROUGHPUT_DEPTH} calls under way"
        in json.loads(other.stdout)["changes"]["not_comparable"]
    )
