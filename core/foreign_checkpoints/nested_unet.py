"""The U-Net of junyanz/pytorch-CycleGAN-and-pix2pix (``UnetGenerator``): blocks within blocks.

A block is [LeakyReLU, convolution, normalization, the block below, ReLU, transposed convolution, normalization,
dropout]; the outermost has no LeakyReLU and no normalization, the innermost neither block nor normalization on the way
down. Its activations work in place, so that what the skip connection carries went through LeakyReLU and then ReLU,
which is ReLU alone. Whether there is dropout cannot be seen; at the end of a block it moves no other name.
"""

from collections.abc import Collection

from core.configuration import Architecture
from core.foreign_checkpoints.conversion import Layer, Layout, Plan, Weights, convolution_shape, plan_config


def _matches(names: Collection[str]) -> bool:
    return "model.model.0.weight" in names and any(name.startswith("model.model.1.model.") for name in names)


def _plan(weights: Weights) -> Plan:
    blocks = ["model.model", "model.model.1.model"]
    while f"{blocks[-1]}.3.model.1.weight" in weights:
        blocks.append(f"{blocks[-1]}.3.model")
    width, in_channels, *_ = convolution_shape(weights, "model.model.0.weight")
    _, out_channels, *_ = convolution_shape(weights, "model.model.3.weight")
    levels = len(blocks)
    layers = [*_way_down(blocks), *_way_up(blocks)]
    config = plan_config(
        weights,
        layers,
        architecture=Architecture.UNET,
        width=width,
        levels=levels,
        in_channels=in_channels,
        out_channels=out_channels,
    )
    return Plan(config=config, layers=layers, size=2**levels, batch=1)


def _way_down(blocks: list[str]) -> list[Layer]:
    last = len(blocks) - 1
    layers = [Layer(own="encoder.0.0", theirs=f"{blocks[0]}.0")]
    for i, block in enumerate(blocks[1:], start=1):
        norm = (f"encoder.{i}.1", f"{block}.2") if i < last else (None, None)
        layers.append(Layer(own=f"encoder.{i}.0", theirs=f"{block}.1", own_norm=norm[0], their_norm=norm[1]))
    return layers


def _way_up(blocks: list[str]) -> list[Layer]:
    last = len(blocks) - 1
    layers = []
    for i, block in enumerate(reversed(blocks)):
        own = f"decoder.{i}"
        index = 3 if i in (0, last) else 5
        norm = (f"{own}.1", f"{block}.{index + 1}") if i < last else (None, None)
        layers.append(
            Layer(own=f"{own}.0", theirs=f"{block}.{index}", own_norm=norm[0], their_norm=norm[1], skip_first=i > 0)
        )
    return layers


NESTED_UNET = Layout(
    title="U-Net of pytorch-CycleGAN-and-pix2pix",
    expected="model.model.0.weight, model.model.1.model.*",
    matches=_matches,
    plan=_plan,
)
