"""What a generator makes of held-out frames, in the mode it will be used in, and how good that is."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import nn

from core.configuration import Settings
from core.frames import HALF_RANGE, Frame, as_seen, input_images, output_frames
from core.metrics import Comparison
from core.networks import Generator
from core.networks.inference_mode import set_inference_mode, set_training_mode
from core.pairs import Pair


class Quality(Settings):
    """Translations against their targets, as frames: rounded to 8 bits, as deployed."""

    l1: float
    """Mean absolute difference in [-1, 1]."""
    psnr_db: float
    """The mean of the pictures' own, as SSIM is."""
    """Of the mean squared error over all pairs."""
    ssim: float
    pairs: int


def translate_frame(generator: Generator, frame: Frame) -> Frame:
    """``generator``'s translation of one frame, in full precision and in the mode that it is in."""
    device = next(generator.parameters()).device
    with torch.inference_mode():
        frames = torch.from_numpy(frame)[None].to(device)
        images = generator(input_images(frames, generator.config))
        return np.ascontiguousarray(output_frames(images, frames, generator.config)[0].cpu().numpy())


def translate(generator: Generator, frames: Iterable[Frame], *, batch: int) -> list[Frame]:
    """``generator``'s translations of ``frames``, in full precision; it is in training mode afterwards.

    One frame at a time, as a generator trained at ``batch`` 1 needs (``set_inference_mode``), and as a live one runs.
    """
    set_inference_mode(generator, batch=batch)
    try:
        return [translate_frame(generator, frame) for frame in frames]
    finally:
        set_training_mode(generator)


def set_paper_mode(generator: Generator) -> None:
    """Put ``generator`` in the mode that the paper tests in (Isola et al. 2017, section 3.4): as in training.

    Dropout is on, and batch normalization uses the statistics of what it is given, which for the paper is one picture
    at a time. The running statistics are not touched. ``set_training_mode`` undoes it.
    """
    generator.train()
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats = False


def evaluate(generator: Generator, pairs: Sequence[Pair], *, batch: int) -> Quality:
    """How close ``generator``, trained at ``batch``, comes to the targets of ``pairs``."""
    each = []
    for pair, translation in zip(pairs, translate(generator, (p.input for p in pairs), batch=batch), strict=True):
        own = Comparison()
        own.add(translation, as_seen(pair.target, generator.config.target_encoding))
        each.append((own.mean_abs / HALF_RANGE, own.psnr_db, own.ssim))
    l1, psnr_db, ssim = (float(figure) for figure in np.mean(each, axis=0))
    return Quality(l1=l1, psnr_db=psnr_db, ssim=ssim, pairs=len(each))
