"""Devices by name: what each engine has, and that it runs there or not at all."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import openvino
import pytest

from core.errors import EdgeError, InvalidInputError, UnavailableError
from runtime.engines import EngineSettings, compiled_model, find_device, open_engine, parse_device
from runtime.engines.compiled_model import CompiledModelEngine
from runtime.engines.devices import cuda_index
from tests.runtime.conftest import write_inverting_graph
from tests.runtime.engine_contract import SIZE
from tests.runtime.test_compiled_model import write_inverting_model

CPU_ONLY = ["AzureExecutionProvider", "CPUExecutionProvider"]


@pytest.mark.parametrize(
    ("text", "named"), [(None, None), ("CPU", "cpu"), (" Cuda:1 ", "cuda:1"), ("GPU.0", "gpu.0"), ("AUTO", "auto")]
)
def test_a_device_may_be_written_in_either_case(text: str | None, named: str | None) -> None:
    assert parse_device(text) == named


@pytest.mark.parametrize("text", ["", " ", "cuda 1", "gpu\ncpu", "cuda:-1", "a" * 41, "µ"])
def test_what_cannot_be_a_device_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is not understood: give cpu, cuda") as refusal:
        parse_device(text)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("named", "index"), [("cuda", 0), ("cuda:0", 0), ("cuda:12", 12), ("cuda:", None), ("cuda:x", None), ("gpu", None)]
)
def test_which_gpu_is_meant(named: str, index: int | None) -> None:
    assert cuda_index(named) == index


def offer(monkeypatch: pytest.MonkeyPatch, providers: list[str]) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)


def have(monkeypatch: pytest.MonkeyPatch, *devices: str) -> None:
    monkeypatch.setattr(compiled_model, "available_devices", lambda: devices)


@pytest.mark.parametrize(
    ("named", "found"), [("cpu", "cpu"), ("cuda", "cuda"), ("cuda:0", "cuda"), ("cuda:2", "cuda:2")]
)
def test_onnx_runtime_has_the_cpu_and_gpus(named: str, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, ["CUDAExecutionProvider", "CPUExecutionProvider"])
    assert find_device("onnx", named) == found


def test_onnx_runtime_without_cuda_says_what_is_installed_and_what_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, CPU_ONLY)
    assert find_device("onnx", "cpu") == "cpu"
    with pytest.raises(UnavailableError) as refusal:
        find_device("onnx", "cuda")
    assert f"ONNX Runtime {onnxruntime.__version__} as installed has no CUDAExecutionProvider" in str(refusal.value)
    assert "only AzureExecutionProvider, CPUExecutionProvider" in str(refusal.value)
    assert "pip install 'onnxruntime-gpu[cuda,cudnn]'" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("available", "named", "found"),
    [
        (("CPU",), "cpu", "cpu"),
        (("CPU",), "auto", "auto"),
        (("CPU", "GPU", "NPU"), "gpu", "gpu"),
        (("CPU", "GPU", "NPU"), "gpu.0", "gpu"),
        (("CPU", "GPU", "NPU"), "npu", "npu"),
        (("CPU", "GPU.0", "GPU.1"), "gpu", "gpu.0"),
        (("CPU", "GPU.0", "GPU.1"), "gpu.1", "gpu.1"),
    ],
)
def test_openvinos_devices_go_by_its_names(
    available: tuple[str, ...], named: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(monkeypatch, *available)
    assert find_device("openvino", named) == found


@pytest.mark.parametrize("named", ["gpu.2", "cuda", "fpga", "cpu.0"])
def test_a_device_that_openvino_does_not_have_is_answered_with_those_it_has(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(monkeypatch, "CPU", "GPU.0", "GPU.1")
    with pytest.raises(UnavailableError, match=rf"no device {named} here, only CPU, GPU\.0, GPU\.1 \(or AUTO\)"):
        open_engine("openvino", write_inverting_model(tmp_path / "any.xml"), size=SIZE, device=named)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("named", ["CPU", "cpu", "AUTO"])
def test_openvino_runs_on_the_device_it_is_given(named: str, depth: int, tmp_path: Path) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    path = write_inverting_model(tmp_path / "any.xml")
    with open_engine("openvino", path, size=SIZE, threads=1, depth=depth, device=named) as engine:
        assert isinstance(engine, CompiledModelEngine)
        if named != "AUTO" or openvino.Core().available_devices == ["CPU"]:
            assert engine.device == "cpu"
        assert np.array_equal(engine.submit(frame).result(), 255 - frame)
        assert np.array_equal(engine.translate(frame), 255 - frame)


def test_auto_takes_the_settings_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch, "CPU")
    path = write_inverting_model(tmp_path / "any.xml")
    with open_engine("openvino", path, size=SIZE, threads=1, device="auto") as engine:
        assert isinstance(engine, CompiledModelEngine)
        told = engine._compiled.get_property("DEVICE_PROPERTIES")["CPU"]
        assert told["INFERENCE_NUM_THREADS"] == 1
        assert told["INFERENCE_PRECISION_HINT"].to_string() == "f32"
        assert told["PERFORMANCE_HINT"] == "LATENCY"


class Accelerator:
    """The part of OpenVINO's core that devices are asked through: a GPU that takes less than a CPU, and an NPU."""

    capabilities = {"GPU": ["FP32", "FP16"], "NPU": ["FP16", "INT8"]}  # noqa: RUF012
    known = {  # noqa: RUF012
        "GPU": {"PERFORMANCE_HINT": "RW", "NUM_STREAMS": "RW", "INFERENCE_PRECISION_HINT": "RW"},
        "NPU": {"PERFORMANCE_HINT": "RW", "NUM_STREAMS": "RO", "INFERENCE_PRECISION_HINT": "RW"},
    }

    def get_property(self, device: str, name: str) -> Any:
        return self.capabilities[device] if name == "OPTIMIZATION_CAPABILITIES" else self.known[device]

    def compile_model(self, _model: object, device: str, properties: dict[str, Any]) -> Any:
        if device == "NPU":
            raise RuntimeError("Exception from npu.cpp:1:\nthe compiler has no such layer\n")
        return properties


def test_a_device_is_told_only_what_it_knows() -> None:
    settings = EngineSettings(threads=2, depth=2)
    gpu = compiled_model._compile(Accelerator(), None, "GPU", settings)  # type: ignore[arg-type]
    assert gpu == {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": 2, "INFERENCE_PRECISION_HINT": "f32"}
    npu = compiled_model._properties(Accelerator(), "NPU", settings)  # type: ignore[arg-type]
    assert npu == {"PERFORMANCE_HINT": "THROUGHPUT"}


def test_auto_is_told_to_stay_on_the_device_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch, "GPU", "NPU")
    told = compiled_model._compile(Accelerator(), None, "AUTO", EngineSettings(threads=2))  # type: ignore[arg-type]
    assert told == {
        "DEVICE_PROPERTIES": {
            "GPU": {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"},
            "NPU": {"PERFORMANCE_HINT": "LATENCY"},
        },
        "ENABLE_STARTUP_FALLBACK": False,
        "ENABLE_RUNTIME_FALLBACK": False,
    }


def test_a_model_that_a_device_cannot_run_is_one_line() -> None:
    with pytest.raises(UnavailableError) as failure:
        compiled_model._compile(Accelerator(), None, "NPU", EngineSettings(threads=1))  # type: ignore[arg-type]
    said = "OpenVINO cannot run this model on NPU (the compiler has no such layer): give another --device"
    assert str(failure.value) == said


def test_a_target_without_an_engine_has_no_device() -> None:
    with pytest.raises(EdgeError, match="build an engine of it where the GPU is"):
        find_device("onnx_tensorrt", "cuda")


@pytest.mark.parametrize("device", ["cpu", "CPU"])
def test_a_real_graph_runs_on_the_cpu_that_it_is_given(device: str, tmp_path: Path) -> None:
    write_inverting_graph(tmp_path / "model.onnx", SIZE)
    frame = np.full((*SIZE, 3), 9, np.uint8)
    with open_engine("onnx", tmp_path / "model.onnx", threads=1, device=device) as engine:
        assert engine.device == "cpu"
        assert np.all(engine.translate(frame) == 246)
