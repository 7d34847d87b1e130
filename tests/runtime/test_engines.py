from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, helper

from core.errors import BundleError, InvalidInputError, UnavailableError
from core.frames import Size
from runtime.engines import Engine, EngineSettings, open_engine
from runtime.engines.cuda_plan import CudaPlanEngine
from tests.runtime.conftest import write_inverting_graph
from tests.runtime.engine_contract import SIZE, DeepEngineContract, EngineContract
from tests.runtime.fake_gpu import FakeContext, FakeCuda, FakeRuntimeCache, FakeRuntimeConfig, fake_tensorrt


class TestOnnxRuntime(DeepEngineContract):
    def open(self, folder: Path) -> Engine:
        write_inverting_graph(folder / "model.onnx", SIZE)
        return open_engine("onnx", folder / "model.onnx", threads=1)

    def open_deep(self, folder: Path, depth: int) -> Engine:
        self.open(folder).close()
        return open_engine("onnx", folder / "model.onnx", depth=depth)

    def open_damaged(self, folder: Path) -> Engine:
        write_inverting_graph(folder / "model.onnx", SIZE)
        damaged = folder / "damaged.onnx"
        damaged.write_bytes((folder / "model.onnx").read_bytes()[:-40])
        return open_engine("onnx", damaged, threads=1)


class TestOpenVino(DeepEngineContract):
    def open(self, folder: Path) -> Engine:
        write_inverting_graph(folder / "model.onnx", SIZE)
        openvino.save_model(openvino.convert_model(folder / "model.onnx"), folder / "model.xml")
        return open_engine("openvino", folder / "model.xml", threads=1)

    def open_deep(self, folder: Path, depth: int) -> Engine:
        self.open(folder).close()
        return open_engine("openvino", folder / "model.xml", depth=depth)

    def open_damaged(self, folder: Path) -> Engine:
        self.open(folder).close()
        damaged = folder / "damaged.xml"
        damaged.write_bytes((folder / "model.xml").read_bytes()[:-200])
        return open_engine("openvino", damaged, threads=1)


class CudaPlanContract(EngineContract):
    flavour: str
    damaged_error = UnavailableError  # the library cannot tell a damaged plan from one for another GPU

    @pytest.fixture(autouse=True)
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        return tmp_path / "cache" / "pix2pix-edge"

    def open_with(self, folder: Path, cuda: FakeCuda, plan: bytes = b"plan") -> CudaPlanEngine:
        (folder / "model.engine").write_bytes(plan)
        trt = fake_tensorrt(cuda, SIZE, rtx=self.flavour == "tensorrt_rtx")
        return CudaPlanEngine(
            folder / "model.engine", EngineSettings(threads=1), flavour=self.flavour, trt=trt, cuda=cuda
        )

    def open_dynamic(self, folder: Path, cuda: FakeCuda, size: Size | None) -> CudaPlanEngine:
        (folder / "model.engine").write_bytes(b"plan")
        trt = fake_tensorrt(cuda, None, rtx=self.flavour == "tensorrt_rtx")
        return CudaPlanEngine(
            folder / "model.engine", EngineSettings(threads=1, size=size), flavour=self.flavour, trt=trt, cuda=cuda
        )

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
            CudaPlanEngine(
                tmp_path / "model.engine", EngineSettings(threads=1), flavour=self.flavour, trt=trt, cuda=cuda
            )
        assert not cuda.memory
        assert not cuda.handles

    def test_a_plan_for_several_sizes_takes_the_one_it_is_told(self, tmp_path: Path) -> None:
        frame = np.random.default_rng(1).integers(0, 256, (96, 32, 3), dtype=np.uint8)
        with self.open_dynamic(tmp_path, FakeCuda(), Size(96, 32)) as engine:
            assert engine.size == Size(96, 32)
            assert engine.batch == 1
            assert np.array_equal(engine.translate(frame), 255 - frame)
            with pytest.raises(InvalidInputError, match="takes uint8"):
                engine.translate(np.zeros((*SIZE, 3), np.uint8))

    @pytest.mark.parametrize(
        ("size", "reason"),
        [
            (None, "any size: say which"),
            (Size(256, 64), r"from 16x16 to 128x128 .* not 256x64: give --size 48x64"),
            (Size(40, 64), r"in steps .* not 40x64: give --size 48x64"),
        ],
        ids=["missing", "too large", "between two steps"],
    )
    def test_a_plan_for_several_sizes_refuses_others_and_gives_everything_back(
        self, tmp_path: Path, size: Size | None, reason: str
    ) -> None:
        cuda = FakeCuda()
        with pytest.raises(InvalidInputError, match=reason) as caught:
            self.open_dynamic(tmp_path, cuda, size)
        assert "\n" not in str(caught.value)
        assert not cuda.memory
        assert not cuda.handles

    def test_a_plan_for_one_size_refuses_another(self, tmp_path: Path) -> None:
        cuda = FakeCuda()
        (tmp_path / "model.engine").write_bytes(b"plan")
        trt = fake_tensorrt(cuda, SIZE, rtx=self.flavour == "tensorrt_rtx")
        path, other = tmp_path / "model.engine", Size(64, 64)
        with pytest.raises(InvalidInputError, match=r"48x64.* not 64x64"):
            CudaPlanEngine(path, EngineSettings(threads=1, size=other), flavour=self.flavour, trt=trt, cuda=cuda)

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

    def test_keeps_nothing(self, tmp_path: Path, cache: Path) -> None:
        self.open(tmp_path).close()
        assert not cache.exists(), "its plans hold their kernels"


class TestTensorRtRtx(CudaPlanContract):
    flavour = "tensorrt_rtx"

    def test_leaves_cuda_graphs_to_the_library(self, tmp_path: Path) -> None:
        cuda = FakeCuda()
        trt = fake_tensorrt(cuda, SIZE, rtx=True)
        (tmp_path / "model.engine").write_bytes(b"plan")
        engine = CudaPlanEngine(
            tmp_path / "model.engine", EngineSettings(threads=1), flavour="tensorrt_rtx", trt=trt, cuda=cuda
        )
        engine.translate(np.zeros((*SIZE, 3), np.uint8))
        assert trt.plan.config.cuda_graph_strategy == "whole"
        assert cuda.graphs_launched == 0

    def opened(self, folder: Path) -> FakeRuntimeConfig:
        """Open and close the engine; what its context was made with."""
        cuda = FakeCuda()
        trt = fake_tensorrt(cuda, SIZE, rtx=True)
        (folder / "model.engine").write_bytes(b"plan")
        CudaPlanEngine(
            folder / "model.engine", EngineSettings(threads=1), flavour="tensorrt_rtx", trt=trt, cuda=cuda
        ).close()
        return trt.plan.config

    def test_kernels_are_compiled_once_and_before_the_first_frame(self, tmp_path: Path, cache: Path) -> None:
        assert self.opened(tmp_path).compiled == 1
        (kept,) = cache.iterdir()
        assert kept.name.startswith("tensorrt_rtx-0.fake-cuda-0-Fake-GPU-")
        again = self.opened(tmp_path)
        assert again.compiled == 0
        assert again.dynamic_shapes_kernel_specialization_strategy == "eager"

    def test_damaged_kernels_are_compiled_anew_and_replaced(self, tmp_path: Path, cache: Path) -> None:
        self.opened(tmp_path)
        (kept,) = cache.iterdir()
        kept.write_bytes(b"kern")
        assert self.opened(tmp_path).compiled == 1
        assert kept.read_bytes() == FakeRuntimeCache.reads

    def test_works_where_nothing_can_be_kept(self, tmp_path: Path, cache: Path) -> None:
        cache.parent.write_bytes(b"a file where the folder should be")
        with self.open(tmp_path) as engine:
            assert np.all(engine.translate(np.zeros((*SIZE, 3), np.uint8)) == 255)


def test_an_unknown_target_has_no_engine(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="coreml"):
        open_engine("coreml", tmp_path / "model.mlpackage")


@pytest.mark.parametrize(
    ("takes", "gives"),
    [
        ((TensorProto.FLOAT, [1, 3, 48, 64]), (TensorProto.FLOAT, [1, 3, 48, 64])),
        ((TensorProto.UINT8, [1, 48, 64, 3]), (TensorProto.FLOAT, [1, 48, 64, 3])),
        ((TensorProto.UINT8, [1, 48, 64, 4]), (TensorProto.UINT8, [1, 48, 64, 4])),
    ],
    ids=["floats", "floats out", "four channels"],
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


def write_doubling(path: Path, height: int | str) -> None:
    """A graph of frames of any height (or one) that are 64 wide; halving and doubling takes even heights only."""
    shape = [1, height, 64, 3]
    nodes = [
        helper.make_node("Reshape", ["x", "pairs"], ["rows"]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Reshape", ["rows", "shape"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "any height",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, shape)],
        [helper.make_tensor("pairs", TensorProto.INT64, [2], [-1, 2 * 64 * 3])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def test_a_graph_for_several_sizes_takes_the_one_it_is_told(tmp_path: Path) -> None:
    write_doubling(tmp_path / "model.onnx", "height")
    frame = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    with open_engine("onnx", tmp_path / "model.onnx", size=Size(32, 64)) as engine:
        assert engine.size == (32, 64)
        assert np.array_equal(engine.translate(frame), frame)


@pytest.mark.parametrize(
    ("height", "size", "complaint"),
    [
        ("height", None, "any size: say which"),
        ("height", Size(32, 48), "takes frames of 32x64, not 32x48"),
        ("height", Size(33, 64), "does not take frames of 33x64"),
        (32, Size(48, 64), "takes frames of 32x64, not 48x64: give --size 32x64"),
    ],
)
def test_a_size_that_a_graph_does_not_take_is_refused(
    tmp_path: Path, height: int | str, size: Size | None, complaint: str
) -> None:
    write_doubling(tmp_path / "model.onnx", height)
    with pytest.raises(InvalidInputError, match=complaint) as refusal:
        open_engine("onnx", tmp_path / "model.onnx", size=size)
    assert "\n" not in str(refusal.value)
