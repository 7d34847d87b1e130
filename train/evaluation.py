"""What a generator makes of held-out frames, in the mode it will be used in, and how good that is."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from core.configuration import Settings
from core.frames import HALF_RANGE, Frame, to_frames, to_network
from core.metrics import Comparison
from core.networks import Generator
from core.networks.inference_mode import set_inference_mode, set_training_mode
from core.pairs import Pair


class Quality(Settings):
    """Translations against their targets, as frames: rounded to 8 bits, as deployed."""

    l1: float
    """Mean absolute difference in [-1, 1]."""
    psnr_db: float
    ssim: float
    pairs: int


def translate(generator: Generator, frames: Iterable[Frame], *, batch: int) -> list[Frame]:
    """``generator``'s translations of ``frames``, in full precision; it is in training mode afterwards.

    One frame at a time, as a generator trained at ``batch`` 1 needs (``set_inference_mode``), and as a live one runs.
    """
    parameter = next(generator.parameters())
    translated = []
    set_inference_mode(generator, batch=batch)
    try:
        with torch.inference_mode():
            for frame in frames:
                images = to_network(torch.from_numpy(frame)[None].to(parameter.device))
                translated.append(np.ascontiguousarray(to_frames(generator(images))[0].cpu().numpy()))
    finally:
        set_training_mode(generator)
    return translated


def evaluate(generator: Generator, pairs: Sequence[Pair], *, batch: int) -> Quality:
    """How close ``generator``, trained at ``batch``, comes to the targets of ``pairs``."""
    comparison = Comparison()
    for pair, translation in zip(pairs, translate(generator, (p.input for p in pairs), batch=batch), strict=True):
        comparison.add(translation, pair.target)
    return Quality(
        l1=comparison.mean_abs / HALF_RANGE,
        psnr_db=comparison.psnr_db,
        ssim=comparison.ssim,
        pairs=comparison.frames,
    )
