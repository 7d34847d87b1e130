"""A generator that INT8 spoils, on its way to artifacts that pass: real quantizers, real engines."""

import pytest

from core.fidelity import GATES
from core.frames import Frame
from core.precision import Precision
from export.fidelity import translate_all
from tests.export.deployment import Deployment, deploy
from tests.export.hard_generator import HARMFUL_LAYER, hard_generator

GATE = GATES[Precision.INT8]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, frames: list[Frame]) -> Deployment:
    folder = tmp_path_factory.mktemp("hard")
    return deploy(hard_generator(), folder, calibration=frames[:8], held_out=frames[8:])


@pytest.mark.parametrize("target", ["onnx", "openvino", "onnx_tensorrt"])
def test_the_harmful_layer_returns_to_float_and_the_artifact_passes(deployment: Deployment, target: str) -> None:
    path, quantization = deployment.build_int8(target)
    assert quantization.kept_float == (HARMFUL_LAYER,)
    assert quantization.sensitivity[0].layer == HARMFUL_LAYER
    assert quantization.sensitivity[0].psnr_db < 32 < quantization.sensitivity[1].psnr_db
    assert quantization.layers == len(quantization.sensitivity) - 1 > 0
    held_out = deployment.held_out
    with deployment.open("openvino" if target == "openvino" else "onnx", path) as engine:
        fidelity, _ = held_out.judge(translate_all(engine, held_out.frames))
    assert GATE.complaint(fidelity) is None
