from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, helper

from core.errors import BundleError, UnavailableError
from runtime.engines import Engine, open_engine
from runtime.engines.cuda_plan import CudaPlanEngine
from tests.runtime.conftest import write_inverting_graph
from tests.runtime.engine_contract import SIZE, EngineContract
from tests.runtime.fake_gpu import FakeContext, FakeCuda, fake_tensorrt


class TestOnnxRuntime(EngineContract):
    def open(self, folder: Path) -> Engine:
        write_inverting_graph(folder / "model.onnx", SIZE)
        return open_engine("onnx", folder / "model.onnx", threads=1)

    def open_damaged(self, folder: Path) -> Engine:
        write_inverting_graph(folder / "model.onnx", SIZE)
        damaged = folder / "damaged.onnx"
        damaged.write_bytes((folder / "model.onnx").read_bytes()[:-40])
        return open_engine("onnx", damaged, threads=1)


class TestOpenVino(EngineContract):
    def open(self, folder: Path) -> Engine:
        write_inverting_graph(folder / "model.onnx", SIZE)
        openvino.save_model(openvino.convert_model(folder / "model.onnx"), folder / "model.xml")
        return open_engine("openvino", folder / "model.xml", threads=1)

    def open_damaged(self, folder: Path) -> Engine:
        self.open(folder).close()
        damaged = folder / "damaged.xml"
        damaged.write_bytes((folder / "model.xml").read_bytes()[:-200])
        return open_engine("openvino", damaged, threads=1)


class CudaPlanContract(EngineContract):
    flavour: str
    damaged_error = UnavailableError  # the library cannot tell a damaged plan from one for another GPU

    def open_with(self, folder: Path, cuda: FakeCuda, plan: bytes = b"plan") -> CudaPlanEngine:
        (folder / "model.engine").write_bytes(plan)
        trt = fake_tensorrt(cuda, SIZE, rtx=self.flavour == "tensorrt_rtx")
        return CudaPlanEngine(folder / "model.engine", flavour=self.flavour, threads=1, trt=trt, cuda=cuda)

    def open(self, folder: Path) -> Engine:
        return self.open_with(folder, FakeCuda())

    def open_damaged(self, folder: Path) -> Engine:
        return self.open_with(folder, FakeCuda(), b"pla")

    def test_gives_all_memory_back(self, tmp_path: Path) -> None:
        cuda = FakeCuda()
        engine = self.open_with(tmp_path, cuda)
        assert len(cuda.memory) == 4  # input and output, pinned and on the device
        engine.close()
        assert not cuda.memory
        assert not cuda.handles

    @pytest.mark.parametrize("broken", ["context", "pinned memory", "address", "first run"])
    def test_gives_everything_back_when_it_cannot_be_opened(
        self, tmp_path: Path, broken: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cuda = FakeCuda()
        (tmp_path / "model.engine").write_bytes(b"plan")
        trt = fake_tensorrt(cuda, SIZE, rtx=self.flavour == "tensorrt_rtx")
        match broken:
            case "context":
                trt.plan.out_of_memory = True
            case "pinned memory":
                monkeypatch.setattr(cuda, "cudaHostAlloc", lambda _size, _flags: (2, 0))
            case "address":
                monkeypatch.setattr(FakeContext, "set_tensor_address", lambda *_: False)
            case "first run":
                monkeypatch.setattr(FakeContext, "execute_async_v3", lambda *_: False)
        with pytest.raises(UnavailableError):
            CudaPlanEngine(tmp_path / "model.engine", flavour=self.flavour, threads=1, trt=trt, cuda=cuda)
        assert not cuda.memory
        assert not cuda.handles

    def test_refuses_a_machine_without_a_gpu(self, tmp_path: Path) -> None:
        with pytest.raises(UnavailableError, match="NVIDIA GPU"):
            self.open_with(tmp_path, FakeCuda(devices=0))


class TestTensorRt(CudaPlanContract):
    flavour = "tensorrt"

    def test_every_frame_is_one_launch_of_a_cuda_graph(self, tmp_path: Path) -> None:
        cuda = FakeCuda()
        with self.open_with(tmp_path, cuda) as engine:
            for _ in range(3):
                engine.translate(np.zeros((*SIZE, 3), np.uint8))
        assert cuda.graphs_launched == 3


class TestTensorRtRtx(CudaPlanContract):
    flavour = "tensorrt_rtx"

    def test_leaves_cuda_graphs_to_the_library(self, tmp_path: Path) -> None:
        cuda = FakeCuda()
        trt = fake_tensorrt(cuda, SIZE, rtx=True)
        (tmp_path / "model.engine").write_bytes(b"plan")
        engine = CudaPlanEngine(tmp_path / "model.engine", flavour="tensorrt_rtx", threads=1, trt=trt, cuda=cuda)
        engine.translate(np.zeros((*SIZE, 3), np.uint8))
        assert trt.plan.config.cuda_graph_strategy == "whole"
        assert cuda.graphs_launched == 0


def test_an_unknown_target_has_no_engine(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="coreml"):
        open_engine("coreml", tmp_path / "model.mlpackage")


@pytest.mark.parametrize(
    ("takes", "gives"),
    [
        ((TensorProto.FLOAT, [1, 3, 48, 64]), (TensorProto.FLOAT, [1, 3, 48, 64])),
        ((TensorProto.UINT8, [1, 48, 64, 3]), (TensorProto.FLOAT, [1, 48, 64, 3])),
        ((TensorProto.UINT8, [1, 48, 64, 4]), (TensorProto.UINT8, [1, 48, 64, 4])),
        ((TensorProto.UINT8, [1, "height", 64, 3]), (TensorProto.UINT8, [1, "height", 64, 3])),
    ],
    ids=["floats", "floats out", "four channels", "dynamic"],
)
def test_a_graph_that_does_not_translate_frames_is_refused(
    tmp_path: Path, takes: tuple[int, list[int | str]], gives: tuple[int, list[int | str]]
) -> None:
    source, target = (helper.make_tensor_value_info(name, *kind) for name, kind in (("x", takes), ("y", gives)))
    node = helper.make_node("Cast", ["x"], ["y"], to=gives[0])
    model = helper.make_model(
        helper.make_graph([node], "naive", [source], [target]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(BundleError, match="not uint8 frames"):
        open_engine("onnx", tmp_path / "model.onnx")
