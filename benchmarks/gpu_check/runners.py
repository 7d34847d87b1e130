"""Other ways to run the exported generator on a GPU, which this project's engines are measured beside."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu_check.checks import Setting
from benchmarks.gpu_check.networks import make_generator
from core.errors import UnavailableError
from core.export_record import Normalization
from core.frames import Size
from core.precision import Precision
from export.deploy_graph import DeployGraph
from runtime.engines import Engine


class BoundSession(Engine):
    """ONNX Runtime with input and output bound to memory of the device, as its documentation has it for least latency.

    Source: ONNX Runtime documentation, "I/O Binding" and "CUDA Execution Provider", on CUDA graphs.
    """

    def __init__(self, path: Path, *, device: str, graph: bool) -> None:
        """Open the graph at ``path``; with ``graph``, its kernels are launched as one CUDA graph."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        cuda = ("CUDAExecutionProvider", {"use_tf32": "0", "enable_cuda_graph": str(int(graph))})
        providers = [cuda] if device == "cuda" else ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(path, options, providers=providers, enable_fallback=False)
        used = self._session.get_providers()[0]
        if device == "cuda" and used != "CUDAExecutionProvider":
            raise UnavailableError(f"ONNX Runtime would run on {used}")
        self.device, self.threads = device, 1
        given, made = self._session.get_inputs()[0], self._session.get_outputs()[0]
        self._set_shape(given.shape, None)
        shape = (self.batch, *self.size, 3)
        self._input, self._output = (
            onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, np.uint8, device, 0) for _ in range(2)
        )
        self._binding = self._session.io_binding()
        self._binding.bind_ortvalue_input(given.name, self._input)
        self._binding.bind_ortvalue_output(made.name, self._output)

    def _run(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        self._input.update_inplace(frames)
        self._session.run_with_iobinding(self._binding)
        return np.array(self._output.numpy())


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
