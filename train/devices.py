"""What a run trains on, and how PyTorch is set up for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import cv2
import torch

from core.errors import InvalidInputError, UnavailableError
from train.settings import Precision, TrainingConfig
from train.world import World


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


def local_device(kind: Literal["cpu", "cuda"], world: World) -> torch.device:
    """The device of this process: of several GPUs in one machine, each process has its own."""
    return torch.device("cuda", world.local_rank) if kind == "cuda" else torch.device("cpu")


def check_device(config: TrainingConfig, world: World) -> None:
    """Refuse what the chosen device cannot do.

    Raises:
        InvalidInputError: for an option that needs a GPU, on a CPU; for options that exclude each other.
        UnavailableError: for bf16 on a GPU without it, or more processes than GPUs.
    """
    if config.shard and world.size == 1:
        raise InvalidInputError("--shard needs several processes: start p2p-train with torchrun, or leave it out")
    if config.shard and (config.compile or config.cuda_graph):
        raise InvalidInputError("--shard excludes --compile and --cuda-graph: leave them out")
    if config.device == "cpu":
        gpu_only = {
            "--precision " + config.precision: config.precision not in ("auto", "fp32", "bf16"),
            "--cuda-graph": config.cuda_graph,
        }
        for option, given in gpu_only.items():
            if given:
                raise InvalidInputError(f"{option} needs a GPU, and this run trains on the CPU: leave it out")
        return
    if world.local_rank >= torch.cuda.device_count():
        raise UnavailableError(
            f"process {world.local_rank + 1} of this machine has no GPU of its own, there are "
            f"{torch.cuda.device_count()}: start no more processes than GPUs"
        )
    if config.precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UnavailableError(f"{torch.cuda.get_device_name()} has no bf16: train with --precision fp16")
    if config.cuda_graph and autocast_dtype(config.precision, torch.device("cuda")) is torch.float16:
        raise InvalidInputError(
            "--cuda-graph and fp16 exclude each other, because loss scaling has to look at the gradients: "
            "use --precision bf16 or fp32, or leave out --cuda-graph"
        )
    if config.cuda_graph and world.size > 1:
        raise InvalidInputError("--cuda-graph works with one process only: leave it out")


def prepare(config: TrainingConfig, world: World) -> None:
    """Global settings of PyTorch and OpenCV for a run; called by the command, never on import."""
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(1)  # frames are small, and the cores belong to the networks
    torch.manual_seed(config.seed)
    if config.device == "cuda":
        torch.cuda.set_device(world.local_rank)
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = config.precision == "tf32"


@contextmanager
def full_precision() -> Iterator[None]:
    """Evaluation within the block computes in 32 bits, TF32 excluded: its figures should not depend on the GPU."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def computed_in(precision: Precision, device: torch.device) -> str:
    """What convolutions compute in, in words."""
    if precision == "tf32":
        return "tf32"
    names = {torch.bfloat16: "bf16", torch.float16: "fp16", None: "fp32"}
    return names[autocast_dtype(precision, device)]


def autocast_dtype(precision: Precision, device: torch.device) -> torch.dtype | None:
    """The 16-bit type to compute in; None for 32 bits, and on a CPU unless bf16 was asked for.

    float16 needs a gradient scaler, bfloat16 does not.
    """
    if precision == "bf16":
        return torch.bfloat16
    if device.type != "cuda" or precision in ("fp32", "tf32"):
        return None
    if precision == "auto" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float16


def peak_memory_gib(device: torch.device) -> float:
    """The most memory that this process has taken so far, in GiB: the GPU's, or on a CPU the process's own."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
