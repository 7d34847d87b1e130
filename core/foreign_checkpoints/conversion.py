"""Another network's tensors under this project's names: what all layouts have in common."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from core.configuration import GeneratorConfig, Norm, build_settings
from core.errors import InvalidInputError
from core.networks import Generator
from core.networks.assembly import assemble_generator, blank_generator

Weights = Mapping[str, Tensor]


class MismatchError(ValueError):
    """Tensors that are not those of the network they look like; one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Where a convolution, and the normalization after it, are in this project's network and in the other one."""

    own: str
    theirs: str
    own_norm: str | None = None
    their_norm: str | None = None
    skip_first: bool = False
    """Whether they join the skip connection before what comes from below; here it comes after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A generator of this project, and where in another project's file its weights are."""

    config: GeneratorConfig
    layers: Sequence[Layer]
    size: int
    """Side of the pictures it was probably trained on, in pixels."""
    batch: int
    """Batch size it was probably trained at: 1 if it is meant to be used with the statistics of single pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A way in which another project names its generator's tensors."""

    title: str
    expected: str
    """Names that it is recognised by, for a message."""
    matches: Callable[[Collection[str]], bool]
    plan: Callable[[Weights], Plan]


def convolution_shape(weights: Weights, name: str) -> tuple[int, ...]:
    """The four sides of the convolution weight ``name``; MismatchError if it is missing or something else."""
    if name not in weights:
        raise MismatchError(f"{name} is missing")
    shape = tuple(weights[name].shape)
    if len(shape) != 4:
        raise MismatchError(f"{name} is no weight of a convolution: its shape is {list(shape)}")
    return shape


def plan_config(weights: Weights, layers: Sequence[Layer], **values: Any) -> GeneratorConfig:
    """The configuration made of ``values`` and the kind of normalization that the tensors tell.

    Affine parameters and running statistics are batch norm; one of them alone is instance norm (which kept running
    statistics in old versions of PyTorch, and never used them). With neither, a bias that a normalization by batch
    would have cancelled tells instance norm without parameters from none.

    Raises:
        MismatchError: if this project has no such generator.
    """
    normalized = [layer for layer in layers if layer.their_norm is not None]
    affine = any(f"{layer.their_norm}.weight" in weights for layer in normalized)
    running = any(f"{layer.their_norm}.running_mean" in weights for layer in normalized)
    biased = any(f"{layer.theirs}.bias" in weights for layer in normalized)
    norm = Norm.BATCH if affine and running else Norm.INSTANCE if affine or running or biased else Norm.NONE
    try:
        return build_settings(GeneratorConfig, norm=norm, **values)
    except InvalidInputError as error:
        raise MismatchError(f"this project has no such generator: {error}") from error


def convert(plan: Plan, weights: Weights) -> Generator:
    """The generator of ``plan`` with ``weights``, in evaluation mode: the same function.

    Biases that the other network lacks are zero. One that batch norm follows is taken into the running mean.

    Raises:
        MismatchError: naming the tensor that is missing, too much, or of another shape.
    """
    transfer = _Transfer(weights, blank_generator(plan.config).state_dict())
    for layer in plan.layers:
        if plan.config.norm is Norm.NONE:
            layer = replace(layer, own_norm=None, their_norm=None)
        transfer.convolution(layer)
        if layer.own_norm is not None:
            transfer.normalization(layer, plan.config.norm)
    transfer.finish()
    try:
        return assemble_generator(plan.config, transfer.own)
    except ValueError as error:
        raise MismatchError(str(error)) from error


class _Transfer:
    """Tensors on their way from one network's names to the other's."""

    def __init__(self, weights: Weights, expected: Weights) -> None:
        self._left = dict(weights)
        self._expected = expected
        self.own: dict[str, Tensor] = {}

    def convolution(self, layer: Layer) -> None:
        weight = self._take(f"{layer.theirs}.weight", f"{layer.own}.weight")
        if layer.skip_first:
            weight = weight.roll(weight.shape[0] // 2, 0)
        self.own[f"{layer.own}.weight"] = weight
        if f"{layer.own}.bias" in self._expected:
            self._take_or(0.0, f"{layer.theirs}.bias", f"{layer.own}.bias")

    def normalization(self, layer: Layer, kind: Norm) -> None:
        theirs, own = layer.their_norm, layer.own_norm
        if kind is Norm.BATCH:
            for part in ("weight", "bias", "running_mean", "running_var"):
                self.own[f"{own}.{part}"] = self._take(f"{theirs}.{part}", f"{own}.{part}")
            if f"{layer.theirs}.bias" in self._left:
                self.own[f"{own}.running_mean"] -= self._take(f"{layer.theirs}.bias", f"{own}.running_mean")
            self.own[f"{own}.num_batches_tracked"] = torch.zeros((), dtype=torch.long)
        else:
            self._take_or(1.0, f"{theirs}.weight", f"{own}.weight")
            self._take_or(0.0, f"{theirs}.bias", f"{own}.bias")
            for part in ("running_mean", "running_var"):
                self._left.pop(f"{theirs}.{part}", None)
        self._left.pop(f"{theirs}.num_batches_tracked", None)

    def finish(self) -> None:
        if self._left:
            raise MismatchError(f"it also holds {min(self._left)}, which no such generator has")

    def _take(self, name: str, own: str) -> Tensor:
        if name not in self._left:
            raise MismatchError(f"{name} is missing")
        tensor = self._left.pop(name)
        if tensor.shape != self._expected[own].shape:
            found, needed = list(tensor.shape), list(self._expected[own].shape)
            raise MismatchError(f"{name} has the shape {found} instead of {needed}")
        return tensor.to(torch.float32, copy=True)

    def _take_or(self, value: float, name: str, own: str) -> None:
        present = name in self._left
        self.own[own] = self._take(name, own) if present else torch.full(self._expected[own].shape, value)
