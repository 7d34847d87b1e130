"""The generator in PyTorch on a GPU, which this project's engines are measured beside."""

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu_check.checks import Setting
from benchmarks.gpu_check.networks import make_generator
from core.export_record import Normalization
from core.frames import Size
from core.precision import Precision
from export.deploy_graph import DeployGraph
from runtime.engines import Engine


class TorchEngine(Engine):
    """The deploy graph in PyTorch on the device, its input and output copied through pinned memory."""

    def __init__(self, setting: Setting, precision: Precision, *, graph: bool) -> None:
        """Make it; with ``graph``, its kernels are one CUDA graph."""
        self.size, self.batch, self.threads = Size(setting.size, setting.size), 1, 1
        self.device = setting.device
        shape = (1, *self.size, 3)
        on_gpu = setting.device == "cuda"
        self._host_input, self._host_output = (
            torch.zeros(shape, dtype=torch.uint8, pin_memory=on_gpu) for _ in range(2)
        )
        self._device_input = torch.zeros(shape, dtype=torch.uint8, device=setting.device)
        network = DeployGraph(make_generator(setting), Normalization.RUNNING, precision).to(setting.device)
        self._network = network.to(memory_format=torch.channels_last) if on_gpu else network
        self._graph: torch.cuda.CUDAGraph | None = None
        torch.backends.cudnn.benchmark = on_gpu
        torch.backends.cudnn.allow_tf32 = False
        if graph:
            self._capture()

    @torch.inference_mode()
    def compute(self) -> None:
        """The network alone, on what lies on the device."""
        self._device_output = self._network(self._device_input)

    def _capture(self) -> None:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.compute()
        torch.cuda.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=stream):
            self.compute()

    @torch.inference_mode()
    def _run(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        np.copyto(self._host_input.numpy(), frames)
        # Outside of the graph: PyTorch keeps books of what is pinned, and a capture would have to be in them.
        self._device_input.copy_(self._host_input, non_blocking=True)
        if self._graph is None:
            self.compute()
        else:
            self._graph.replay()
        self._host_output.copy_(self._device_output, non_blocking=True)
        if self.device == "cuda":
            torch.cuda.synchronize()
        return self._host_output.numpy().copy()
