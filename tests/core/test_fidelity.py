import pytest

from core.errors import InvalidInputError
from core.fidelity import GATES, Fidelity, Gate, TaskQuality, parse_gates
from core.precision import Precision

GOOD = Fidelity(psnr_db=80.0, ssim=1.0, max_abs=1, mean_abs=0.0, frames=1)


def quality(**values: float) -> TaskQuality:
    return TaskQuality.model_validate({"l1": 0.3, "psnr_db": 14.0, "ssim": 0.3, "frames": 1} | values)


@pytest.mark.parametrize(
    ("precision", "worst_that_passes", "misses"),
    [
        (Precision.FP32, {"max_abs": 1}, {"max_abs": 2}),
        (Precision.FP16, {"psnr_db": 45.0}, {"psnr_db": 44.9}),
        (Precision.INT8, {"psnr_db": 32.0, "ssim": 0.95}, {"ssim": 0.949}),
    ],
)
def test_the_default_gates(precision: Precision, worst_that_passes: dict[str, float], misses: dict[str, float]) -> None:
    assert GATES[precision].complaint(GOOD.model_copy(update=worst_that_passes)) is None
    assert GATES[precision].complaint(GOOD.model_copy(update=worst_that_passes | misses))


@pytest.mark.parametrize(
    ("worse", "words"),
    [
        ({"l1": 0.32}, "L1 against the true pictures is 0.02 worse, 0.01 allowed"),
        ({"psnr_db": 13.4}, "PSNR against the true pictures is 0.6 dB worse, 0.5 dB allowed"),
        ({"ssim": 0.27}, "SSIM against the true pictures is 0.03 worse, 0.02 allowed"),
    ],
)
def test_a_loss_of_task_quality_fails_though_the_picture_is_close(worse: dict[str, float], words: str) -> None:
    gate = GATES[Precision.INT8]
    assert gate.complaint(GOOD, quality(**worse), quality()) == words
    assert gate.complaint(GOOD, quality(), quality(**worse)) is None, "better than the reference is no loss"
    assert gate.complaint(GOOD) is None, "without true pictures there is nothing to lose"


def test_gates_can_be_changed_one_limit_at_a_time() -> None:
    gates = parse_gates(["int8:psnr=30, ssim=off", "fp32:steps=2", "int8:l1-loss=0.5"])
    assert gates[Precision.INT8] == GATES[Precision.INT8].model_copy(
        update={"psnr_db": 30.0, "ssim": None, "l1_loss": 0.5}
    )
    assert gates[Precision.FP32] == Gate(max_abs=2)
    assert gates[Precision.FP16] == GATES[Precision.FP16]
    assert parse_gates([]) == GATES


@pytest.mark.parametrize(
    "text", ["int8", "int4:psnr=30", "int8:speed=3", "int8:psnr=good", "int8:psnr", "fp32:steps=-1"]
)
def test_what_is_no_gate_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        parse_gates([text])
    assert "\n" not in str(refusal.value)
