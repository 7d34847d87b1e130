"""Layers both networks are made of, and their initialization."""

from torch import nn

from core.configuration import Norm, Padding


def normalization(kind: Norm, channels: int) -> list[nn.Module]:
    """The normalization layer over ``channels``, as a list that is empty for none."""
    match kind:
        case Norm.BATCH:
            return [nn.BatchNorm2d(channels)]
        case Norm.INSTANCE:
            return [nn.InstanceNorm2d(channels, affine=True)]
        case Norm.NONE:
            return []


def convolution(
    inputs: int, outputs: int, *, kernel: int, stride: int, padding: int, mode: Padding, bias: bool
) -> nn.Conv2d:
    """A 2-D convolution padded as ``mode`` says."""
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, padding_mode=mode.value, bias=bias)


def initialize(network: nn.Module) -> None:
    """Weights ~ N(0, 0.02), normalization gains ~ N(1, 0.02), biases 0 (Isola et al. 2017, section 6.2)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)
