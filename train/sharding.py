"""A generator too large for one GPU, spread over several (FSDP2: Zhao et al. 2023, "PyTorch FSDP").

Every process holds a part of each weight, of its gradient and of its optimizer state; whole weights exist only while a
block computes. What is saved is whole again: the same file as that of one process.
"""

import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from train.world import World


def shard(network: nn.Module, world: World, device: torch.device) -> None:
    """Spread the weights of ``network`` over all processes, block by block, in place."""
    # Blocks hand views on, which are never written to here.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor", UserWarning)
    mesh = init_device_mesh(device.type, (world.size,))
    for block in _blocks(network):
        fully_shard(block, mesh=mesh)
    fully_shard(network, mesh=mesh)


def _blocks(network: nn.Module) -> Iterable[nn.Module]:
    """The parts of ``network`` that are gathered one after another."""
    for child in network.children():
        parts = child.children() if isinstance(child, nn.ModuleList | nn.Sequential) else [child]
        yield from (part for part in parts if any(True for _ in part.parameters()))


def whole(value: Any) -> Any:
    """``value`` with every sharded tensor in it gathered, on the CPU; all processes must call it alike."""
    if isinstance(value, DTensor):
        return value.full_tensor().cpu()
    if isinstance(value, dict):
        return {key: whole(part) for key, part in value.items()}
    if isinstance(value, list):
        return [whole(part) for part in value]
    return value


def load_weights(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Let ``network``, sharded or not, have ``weights``, which are whole.

    Raises:
        RuntimeError: if they are not its own.
    """
    own = network.state_dict()
    if not any(isinstance(tensor, DTensor) for tensor in own.values()):
        network.load_state_dict(weights)
        return
    if own.keys() != weights.keys():
        raise RuntimeError(f"weights of another network: {', '.join(sorted(own.keys() ^ weights.keys())[:3])}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(like(tensor, weights[name]))


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Let ``optimizer`` go on from ``state``, which is whole, whether its parameters are sharded or not.

    Raises:
        ValueError: if it is another optimizer's.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments = {
        index: {name: like(parameters[index], value) for name, value in own.items()}
        for index, own in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": moments})


def like(tensor: Tensor, value: Tensor) -> Tensor:
    """``value``, which is whole, spread and laid out in memory as ``tensor`` is, if it has its shape.

    Fused optimizers walk over a weight and its moments in the order of memory: a run begun on a GPU, where weights lie
    channels last, would go on elsewhere with each weight's moments at another's place.
    """
    if value.shape != tensor.shape:
        return value
    if isinstance(tensor, DTensor):
        return distribute_tensor(value.to(tensor.device), tensor.device_mesh, tensor.placements)
    return torch.empty_like(tensor, dtype=value.dtype, requires_grad=False).copy_(value)


def local(tensor: Tensor) -> Tensor:
    """The part of ``tensor`` that lies in this process."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
