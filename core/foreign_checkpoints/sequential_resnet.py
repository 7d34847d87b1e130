"""The residual generator of junyanz/pytorch-CycleGAN-and-pix2pix (``ResnetGenerator``): one numbered list of layers."""

import re
from collections.abc import Collection
from typing import Final

from core.configuration import RESNET_LEVELS, Architecture, Padding
from core.foreign_checkpoints.conversion import (
    Layer,
    Layout,
    MismatchError,
    Plan,
    Weights,
    convolution_shape,
    plan_config,
)

FIRST_BLOCK: Final = 10
"""After the padding, and three times convolution, normalization and ReLU."""
TRAINING_SIZE: Final = 256
"""Of its pictures, in pixels, unless it was told otherwise: the network itself works at any size."""


def _matches(names: Collection[str]) -> bool:
    return "model.1.weight" in names and any(".conv_block." in name for name in names)


def _plan(weights: Weights) -> Plan:
    found = (re.match(r"model\.([0-9]{1,4})\.conv_block\.", name) for name in weights)
    indices = sorted({int(match[1]) for match in found if match})
    blocks = len(indices)
    if indices != list(range(FIRST_BLOCK, FIRST_BLOCK + blocks)):
        raise MismatchError(
            f"its residual blocks are not layers {FIRST_BLOCK} and following, as after two strided convolutions"
        )
    first, second, padding, dropout = _block_layout(weights)
    layers = [
        Layer(
            own=f"encoder.{i}.0",
            theirs=f"model.{1 + 3 * i}",
            own_norm=f"encoder.{i}.1",
            their_norm=f"model.{2 + 3 * i}",
        )
        for i in range(3)
    ]
    for i, index in enumerate(indices):
        for part, at in (("first", first), ("second", second)):
            own, theirs = f"blocks.{i}.{part}", f"model.{index}.conv_block"
            layers.append(
                Layer(own=f"{own}.0", theirs=f"{theirs}.{at}", own_norm=f"{own}.1", their_norm=f"{theirs}.{at + 1}")
            )
    after = FIRST_BLOCK + blocks
    for i in range(2):
        own, at = f"decoder.{i}", after + 3 * i
        layers.append(Layer(own=f"{own}.0", theirs=f"model.{at}", own_norm=f"{own}.1", their_norm=f"model.{at + 1}"))
    layers.append(Layer(own="head", theirs=f"model.{after + 7}"))
    width, in_channels, *_ = convolution_shape(weights, "model.1.weight")
    out_channels, *_ = convolution_shape(weights, f"model.{after + 7}.weight")
    config = plan_config(
        weights,
        layers,
        architecture=Architecture.RESNET,
        width=width,
        levels=RESNET_LEVELS,
        blocks=blocks,
        in_channels=in_channels,
        out_channels=out_channels,
        padding=padding,
        dropout=dropout,
    )
    return Plan(config=config, layers=layers, size=TRAINING_SIZE, batch=1)


def _block_layout(weights: Weights) -> tuple[int, int, Padding, bool]:
    """Numbers of a block's convolutions, its padding, and whether it has dropout, as the first block tells.

    A block is [padding, convolution, normalization, ReLU, dropout, padding, convolution, normalization]; zeros are the
    convolution's own business, and need no layer. (Padding by repetition, which its training has no option for, would
    look like reflection.)
    """
    for first, second, padding, dropout in (
        (1, 5, Padding.REFLECT, False),
        (1, 6, Padding.REFLECT, True),
        (0, 3, Padding.ZEROS, False),
        (0, 4, Padding.ZEROS, True),
    ):
        if _has_convolution(weights, first) and _has_convolution(weights, second):
            return first, second, padding, dropout
    raise MismatchError("its residual blocks do not have two convolutions at the usual places")


def _has_convolution(weights: Weights, at: int) -> bool:
    weight = weights.get(f"model.{FIRST_BLOCK}.conv_block.{at}.weight")
    return weight is not None and weight.ndim == 4  # a normalization's has one side


SEQUENTIAL_RESNET = Layout(
    title="ResNet of pytorch-CycleGAN-and-pix2pix",
    expected="model.1.weight, model.10.conv_block.*",
    matches=_matches,
    plan=_plan,
)
