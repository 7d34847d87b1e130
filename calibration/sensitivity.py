"""Layer sensitivity: what the picture loses when one layer alone is quantized."""

from collections.abc import Callable, Sequence
from typing import Final

from core.export_record import LayerDamage
from core.frames import Frame
from core.metrics import Comparison

FRAMES: Final = 4
"""Calibration frames that every layer is tried on: damage differs by decibels between layers, little between frames."""


def measure_sensitivity(
    layers: Sequence[str],
    translate: Callable[[str], Sequence[Frame]],
    references: Sequence[Frame],
) -> tuple[LayerDamage, ...]:
    """The damage that each of ``layers`` does, the most harmful first.

    One layer at a time is quantized, so that what is found out does not depend on the others' faults (Wu et al. 2020,
    "Integer Quantization for Deep Learning Inference", section 6.2: sensitivity analysis).

    Args:
        layers: names of the layers that can be quantized.
        translate: the translations that a network with this one layer in INT8 makes.
        references: those of the network in float, of the same frames.
    """
    damages = []
    for layer in layers:
        comparison = Comparison()
        for translation, reference in zip(translate(layer), references, strict=True):
            comparison.add(translation, reference)
        damages.append(LayerDamage(layer=layer, psnr_db=round(comparison.psnr_db, 2)))
    return tuple(sorted(damages, key=lambda damage: damage.psnr_db))
