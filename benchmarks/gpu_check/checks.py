"""What a check is, and what stands in its way on a machine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks.gpu_check.record import Facts, Section
from export.engine_plan import DEFAULT_CAPABILITIES

Device = Literal["cuda", "cpu"]
Figures = dict[str, Any]
Need = Callable[[Facts], str | None]
"""Answers with what stands in the way, in words; None if nothing does."""

MODULES: Final = (
    "cv2",
    "nncf",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "openvino",
    "safetensors",
    "tensorrt",
    "tensorrt_rtx",
    "torchvision",
    "cuda.bindings",
)
"""Modules that some check needs and a machine may lack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all checks of one start have in common.

    Attributes:
        device: ``cuda``, or ``cpu`` for a rehearsal.
        width: of the networks.
        size: height and width of the pictures.
        folder: shared by all checks; what one makes, a later one may use.
        brief: a rehearsal's numbers of steps and calls instead of those that figures are worth something with.
    """

    device: Device
    width: int
    size: int
    folder: Path
    brief: bool = False

    def runs(self, many: int) -> int:
        """``many``, or in a rehearsal a few."""
        return min(many, 4) if self.brief else many


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One row of the report.

    Attributes:
        section, name: where it stands.
        run: measures it; raises ``EdgeError`` where it cannot be measured after all.
        needs: what has to be there.
        on_cpu: whether a rehearsal on a CPU can run it.
        limit_seconds: after which it is given up.
        priority: checks of a lower number are run before, whatever their place in the report.
    """

    section: Section
    name: str
    run: Callable[[Setting], Figures]
    needs: tuple[Need, ...] = ()
    on_cpu: bool = True
    limit_seconds: float = 60.0
    priority: int = 5

    def obstacle(self, facts: Facts) -> str | None:
        """Why it cannot be run on the device that ``facts`` describe; None if it can."""
        if facts.why_not is not None:
            return facts.why_not
        if facts.device == "cpu" and not self.on_cpu:
            return "only a GPU shows this"
        return next((reason for need in self.needs if (reason := need(facts)) is not None), None)


def installed(*modules: str) -> Need:
    """That these modules can be imported."""

    def missing(facts: Facts) -> str | None:
        absent = [module for module in modules if module not in facts.modules]
        return f"{', '.join(absent)} not installed" if absent else None

    return missing


def onnx_runtime_on_device(facts: Facts) -> str | None:
    """That ONNX Runtime has a provider for the device."""
    if "onnxruntime" not in facts.modules:
        return "onnxruntime not installed"
    if facts.onnxruntime_broken is not None:
        return f"onnxruntime cannot be imported ({facts.onnxruntime_broken})"
    if facts.device == "cuda" and "CUDAExecutionProvider" not in facts.providers:
        return "ONNX Runtime as installed has no CUDAExecutionProvider (pip install 'onnxruntime-gpu[cuda,cudnn]')"
    return None


def hardware_bf16(facts: Facts) -> str | None:
    """That the GPU multiplies bf16."""
    return None if facts.bf16 else f"{facts.gpu} has no bf16"


def rtx_supports(facts: Facts) -> str | None:
    """That TensorRT-RTX has kernels for this GPU."""
    if facts.device == "cuda" and facts.capability not in DEFAULT_CAPABILITIES:
        known = ", ".join(DEFAULT_CAPABILITIES)
        return f"TensorRT-RTX supports compute capabilities {known}, and this GPU has {facts.capability}"
    return None
