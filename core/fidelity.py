"""Is a picture still the one it should be? What is measured of an artifact, and what it must reach."""

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field

from core.configuration import Settings, build_settings
from core.errors import InvalidInputError
from core.precision import Precision


class Fidelity(Settings):
    """An artifact's output against the trained network's, on held-out frames."""

    psnr_db: float
    ssim: float
    max_abs: int
    """Largest difference in 8-bit steps."""
    mean_abs: float
    """Mean absolute difference in 8-bit steps."""
    frames: Annotated[int, Field(ge=1)]


class TaskQuality(Settings):
    """Translations against the pictures they should have been, on held-out pairs."""

    l1: float
    """Mean absolute difference of pictures in [-1, 1] (the paper's L1)."""
    psnr_db: float
    ssim: float
    frames: Annotated[int, Field(ge=1)]


class Gate(Settings):
    """What an artifact must reach to be called faithful; what is None is not asked for."""

    max_abs: Annotated[int, Field(ge=0, le=255)] | None = None
    """Largest difference from the trained network of any value, in 8-bit steps."""
    psnr_db: Annotated[float, Field(ge=0, le=200)] | None = None
    """Least PSNR against the trained network."""
    ssim: Annotated[float, Field(ge=-1, le=1)] | None = None
    """Least SSIM against the trained network."""
    l1_loss: Annotated[float, Field(ge=0, le=2)] | None = None
    """How much further from the true pictures than the trained network's an artifact's may be (L1 in [-1, 1])."""
    psnr_loss: Annotated[float, Field(ge=0, le=200)] | None = None
    """How many dB of PSNR against the true pictures may be lost."""
    ssim_loss: Annotated[float, Field(ge=0, le=2)] | None = None
    """How much SSIM against the true pictures may be lost."""

    def complaint(
        self, fidelity: Fidelity, quality: TaskQuality | None = None, reference: TaskQuality | None = None
    ) -> str | None:
        """What is lacking, in words; None if the artifact passes.

        Args:
            fidelity: against the trained network.
            quality: against the true pictures, where there are any.
            reference: the trained network's own against the true pictures.
        """
        if self.max_abs is not None and fidelity.max_abs > self.max_abs:
            return f"differs by up to {fidelity.max_abs} steps, {self.max_abs} allowed"
        if self.psnr_db is not None and fidelity.psnr_db < self.psnr_db:
            return f"PSNR {fidelity.psnr_db:.1f} dB, {self.psnr_db:g} dB needed"
        if self.ssim is not None and fidelity.ssim < self.ssim:
            return f"SSIM {fidelity.ssim:.3f}, {self.ssim:g} needed"
        if quality is None or reference is None:
            return None
        for name, lost, allowed, unit in (
            ("L1", quality.l1 - reference.l1, self.l1_loss, ""),
            ("PSNR", reference.psnr_db - quality.psnr_db, self.psnr_loss, " dB"),
            ("SSIM", reference.ssim - quality.ssim, self.ssim_loss, ""),
        ):
            if allowed is not None and lost > allowed:
                return f"{name} against the true pictures is {lost:.3g}{unit} worse, {allowed:g}{unit} allowed"
        return None


GATES: Final[dict[Precision, Gate]] = {
    Precision.FP32: Gate(max_abs=1),
    Precision.FP16: Gate(psnr_db=45.0, l1_loss=0.005, psnr_loss=0.1, ssim_loss=0.005),
    Precision.INT8: Gate(psnr_db=32.0, ssim=0.95, l1_loss=0.01, psnr_loss=0.5, ssim_loss=0.02),
}
"""The gates where nothing else is asked for."""

_LIMITS: Final = {
    "steps": "max_abs",
    "psnr": "psnr_db",
    "ssim": "ssim",
    "l1-loss": "l1_loss",
    "psnr-loss": "psnr_loss",
    "ssim-loss": "ssim_loss",
}


def parse_gates(texts: Sequence[str]) -> dict[Precision, Gate]:
    """The gates after changes such as ``int8:psnr=30,ssim=0.9``, ``fp32:steps=2`` or ``int8:ssim=off``.

    Raises:
        InvalidInputError: for anything that cannot be understood.
    """
    gates = dict(GATES)
    for text in texts:
        name, _, changes = text.partition(":")
        if name.strip() not in set(Precision) or not changes.strip():
            raise InvalidInputError(f"--gate {text[:60]!r} is not understood: give for example int8:psnr=30,ssim=0.9")
        precision = Precision(name.strip())
        values = gates[precision].model_dump()
        said: set[str] = set()
        for change in changes.split(","):
            limit, _, value = (part.strip() for part in change.partition("="))
            if limit not in _LIMITS:
                raise InvalidInputError(f"--gate {text[:60]!r}: {limit!r} is none of {', '.join(_LIMITS)}")
            if limit in said:
                raise InvalidInputError(f"--gate {text[:60]!r} names {limit} twice: give it once")
            said.add(limit)
            try:
                gates[precision] = build_settings(
                    Gate, **(values | {_LIMITS[limit]: None if value == "off" else value})
                )
            except InvalidInputError as error:
                reason = str(error).partition(": ")[2]
                raise InvalidInputError(f"--gate {text[:60]!r}: {limit} = {value!r}: {reason}, or off") from error
            values = gates[precision].model_dump()
    return gates
