"""The other baseline that people come from: the bare generator as ONNX, pixels handled in NumPy around it.

This is what ``torch.onnx.export`` gives when it is called on the generator as it is: float NCHW images in and out, so
that every frame is converted before and after, in an engine that was set up as the fused artifacts' one is.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.configuration import GeneratorConfig
from core.export_record import Normalization
from core.frames import Size, array_to_frames, frames_to_array
from core.networks import Generator
from runtime.engines import Engine

ENGINES: Final = {"onnx": "onnxruntime", "openvino": "openvino"}
"""Targets whose engine runs such a graph, and the module that it needs."""


def write_naive_graph(path: Path, generator: Generator, normalization: Normalization, size: Size) -> None:
    """Export the bare generator to ``path``: ``float32 [1, C, H, W]`` in and out, batch norm folded where it can be."""
    import torch

    from export.deploy_graph import deployable
    from export.quiet import quiet

    images = torch.zeros(1, generator.config.in_channels, *size)
    with quiet():
        program = torch.onnx.export(deployable(generator, normalization), (images,), dynamo=True, verbose=False)
    assert program is not None, "the dynamo exporter gives a program"
    program.save(str(path), external_data=False)


class NaiveEngine(Engine):
    """A float graph with NumPy around it, on the CPU."""

    def __init__(
        self,
        infer: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        config: GeneratorConfig,
        size: Size,
        *,
        threads: int,
    ) -> None:
        """Convert frames for ``infer`` (``float32 [1, C, H, W]`` in and out) as a generator of ``config`` asks."""
        self._infer = infer
        self._config = config
        self.size, self.batch, self.device, self.threads = size, 1, "cpu", threads

    def _run(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        images = self._infer(frames_to_array(frames, self._config.input_encoding))
        return array_to_frames(images, self._config.target_encoding, frames)


def open_naive(target: str, path: Path, config: GeneratorConfig, size: Size, *, threads: int) -> NaiveEngine:
    """Load the graph that ``write_naive_graph`` wrote with the engine of ``target``, one of ``ENGINES``."""
    infer = {"onnx": _onnx_runtime, "openvino": _openvino}[target](path, threads)
    return NaiveEngine(infer, config, size, threads=threads)


def _onnx_runtime(path: Path, threads: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def _openvino(path: Path, threads: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    import openvino

    from core.signal_stack import signal_stack_kept

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    with signal_stack_kept():
        request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
    return lambda images: request.infer([images], share_inputs=True)[0]
