"""The engine contract on a real NVIDIA GPU, for whatever is installed. Without one, ``docs/not-run.md`` says so."""

from pathlib import Path

import onnxruntime
import pytest

from core.errors import UnavailableError
from core.formats import TARGETS, InputShape
from core.machine import this_machine
from export.engine_plan import build_engine
from runtime.engines import Engine, open_engine
from tests.runtime.conftest import write_inverting_graph
from tests.runtime.engine_contract import SIZE, DeepEngineContract

if this_machine().gpu is None:
    pytest.skip("there is no NVIDIA GPU", allow_module_level=True)


class PlanOnGpu(DeepEngineContract):
    target: str
    damaged_error = UnavailableError

    def build(self, folder: Path) -> Path:
        path = folder / "model.engine"
        if not path.is_file():
            write_inverting_graph(folder / "model.onnx", SIZE)
            build_engine(folder / "model.onnx", path, TARGETS[self.target], shape=InputShape(size=SIZE))
        return path

    def open(self, folder: Path) -> Engine:
        return open_engine(self.target, self.build(folder), device="cuda")

    def open_deep(self, folder: Path, depth: int) -> Engine:
        return open_engine(self.target, self.build(folder), device="cuda", depth=depth)

    def open_damaged(self, folder: Path) -> Engine:
        damaged = folder / "damaged.engine"
        damaged.write_bytes(self.build(folder).read_bytes()[:-40])
        return open_engine(self.target, damaged, device="cuda")


@pytest.mark.skipif(bool(TARGETS["tensorrt"].missing_modules()), reason="TensorRT is not installed")
class TestTensorRt(PlanOnGpu):
    target = "tensorrt"


@pytest.mark.skipif(bool(TARGETS["tensorrt_rtx"].missing_modules()), reason="TensorRT-RTX is not installed")
class TestTensorRtRtx(PlanOnGpu):
    target = "tensorrt_rtx"


@pytest.mark.skipif(
    "CUDAExecutionProvider" not in onnxruntime.get_available_providers(), reason="this ONNX Runtime has no CUDA"
)
class TestOnnxRuntimeOnCuda(DeepEngineContract):
    def open(self, folder: Path) -> Engine:
        write_inverting_graph(folder / "model.onnx", SIZE)
        return open_engine("onnx", folder / "model.onnx", device="cuda")

    def open_deep(self, folder: Path, depth: int) -> Engine:
        self.open(folder).close()
        return open_engine("onnx", folder / "model.onnx", device="cuda", depth=depth)

    def open_damaged(self, folder: Path) -> Engine:
        self.open(folder).close()
        damaged = folder / "damaged.onnx"
        damaged.write_bytes((folder / "model.onnx").read_bytes()[:-40])
        return open_engine("onnx", damaged, device="cuda")
