"""The reflect-padded U-Net of aladdinpersson/Machine-Learning-Collection (``Generator`` of its Pix2Pix).

It differs from the paper's in what its skip connections carry (the LeakyReLU's result, where the paper's decoder
applies ReLU to them), in its padding, and in how it is used: trained at batch size 16, and evaluated with running
statistics.
"""

from collections.abc import Collection
from typing import Final

from core.configuration import Architecture, Padding, SkipActivation
from core.foreign_checkpoints.conversion import Layer, Layout, Plan, Weights, convolution_shape, plan_config

TRAINING_BATCH: Final = 16


def _matches(names: Collection[str]) -> bool:
    return "initial_down.0.weight" in names and "final_up.0.weight" in names


def _plan(weights: Weights) -> Plan:
    middle = 0
    while f"down{middle + 1}.conv.0.weight" in weights:
        middle += 1
    layers = [Layer(own="encoder.0.0", theirs="initial_down.0")]
    for i in range(1, middle + 1):
        layers.append(_normalized(f"encoder.{i}", f"down{i}.conv"))
    layers.append(Layer(own=f"encoder.{middle + 1}.0", theirs="bottleneck.0"))
    for i in range(middle + 1):
        layers.append(_normalized(f"decoder.{i}", f"up{i + 1}.conv"))
    layers.append(Layer(own=f"decoder.{middle + 1}.0", theirs="final_up.0"))
    width, in_channels, *_ = convolution_shape(weights, "initial_down.0.weight")
    _, out_channels, *_ = convolution_shape(weights, "final_up.0.weight")
    config = plan_config(
        weights,
        layers,
        architecture=Architecture.UNET,
        width=width,
        levels=middle + 2,
        in_channels=in_channels,
        out_channels=out_channels,
        padding=Padding.REFLECT,
        skip_activation=SkipActivation.LEAKY_RELU,
    )
    return Plan(config=config, layers=layers, size=2 ** (middle + 2), batch=TRAINING_BATCH)


def _normalized(own: str, theirs: str) -> Layer:
    return Layer(own=f"{own}.0", theirs=f"{theirs}.0", own_norm=f"{own}.1", their_norm=f"{theirs}.1")


REFLECT_UNET = Layout(
    title="reflect-padded U-Net",
    expected="initial_down.0.weight, down1.conv.*, ..., final_up.0.weight",
    matches=_matches,
    plan=_plan,
)
