"""TensorRT and TensorRT-RTX engines, with stand-ins for the libraries and the GPU."""

from pathlib import Path

import numpy as np
import pytest

from core.errors import InvalidInputError, UnavailableError
from core.frames import Size
from runtime.engines import Engine, EngineSettings
from runtime.engines.cuda_plan import CudaPlanEngine
from tests.runtime.engine_contract import SIZE, DeepEngineContract
from tests.runtime.fake_gpu import FakeContext, FakeCuda, FakeRuntimeCache, FakeRuntimeConfig, fake_tensorrt


class CudaPlanContract(DeepEngineContract):
    flavour: str
    damaged_error = UnavailableError  # the library cannot tell a damaged plan from one for another GPU

    @pytest.fixture(autouse=True)
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        return tmp_path / "cache" / "pix2pix-edge"

    def open_with(
        self,
        folder: Path,
        cuda: FakeCuda,
        settings: EngineSettings = EngineSettings(threads=1),  # noqa: B008 (it is frozen)
        *,
        plan: bytes = b"plan",
        takes: Size | None = SIZE,
    ) -> CudaPlanEngine:
        (folder / "model.engine").write_bytes(plan)
        trt = fake_tensorrt(cuda, takes, rtx=self.flavour == "tensorrt_rtx")
        return CudaPlanEngine(folder / "model.engine", settings, flavour=self.flavour, trt=trt, cuda=cuda)

    def open_dynamic(self, folder: Path, cuda: FakeCuda, size: Size | None) -> CudaPlanEngine:
        return self.open_with(folder, cuda, EngineSettings(threads=1, size=size), takes=None)

    def open(self, folder: Path) -> Engine:
        return self.open_with(folder, FakeCuda())

    def open_deep(self, folder: Path, depth: int) -> Engine:
        return self.open_with(folder, FakeCuda(), EngineSettings(threads=1, depth=depth))

    def open_damaged(self, folder: Path) -> Engine:
        return self.open_with(folder, FakeCuda(), plan=b"pla")

    @pytest.mark.parametrize("depth", [1, 3])
    def test_gives_all_memory_back(self, tmp_path: Path, depth: int) -> None:
        cuda = FakeCuda()
        engine = self.open_with(tmp_path, cuda, EngineSettings(threads=1, depth=depth))
        assert len(cuda.memory) == 4 * depth  # input and output, pinned and on the device
        engine.submit(np.zeros((*SIZE, 3), np.uint8))
        engine.close()
        assert not cuda.memory
        assert not cuda.handles

    def test_what_is_under_way_waits_for_nobody(self, tmp_path: Path) -> None:
        cuda = FakeCuda()
        with self.open_with(tmp_path, cuda, EngineSettings(threads=1, depth=2)) as engine:
            first, second = (engine.submit(np.full((*SIZE, 3), value, np.uint8)) for value in (10, 20))
            assert len(cuda.pending) == 2, "each on a stream of its own"
            assert np.all(second.result() == 235)
            assert len(cuda.pending) == 1, "the first is still under way"
            assert np.all(first.result() == 245)

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

    def test_an_error_while_closing_keeps_nothing_from_being_given_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cuda = FakeCuda()
        engine = self.open_with(tmp_path, cuda)
        monkeypatch.setattr(cuda, "cudaStreamSynchronize", lambda _stream: (700,))
        with pytest.raises(UnavailableError, match="CUDA could not finish a frame: 700"):
            engine.close()
        assert not cuda.memory
        assert not cuda.handles

    def test_what_the_library_said_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        cuda = FakeCuda()

        def refuse(_context: FakeContext, _stream: int) -> bool:
            return False

        monkeypatch.setattr(FakeContext, "execute_async_v3", refuse)
        with pytest.raises(UnavailableError, match="could not run the engine") as caught:
            self.open_with(tmp_path, cuda)
        assert "\n" not in str(caught.value)
        assert not cuda.memory
        assert not cuda.handles

    def test_kernels_can_be_launched_one_by_one(self, tmp_path: Path) -> None:
        cuda = FakeCuda()
        (tmp_path / "model.engine").write_bytes(b"plan")
        trt = fake_tensorrt(cuda, SIZE, rtx=self.flavour == "tensorrt_rtx")
        settings = EngineSettings(threads=1, graphs=False)
        with CudaPlanEngine(tmp_path / "model.engine", settings, flavour=self.flavour, trt=trt, cuda=cuda) as engine:
            frame = np.full((*SIZE, 3), 3, np.uint8)
            assert np.all(engine.translate(frame) == 252)
            if self.flavour == "tensorrt_rtx":
                assert trt.plan.config.cuda_graph_strategy == "disabled"
        assert cuda.graphs_launched == 0

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
