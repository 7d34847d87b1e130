"""TensorRT engines ("plans"), built from an ONNX graph by NVIDIA's TensorRT or by TensorRT-RTX.

The two have one Python API; the module is handed in, and what only one of them has is found with ``hasattr``.
Networks are strongly typed: precision lives in the graph, and TensorRT 11 has no flags left to change it.
"""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from core.errors import UnavailableError
from core.formats import Target
from runtime.engines.tensorrt_log import collecting_logger

RTX_CAPABILITIES: Final = ("SM80", "SM86", "SM89", "SM120")
"""NVIDIA GPU generations an RTX engine is built for: Ampere (A100, RTX 30), Ada (RTX 40) and Blackwell (RTX 50)."""


def build_engine(source: Path, path: Path, target: Target) -> None:
    """Build the ONNX graph in ``source`` into an engine at ``path``.

    Raises:
        MissingDependencyError: if the library is not installed.
        UnavailableError: if it refuses the graph or cannot build here; the message quotes it.
    """
    target.require(build=True)
    trt = importlib.import_module(target.modules[0])
    path.write_bytes(build_plan(trt, source.read_bytes(), title=target.title))


def build_plan(trt: ModuleType, graph: bytes, *, title: str) -> bytes:
    """The engine made of the ONNX ``graph`` by the TensorRT module ``trt``, as it lies in a file."""
    log = collecting_logger(trt)
    builder = trt.Builder(log)
    if builder is None:  # what TensorRT proper answers on a machine without a GPU
        raise UnavailableError(f"{title} cannot build here: it found no NVIDIA GPU")
    # Required on TensorRT 10, the only kind there is on 11.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(graph):
        raise UnavailableError(f"{title} refuses the graph: {_parser_errors(parser)}")
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # on by default, and not what anyone means by fp32
    if hasattr(config, "set_compute_capability"):
        config.num_compute_capabilities = len(RTX_CAPABILITIES)
        for i, name in enumerate(RTX_CAPABILITIES):
            config.set_compute_capability(getattr(trt.ComputeCapability, name), i)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise UnavailableError(f"{title} could not build the engine: {'; '.join(log.errors) or 'it gave no reason'}")
    return bytes(plan)


def _parser_errors(parser: Any) -> str:
    errors = [parser.get_error(i) for i in range(parser.num_errors)]
    return "; ".join(f"node {error.node_name() or error.node()}: {error.desc()}" for error in errors)
