"""What was typed, checked before any work: one line, exit code 2, nothing written."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from core.frames import write_image
from core.precision import Precision
from export.request import Asked, build_request
from tests.export.conftest import save_run
from tests.export.test_commands import refused


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--size", "64,64"], "names a size twice"),
        (["--size", "64,128", "--dynamic"], "--dynamic makes one artifact for all sizes"),
        (["--batch", "2", "--dynamic"], "take any batch as they are"),
        (["--normalization", "batch"], "choose from running, recalibrated, instance, auto"),
        (["--normalization", "none"], "choose from running, recalibrated, instance, auto"),
        (["--method", "minmax"], "--method is about INT8: add --int8 or --all"),
        (["--no-sensitivity"], "--sensitivity is about INT8"),
        (["--no-cpu-has-vnni"], "--cpu-has-vnni is about INT8"),
        (["--int8", "--method", "guess"], "choose from minmax, percentile"),
        (["--int8", "--method", "mse", "--target", "openvino"], "has no ranges by mse, only by minmax, percentile"),
        (["--int8", "--accuracy-control", "--gate", "int8:psnr=off", "--target", "openvino"], "works towards a PSNR"),
        (["--int8", "--accuracy-control", "--target", "onnx"], "is about OpenVINO's INT8: add --target openvino"),
        (["--out", "run/generator.safetensors/x"], "cannot be written to"),
        (["--out", "."], "is the folder you are in"),
        (["--gate", "int8:psnr=good"], "'int8:psnr=good': psnr = 'good': input should be a valid number"),
        (["--gate", "int8:psnr=3,psnr=4"], "names psnr twice"),
        (["--gate", "int8:speed=3"], "'speed' is none of steps, psnr"),
        (["--compute-capability", "8.6", "--target", "onnx"], "is for TensorRT-RTX engines"),
        (["--compute-capability", "5.0"], "8.6"),
        (["--target", "onnx_tensorrt"], "comes in int8 only: add --int8"),
        (["--range", "0..1"], "--range is about ONNX files made elsewhere"),
        (["--direction", "BtoA"], "knows its own condition and direction"),
        (["--calibrate", "nowhere.mp4", "--int8"], "nowhere.mp4"),
    ],
)
def test_options_that_cannot_be_meant(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    run = save_run(tmp_path / "run")
    assert complaint in refused("export.command", run, *arguments, cwd=tmp_path)


def test_constant_frames_calibrate_nothing(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run")
    for i in range(12):
        write_image(tmp_path / "flat" / f"{i}.png", np.full((64, 64, 3), 20 * i, np.uint8))
    line = refused("export.command", run, "--int8", "--calibrate", "flat", cwd=tmp_path)
    assert "show" in line


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run")
    os.mkfifo(tmp_path / "pipe")
    line = refused("export.command", run, "--int8", "--calibrate", "pipe", cwd=tmp_path)
    assert "pipe is a pipe or a device" in line


def test_a_video_without_frames_is_one_line(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run")
    (tmp_path / "clip.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42" + bytes(200))
    assert "clip.mp4" in refused("export.command", run, "--int8", "--calibrate", "clip.mp4", cwd=tmp_path)


def test_links_that_lead_in_a_circle_are_no_place_for_a_bundle(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run")
    (tmp_path / "loop").symlink_to("loop")
    assert "in a circle" in refused("export.command", run, "--out", "loop", cwd=tmp_path)


class _Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def test_a_pickle_that_executes_code_does_not(tmp_path: Path) -> None:
    (tmp_path / "latest_net_G.pth").write_bytes(pickle.dumps(_Payload(), protocol=2))
    torch.save({"model": _Payload()}, tmp_path / "zipped.pth")
    for name in ("latest_net_G.pth", "zipped.pth"):
        refused("export.command", name, cwd=tmp_path)
    assert not (tmp_path / "executed").exists()


def test_a_graph_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x07 not a graph")
    assert "model.onnx" in refused("export.command", "model.onnx", cwd=tmp_path)


def test_options_become_what_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked = Asked(
        run=save_run(tmp_path / "run"),
        int8=True,
        target="onnx,openvino",
        size=["64,96x64", "128"],
        method="auto",
        gate=["int8:psnr=20"],
        cpu_has_vnni=False,
        sensitivity=False,
    )
    request = build_request(asked)
    assert [str(shape.size) for shape in request.shapes] == ["64x64", "96x64", "128x128"]
    assert [shape.primary for shape in request.shapes] == [True, False, False]
    assert [(row.target.name, row.precision) for row in request.planned] == [
        ("onnx", Precision.FP32), ("onnx", Precision.INT8), ("openvino", Precision.FP32), ("openvino", Precision.INT8),
    ]  # fmt: skip
    assert request.saturates is True
    assert request.normalization is None
    assert (request.int8.method, request.int8.sweep, request.int8.sensitivity) == (None, True, False)
    assert request.int8.gate.psnr_db == request.gates[Precision.INT8].psnr_db == 20.0
    assert request.frames.own_data
