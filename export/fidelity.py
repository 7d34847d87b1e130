"""Is the exported model still the model that was trained? Its pictures against PyTorch's, on held-out frames."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from core.fidelity import Fidelity, TaskQuality
from core.frames import HALF_RANGE, Frame
from core.metrics import Comparison
from runtime.engines import Engine


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Frames that nothing was trained or calibrated on, all of one size, and what should become of them.

    They do choose: the normalization, and the layers that return to float where a gate is missed.

    Attributes:
        frames: inputs, ``uint8 [H, W, 3]`` BGR.
        references: what the original network makes of each.
        targets: the true picture of each; None where there are none.
    """

    frames: Sequence[Frame]
    references: Sequence[Frame] = field(repr=False)
    targets: Sequence[Frame] | None = field(default=None, repr=False)

    @cached_property
    def reference_quality(self) -> TaskQuality | None:
        """How good the original network's own translations are; None without true pictures."""
        return None if self.targets is None else task_quality(self.references, self.targets)

    def judge(self, translations: Sequence[Frame]) -> tuple[Fidelity, TaskQuality | None]:
        """Fidelity of ``translations`` of the frames, and their quality where there are true pictures."""
        quality = None if self.targets is None else task_quality(translations, self.targets)
        return fidelity_of(translations, self.references), quality


def translate_all(engine: Engine, frames: Sequence[Frame]) -> list[Frame]:
    """``engine``'s translations of ``frames``, ``engine.batch`` at a time; the last ones are repeated to fill up."""
    translations: list[Frame] = []
    for start in range(0, len(frames), engine.batch):
        group = list(frames[start : start + engine.batch])
        filled = group + group[-1:] * (engine.batch - len(group))
        # Copies: an array of ONNX Runtime's keeps all the memory of its session alive.
        translations += [frame.copy() for frame in engine.infer(np.stack(filled))[: len(group)]]
    return translations


def fidelity_of(translations: Sequence[Frame], references: Sequence[Frame]) -> Fidelity:
    """How far ``translations`` are from ``references``."""
    comparison = _compare(translations, references)
    return Fidelity(
        psnr_db=round(comparison.psnr_db, 2),
        ssim=round(comparison.ssim, 5),
        max_abs=comparison.max_abs,
        mean_abs=round(comparison.mean_abs, 4),
        frames=comparison.frames,
    )


def task_quality(translations: Sequence[Frame], targets: Sequence[Frame]) -> TaskQuality:
    """How far ``translations`` are from the pictures they should have been."""
    comparison = _compare(translations, targets)
    return TaskQuality(
        l1=round(comparison.mean_abs / HALF_RANGE, 5),
        psnr_db=round(comparison.psnr_db, 3),
        ssim=round(comparison.ssim, 5),
        frames=comparison.frames,
    )


def _compare(ones: Sequence[Frame], others: Sequence[Frame]) -> Comparison:
    comparison = Comparison()
    for one, other in zip(ones, others, strict=True):
        comparison.add(one, other)
    return comparison
