"""Several sizes in one bundle, several frames at a time, and graphs for any size: the same pictures."""

import json
from pathlib import Path

import numpy as np
import pytest

from core.facades import facade_pair
from core.formats import InputShape
from core.frames import Frame, Size, fit
from core.networks import UNetGenerator
from core.precision import Precision
from export.fidelity import translate_all
from tests.export.conftest import SIDE, p2p, save_run
from tests.export.deployment import deploy

WIDE = Size(SIDE, 2 * SIDE)


@pytest.mark.parametrize("batch", [1, 4], ids=["running statistics", "each picture's own"])
@pytest.mark.parametrize("target", ["onnx", "openvino"])
@pytest.mark.parametrize("precision", [Precision.FP32, Precision.INT8])
def test_several_frames_at_a_time_are_translated_as_single_ones(
    generator: UNetGenerator, frames: list[Frame], tmp_path: Path, target: str, precision: Precision, batch: int
) -> None:
    shape = InputShape(size=Size(SIDE, SIDE), batch=3)
    deployment = deploy(generator, tmp_path, calibration=frames[:8], held_out=frames[8:], batch=5 - batch, shape=shape)
    held_out = deployment.held_out
    with deployment.open(target, deployment.build(target, precision)) as engine:
        assert engine.batch == 3
        translations = translate_all(engine, held_out.frames)
    assert len(translations) == len(held_out.frames) == 4, "not a multiple of three"
    fidelity, _ = held_out.judge(translations)
    assert fidelity.max_abs <= 1 if precision is Precision.FP32 else fidelity.psnr_db >= 32


@pytest.mark.parametrize("target", ["onnx", "openvino"])
@pytest.mark.parametrize("precision", [Precision.FP32, Precision.INT8])
def test_a_dynamic_artifact_translates_other_sizes_too(
    generator: UNetGenerator, frames: list[Frame], tmp_path: Path, target: str, precision: Precision
) -> None:
    shape = InputShape(size=Size(SIDE, SIDE), dynamic=True)
    deployment = deploy(generator, tmp_path, calibration=frames[:8], held_out=frames[8:], shape=shape)
    path = deployment.build(target, precision)
    wide = [fit(facade_pair(i, size=2 * SIDE).labels, WIDE) for i in range(3)]
    expected = deployment.builder.graphs.original.translate(wide)
    with deployment.open(target, path) as engine:
        fidelity, _ = deployment.held_out.judge(translate_all(engine, deployment.held_out.frames))
    assert fidelity.max_abs <= 1 if precision is Precision.FP32 else fidelity.psnr_db >= 32
    from runtime.engines import open_engine

    with open_engine(target, path, threads=1, size=WIDE) as engine:
        assert engine.size == WIDE
        made = translate_all(engine, wide)
    difference = np.abs(np.stack(made).astype(int) - np.stack(expected))
    assert difference.max() <= 1 if precision is Precision.FP32 else difference.mean() < 4


def test_a_bundle_of_two_sizes_is_exported_shown_timed_and_run(tmp_path: Path) -> None:
    save_run(tmp_path / "runs" / "small")
    command = ["--size", "64,64x128", "--target", "onnx,openvino", "--runs", "4", "--out", "both", "--json"]
    done = p2p("export.command", "runs/small", *command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    manifest = json.loads(done.stdout)
    names = [row["files"][0]["name"] for row in manifest["artifacts"]]
    assert names == [
        "generator.fp32.onnx", "generator.fp32.xml", "generator.fp32.64x128.onnx", "generator.fp32.64x128.xml",
    ]  # fmt: skip
    assert [(row["height"], row["width"]) for row in manifest["artifacts"]] == [(64, 64)] * 2 + [(64, 128)] * 2
    assert all(row["fidelity"]["max_abs"] <= 1 for row in manifest["artifacts"])
    assert manifest["recommended"] in names[:2]
    shown = p2p("export.command", "--show", "both", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "ONNX Runtime 64x128" in shown.stdout
    assert manifest["recommended"] in shown.stdout
    timed = p2p("export.bench_command", "both", "--runs", "2", "--json", cwd=tmp_path)
    assert timed.returncode == 0, timed.stderr
    assert all(row["latency_ms"] for row in json.loads(timed.stdout)["artifacts"])
    for size, wanted in ((None, (64, 64)), ("64x128", (64, 128))):
        option = ["--size", size] if size else []
        run = p2p(
            "runtime.command", "both", "--source", "demo", "--frames", "2", "--no-show", *option, "--json", cwd=tmp_path
        )
        assert run.returncode == 0, run.stderr
        summary = json.loads(run.stdout)
        assert (summary["height"], summary["width"]) == wanted
    refused = p2p("runtime.command", "both", "--size", "128", "--source", "demo", "--no-show", cwd=tmp_path)
    assert refused.returncode == 2
    assert "has no artifact of size 128x128, only 64x64, 64x128" in refused.stderr
