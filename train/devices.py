"""What a run trains on, and how PyTorch is set up for it."""

from typing import Literal

import cv2
import torch

from core.errors import UnavailableError
from train.settings import TrainingConfig


def choose_device(asked: Literal["auto", "cpu", "cuda"]) -> tuple[Literal["cpu", "cuda"], str]:
    """The device to train on, and why, in words.

    Raises:
        UnavailableError: if CUDA is asked for and not there.
    """
    if asked == "cpu":
        return "cpu", "as asked"
    if torch.cuda.is_available():
        return "cuda", torch.cuda.get_device_name()
    if asked == "cuda":
        raise UnavailableError(
            "this machine has no CUDA device that PyTorch can use: train with --device cpu, or install a GPU driver"
        )
    return "cpu", "no CUDA device found"


def prepare(config: TrainingConfig) -> None:
    """Global settings of PyTorch and OpenCV for a run; called by the command, never on import."""
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(1)  # frames are small, and the cores belong to the networks
    torch.manual_seed(config.seed)
    if config.device == "cuda":
        torch.backends.cudnn.benchmark = True
        # Training runs in 16 bits; what remains in 32 is evaluation, whose figures should not depend on the GPU.
        torch.backends.cudnn.allow_tf32 = False


def mixed_precision(device: torch.device) -> torch.dtype | None:
    """The 16-bit type to compute in; None on a CPU, where it would be slower.

    float16 needs a gradient scaler, bfloat16 does not.
    """
    if device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
