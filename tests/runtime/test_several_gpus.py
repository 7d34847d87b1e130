"""Which of several NVIDIA GPUs a plan runs on; CUDA is stood in for."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from core.errors import UnavailableError
from runtime.engines import Engine, EngineSettings
from runtime.engines.cuda_plan import CudaPlanEngine
from runtime.engines.cuda_plan import find_device as find_gpu
from tests.runtime.engine_contract import SIZE
from tests.runtime.fake_gpu import FakeCuda, fake_tensorrt


class SeveralGpus(FakeCuda):
    """Each thread begins with GPU 0; streams and memory belong to the GPU they were made on, and work only there."""

    def __init__(self) -> None:
        super().__init__(devices=2)
        self.thread = threading.local()
        self.owners: dict[int, int] = {}

    @property
    def current(self) -> int:
        return getattr(self.thread, "device", 0)

    def cudaGetDevice(self) -> tuple[int, int]:  # noqa: N802
        return 0, self.current

    def cudaSetDevice(self, index: int) -> tuple[int]:  # noqa: N802
        self.thread.device = index
        return (0,)

    def cudaGetDeviceProperties(self, device: int) -> tuple[int, Any]:  # noqa: N802
        return 0, SimpleNamespace(name=b"GPU number %d\0" % device)

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[int, int]:  # noqa: N802
        error, stream = super().cudaStreamCreateWithFlags(flags)
        self.owners[stream] = self.current
        return error, stream

    def cudaMalloc(self, size: int) -> tuple[int, int]:  # noqa: N802
        error, pointer = super().cudaMalloc(size)
        self.owners[pointer] = self.current
        return error, pointer

    def submit(self, work: Any, stream: int) -> None:
        assert self.owners[stream] == self.current, "work for a stream of another GPU"
        super().submit(work, stream)


def open_plan(folder: Path, cuda: FakeCuda, device: str | None, flavour: str = "tensorrt") -> Engine:
    (folder / "model.engine").write_bytes(b"plan")
    settings = EngineSettings(threads=1, depth=2, device=device)
    trt = fake_tensorrt(cuda, SIZE, rtx=flavour == "tensorrt_rtx")
    return CudaPlanEngine(folder / "model.engine", settings, flavour=flavour, trt=trt, cuda=cuda)  # type: ignore[arg-type]


@pytest.fixture
def _no_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.usefixtures("_no_kernels")
@pytest.mark.parametrize("flavour", ["tensorrt", "tensorrt_rtx"])
@pytest.mark.parametrize(("device", "index"), [(None, 0), ("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)])
def test_a_plan_runs_on_the_gpu_it_is_given_whatever_thread_asks(
    device: str | None, index: int, flavour: str, tmp_path: Path
) -> None:
    cuda = SeveralGpus()
    frame = np.full((*SIZE, 3), 9, np.uint8)
    answers: list[np.ndarray] = []
    engine = open_plan(tmp_path, cuda, device, flavour)
    assert engine.device == f"cuda:{index} GPU number {index}"
    assert cuda.current == 0, "the thread's next calls are its own affair"
    cuda.cudaSetDevice(1)  # as a program may that uses another GPU in the same thread
    assert np.all(engine.translate(frame) == 246)
    assert cuda.current == 1
    worker = threading.Thread(target=lambda: answers.extend([engine.translate(frame), engine.submit(frame).result()]))
    worker.start()
    worker.join(timeout=30)
    assert len(answers) == 2
    assert all(np.all(answer == 246) for answer in answers)
    assert set(cuda.owners.values()) == {index}
    engine.close()
    assert not cuda.memory
    assert not cuda.handles


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("cuda:2", "no GPU cuda:2 here, only cuda:0 GPU number 0, cuda:1 GPU number 1"),
        ("cpu", "TensorRT runs on cuda"),
        ("gpu", "not on gpu"),
    ],
)
def test_a_gpu_that_is_not_there_is_answered_with_those_that_are(named: str, reason: str) -> None:
    with pytest.raises(UnavailableError, match=reason):
        find_gpu(named, flavour="tensorrt", cuda=SeveralGpus())  # type: ignore[arg-type]


def test_a_gpu_goes_by_the_name_that_engines_report(tmp_path: Path) -> None:
    with open_plan(tmp_path, SeveralGpus(), "cuda:1") as engine:
        assert engine.device == find_gpu("cuda:1", flavour="tensorrt", cuda=SeveralGpus())  # type: ignore[arg-type]
