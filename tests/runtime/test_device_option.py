"""``p2p-run --device`` as its user meets it."""

import json
from pathlib import Path

import onnxruntime
import openvino
import pytest

from core.manifest import Manifest, describe_file, read_manifest, write_manifest
from tests.runtime.stream_helpers import read_clip, read_number, run_command_line


@pytest.fixture
def both_bundle(tiny_bundle: Path) -> Path:
    """The bundle of the inverting graph, with OpenVINO's model of it as well."""
    model = tiny_bundle / "generator.fp32.xml"
    openvino.save_model(openvino.convert_model(tiny_bundle / "generator.fp32.onnx"), model, compress_to_fp16=False)
    manifest = read_manifest(tiny_bundle)
    files = (describe_file(model), describe_file(model.with_suffix(".bin")))
    second = manifest.artifacts[0].model_copy(update={"target": "openvino", "files": files})
    both = manifest.model_dump() | {"artifacts": (*manifest.artifacts, second)}
    write_manifest(tiny_bundle, Manifest.model_validate(both))
    return tiny_bundle


@pytest.mark.parametrize("target", ["openvino", "onnx"])
def test_a_clip_is_translated_on_the_cpu(target: str, both_bundle: Path, clip: Path, tmp_path: Path) -> None:
    arguments = ("--source", clip, "--output", "out.mp4", "--no-show", "--json", "--target", target, "--device", "CPU")
    done = run_command_line(both_bundle, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["target"], report["device"], report["frames"]) == (target, "cpu", 40)
    assert "on cpu, 48x64" in done.stderr
    assert [255 - read_number(frame) for frame in read_clip(tmp_path / "out.mp4")] == list(range(40))


def test_openvinos_choice_of_a_device_is_said_by_the_devices_name(both_bundle: Path, tmp_path: Path) -> None:
    arguments = ("--source", "demo", "--frames", "3", "--no-show", "--json", "--device", "auto")
    done = run_command_line(both_bundle, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["target"] == "openvino", "ONNX Runtime has no such device"
    assert report["device"].upper() in openvino.Core().available_devices


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this ONNX Runtime has CUDA"
)
def test_cuda_where_there_is_none_is_one_line_that_says_what_mends_it(both_bundle: Path, tmp_path: Path) -> None:
    arguments = ("--source", "demo", "--frames", "1", "--no-show", "--device", "cuda", "--output", "out/made.mp4")
    done = run_command_line(both_bundle, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert f"onnx: ONNX Runtime {onnxruntime.__version__} as installed has no CUDAExecutionProvider" in done.stderr
    assert "pip install 'onnxruntime-gpu[cuda,cudnn]'" in done.stderr
    assert "openvino: OpenVINO has no device cuda here, only CPU" in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("device", "reason"), [("fpga", "no device fpga here, only CPU"), ("", "is not understood")])
def test_a_device_that_there_is_not_is_one_line(device: str, reason: str, both_bundle: Path, tmp_path: Path) -> None:
    done = run_command_line(both_bundle, "--no-show", "--frames", "1", "--device", device, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr
