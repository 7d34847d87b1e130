"""What an export did, as the manifest keeps it: calibration, normalization, quantization, and what was tried."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from core.configuration import Settings
from core.fidelity import Fidelity, TaskQuality


class Normalization(StrEnum):
    """How the exported graph normalizes."""

    RUNNING = "running"
    """Batch norm with its running statistics, folded into the convolutions."""
    RECALIBRATED = "recalibrated"
    """The same with statistics measured anew on calibration frames."""
    INSTANCE = "instance"
    """Statistics of the picture at hand: what batch norm in training mode does at batch size 1 (the paper's test)."""
    NONE = "none"


class RangeMethod(StrEnum):
    """How the range that an activation is quantized over follows from what was seen of it."""

    MIN_MAX = "minmax"
    """From the smallest to the largest value."""
    PERCENTILE = "percentile"
    """Without the few outermost values, which then saturate."""
    ENTROPY = "entropy"
    """The range that loses least information (Kullback-Leibler divergence; Migacz 2017, "8-bit Inference with
    TensorRT")."""
    LEAST_SQUARES = "mse"
    """The range with the least mean squared error of rounding and clipping."""


class CalibrationRecord(Settings):
    """The frames that ranges and statistics were measured on."""

    source: str
    """A folder, a video, ``camera:0``, or ``builtin:facades``."""
    frames: Annotated[int, Field(ge=1)]
    seed: int
    seen: int
    """Frames looked at."""
    near_duplicates: int
    """Of these, left out because they show what another one shows."""
    flat: int
    """Of these, left out because they show nothing."""


class MethodTrial(Settings):
    """A range method that was tried, and what came of it on frames of the calibration set."""

    method: RangeMethod
    psnr_db: float
    ssim: float


class LayerDamage(Settings):
    """What the picture loses when this layer alone is quantized."""

    layer: str
    psnr_db: float
    """Of the translations with this layer in INT8 against those with none, on calibration frames; low is bad."""


class Quantization(Settings):
    """How an INT8 artifact was made."""

    scheme: str
    """Signs of activations and weights, and their bits, in words."""
    method: RangeMethod
    tried: tuple[MethodTrial, ...] = ()
    """With ``--method auto``: every method, the best first."""
    layers: int
    """How many are quantized."""
    kept_float: tuple[str, ...] = ()
    """Layers that returned to float because the artifact missed its gate with them, the most harmful first."""
    outer_float: tuple[str, ...] = ()
    """Layers that stay in float in any case: the first and the last."""
    sensitivity: tuple[LayerDamage, ...] = ()
    """Every layer that can be quantized, the most harmful first; empty if it was not measured."""
    accuracy_control: bool = False
    """Whether NNCF's accuracy control chose the layers."""


class NormalizationTrial(Settings):
    """A way to normalize, measured against the one that the checkpoint was meant for."""

    normalization: Normalization
    fidelity: Fidelity
    quality: TaskQuality | None
    """Against the true pictures, where there are any."""
    p50_ms: float | None
    """Milliseconds a call in ONNX Runtime fp32 on this machine; None where it was not timed."""
    passed: bool
    """Whether it passes the fp32 gate."""


class LeftOut(Settings):
    """A target, or one precision of it, that could not be made, and why."""

    target: str
    precision: str | None = None
    reason: str
