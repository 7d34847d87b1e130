"""A bundle without a trained network, and a short clip."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from core.conditions import Condition
from core.configuration import Direction, GeneratorConfig
from core.export_record import Normalization
from core.fidelity import Fidelity
from core.frames import Size
from core.machine import this_machine, usable_cores
from core.manifest import Artifact, Latency, Manifest, Source, Status, describe_file, write_manifest
from core.precision import Precision
from tests.runtime.stream_helpers import HEIGHT, WIDTH, numbered_frame, write_clip

TINY = Size(HEIGHT, WIDTH)
"""Not square, so that a mistaken order of height and width shows."""


def write_inverting_graph(path: Path, size: Sequence[int | str]) -> None:
    """An ONNX graph ``uint8 [1, H, W, 3] -> uint8 [1, H, W, 3]`` that inverts every value."""
    shape = [1, *size, 3]
    nodes = [
        helper.make_node("Cast", ["frames"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["white", "levels"], ["inverted"]),
        helper.make_node("Cast", ["inverted"], ["translated"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "invert",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("translated", TensorProto.UINT8, shape)],
        [helper.make_tensor("white", TensorProto.FLOAT, [], [255.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def make_bundle(folder: Path, *, size: Size = TINY, condition: Condition = Condition.IDENTITY) -> Path:
    """A bundle of one artifact, the inverting graph."""
    folder.mkdir(parents=True)
    model = folder / "generator.fp32.onnx"
    write_inverting_graph(model, size)
    machine = this_machine()
    artifact = Artifact(
        target="onnx",
        precision=Precision.FP32,
        files=(describe_file(model),),
        height=size.height,
        width=size.width,
        fidelity=Fidelity(psnr_db=99.0, ssim=1.0, max_abs=0, mean_abs=0.0, frames=8),
        latency_ms=Latency(p50=0.1, p90=0.2, p99=None, runs=20, threads=usable_cores(), device="cpu"),
        status=Status.PASSED,
        reason=None,
        build_seconds=0.1,
    )
    manifest = Manifest(
        source=Source(name="tiny", sha256="0" * 64, step=0),
        generator=GeneratorConfig(width=1, levels=4),
        condition=condition,
        direction=Direction.A_TO_B,
        normalization=Normalization.NONE,
        machine=machine,
        fingerprint=machine.fingerprint,
        libraries={},
        artifacts=(artifact,),
        recommended=artifact.name,
    )
    write_manifest(folder, manifest)
    return folder


@pytest.fixture
def tiny_bundle(tmp_path: Path) -> Path:
    """A bundle whose generator inverts frames of 48 x 64; made anew for every test, so it may be damaged."""
    return make_bundle(tmp_path / "tiny")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Forty numbered frames at 25 fps."""
    return write_clip(tmp_path / "clip.mp4", (numbered_frame(i) for i in range(40)))


@pytest.fixture(scope="session", autouse=True)
def _bytecode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let the commands that tests start keep their bytecode, wherever the environment forbids it: twice as fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        yield
