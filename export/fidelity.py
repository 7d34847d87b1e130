"""Is the exported model still the model that was trained? Its pictures against PyTorch's, on held-out frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from core.frames import Frame, input_images, output_frames
from core.manifest import Fidelity
from core.metrics import Comparison
from core.networks import Generator
from core.networks.inference_mode import set_inference_mode
from core.precision import Precision
from runtime.engines import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What an artifact must reach to be called faithful."""

    max_abs: int = 255
    """Largest difference of any value, in 8-bit steps."""
    psnr_db: float = 0.0
    ssim: float = 0.0

    def complaint(self, fidelity: Fidelity) -> str | None:
        """What ``fidelity`` lacks, in words; None if it passes."""
        if fidelity.max_abs > self.max_abs:
            return f"differs by up to {fidelity.max_abs} steps, {self.max_abs} allowed"
        if fidelity.psnr_db < self.psnr_db:
            return f"PSNR {fidelity.psnr_db:.1f} dB, {self.psnr_db:g} dB needed"
        if fidelity.ssim < self.ssim:
            return f"SSIM {fidelity.ssim:.3f}, {self.ssim:g} needed"
        return None


GATES: Final[dict[Precision, Gate]] = {
    Precision.FP32: Gate(max_abs=1),
    Precision.FP16: Gate(psnr_db=45.0),
    Precision.INT8: Gate(psnr_db=32.0, ssim=0.95),
}


def reference_translations(generator: Generator, frames: Sequence[Frame], *, batch: int) -> list[Frame]:
    """What the PyTorch generator makes of ``frames``, one at a time, in the mode it was trained to be used in.

    Args:
        generator: as loaded from its checkpoint, before anything was folded or replaced.
        frames: ``uint8 [H, W, 3]`` BGR.
        batch: batch size it was trained with.
    """
    set_inference_mode(generator, batch=batch)
    references = []
    with torch.inference_mode():
        for frame in frames:
            tensor = torch.from_numpy(frame[np.newaxis])
            images = generator(input_images(tensor, generator.config))
            references.append(output_frames(images, tensor, generator.config).numpy()[0])
    return references


def compare(engine: Engine, frames: Sequence[Frame], references: Sequence[Frame]) -> Fidelity:
    """How far ``engine``'s translations of ``frames`` are from ``references``."""
    comparison = Comparison()
    for frame, reference in zip(frames, references, strict=True):
        comparison.add(engine.translate(frame), reference)
    return Fidelity(
        psnr_db=round(comparison.psnr_db, 2),
        ssim=round(comparison.ssim, 5),
        max_abs=comparison.max_abs,
        mean_abs=round(comparison.mean_abs, 4),
        frames=comparison.frames,
    )
