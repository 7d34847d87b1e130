"""Several training processes as one: gradients are averaged, and batch norm sees the joint batch."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from core.errors import EdgeError
from train.world import World

PATIENCE: Final = timedelta(hours=1)
"""How long processes wait for one that writes a checkpoint or looks at held-out pairs."""


@contextmanager
def joined(world: World, device: torch.device) -> Iterator[None]:
    """The block runs in the process group of ``world``; a world of one needs none.

    Raises:
        EdgeError: if the processes cannot find each other.
    """
    if world.size == 1:
        yield
        return
    try:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise EdgeError(
            f"the processes of this run cannot find each other ({str(error).splitlines()[0]}): start p2p-train with "
            "torchrun"
        ) from error
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or "onnection closed by peer" in str(error):
            raise EdgeError("another process of this run has ended: its own message says why") from error
        raise
    distributed.destroy_process_group()  # not after an error: others may be waiting for what will not come


def replicated(network: nn.Module, world: World) -> nn.Module:
    """``network`` with its gradients averaged over all processes after each backward pass."""
    if world.size == 1:
        return network
    # Statistics are the same everywhere (SynchronizedBatchNorm2d), so they need not be sent before every pass.
    with warnings.catch_warnings():
        # The argument got another name in PyTorch 2.15; both are understood, and older releases know only this one.
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        return DistributedDataParallel(network, broadcast_buffers=False)


def mean_over_processes(values: Tensor, world: World) -> Tensor:
    """The mean of ``values`` over all processes, in each of them."""
    if world.size == 1:
        return values
    values = values.clone()
    distributed.all_reduce(values)
    return values / world.size


def gathered(value: Any, world: World) -> list[Any]:
    """The ``value`` of every process, in the order of their ranks; in all of them."""
    if world.size == 1:
        return [value]
    values: list[Any] = [None] * world.size
    distributed.all_gather_object(values, value)
    return values


class _Sum(torch.autograd.Function):
    """The sum over all processes; since every process uses it, so is its gradient."""

    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        distributed.all_reduce(total)
        return total


def _summed(values: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(values)
    return total


class SynchronizedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization with the statistics of the joint batch of all processes, on CPUs as well.

    ``torch.nn.SyncBatchNorm`` knows GPUs only, and is no ``BatchNorm2d`` to the code that looks for one. In evaluation,
    and while running statistics are not tracked (``core.networks.inference_mode``), it is its base class.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Normalize ``float [N, C, H, W]``; all processes must call it with as many values."""
        if not (self.training and self.track_running_stats):
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        images = input.float()
        processes = distributed.get_world_size()
        mean = _summed(images.mean((0, 2, 3))) / processes
        centred = images - mean[:, None, None]
        variance = _summed((centred * centred).mean((0, 2, 3))) / processes
        count = processes * images.numel() / self.num_features
        with torch.no_grad():
            momentum = 0.1 if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), momentum)
            self.num_batches_tracked += 1
        scale = self.weight * torch.rsqrt(variance + self.eps)
        normalized: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return normalized.to(input.dtype)


def synchronize_batch_norm(network: nn.Module) -> None:
    """Replace every ``BatchNorm2d`` in ``network``; its weights and statistics stay, under the same names."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                synchronized = SynchronizedBatchNorm2d(child.num_features, child.eps, child.momentum)
                synchronized.load_state_dict(child.state_dict())
                setattr(parent, name, synchronized)
