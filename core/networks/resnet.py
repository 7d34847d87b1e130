"""The residual generator: Johnson et al. 2016, "Perceptual Losses", as in Zhu et al. 2017 (CycleGAN), section 7.2."""

from typing import Final

import torch
from torch import Tensor, nn

from core.configuration import Decoder, GeneratorConfig, Norm, Padding
from core.errors import InvalidInputError
from core.frames import Size
from core.networks.generator import Generator
from core.networks.layers import convolution, initialize, normalization

SMALLEST: Final = 8
"""Pixels a side: the residual blocks see a quarter of it, and neither reflect nor normalize a single pixel."""


class ResNetGenerator(Generator):
    """Two halvings, residual blocks at a quarter of the resolution, two doublings.

    c7s1-64, d128, d256, then ``blocks`` times R256, u128, u64, c7s1-3 with the default width. The 7 x 7 convolutions
    are always padded by reflection, the strided ones with zeros, and those of the residual blocks (and of a resize
    decoder) as ``padding`` says; CycleGAN's is ``Padding.REFLECT``.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__(config)
        width = config.width
        self.encoder = nn.ModuleList(
            [
                _layer(config, config.in_channels, width, kernel=7, stride=1, mode=Padding.REFLECT),
                _layer(config, width, 2 * width, kernel=3, stride=2, mode=Padding.ZEROS),
                _layer(config, 2 * width, 4 * width, kernel=3, stride=2, mode=Padding.ZEROS),
            ]
        )
        self.blocks = nn.ModuleList(ResidualBlock(config, 4 * width) for _ in range(config.blocks))
        self.decoder = nn.ModuleList(
            [_enlargement(config, 4 * width, 2 * width), _enlargement(config, 2 * width, width)]
        )
        self.head = convolution(
            width, config.out_channels, kernel=7, stride=1, padding=3, mode=Padding.REFLECT, bias=True
        )
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Translate ``float [N, in_channels, H, W]`` to ``float [N, out_channels, H, W]``, both in [-1, 1]."""
        for layer in (*self.encoder, *self.blocks, *self.decoder):
            images = layer(images)
        return torch.tanh(self.head(images))

    def check_size(self, size: Size) -> None:
        """Refuse a size that is not a multiple of 4, or smaller than 8 x 8 (``InvalidInputError``)."""
        super().check_size(size)
        if min(size) < SMALLEST:
            raise InvalidInputError(f"size {size} is too small for a residual generator: use {SMALLEST} or more")


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with normalization and a ReLU (and dropout) between them, added to what goes in."""

    def __init__(self, config: GeneratorConfig, channels: int) -> None:
        super().__init__()
        self.first = _layer(config, channels, channels, kernel=3, stride=1, mode=config.padding)
        if config.dropout:
            self.first.append(nn.Dropout(0.5))
        self.second = _layer(config, channels, channels, kernel=3, stride=1, mode=config.padding, activated=False)

    def forward(self, features: Tensor) -> Tensor:
        """``float [N, channels, H, W]`` to the same shape."""
        change: Tensor = self.second(self.first(features))
        return features + change


def _layer(
    config: GeneratorConfig,
    inputs: int,
    outputs: int,
    *,
    kernel: int,
    stride: int,
    mode: Padding,
    activated: bool = True,
) -> nn.Sequential:
    bias = config.norm is not Norm.BATCH  # batch norm takes it away again
    layer = nn.Sequential(
        convolution(inputs, outputs, kernel=kernel, stride=stride, padding=kernel // 2, mode=mode, bias=bias),
        *normalization(config.norm, outputs),
    )
    return layer.append(nn.ReLU(inplace=True)) if activated else layer


def _enlargement(config: GeneratorConfig, inputs: int, outputs: int) -> nn.Sequential:
    """Doubling of the resolution, normalization and ReLU."""
    if config.decoder is Decoder.RESIZE:
        nearest = nn.Upsample(scale_factor=2.0, mode="nearest")
        return nn.Sequential(nearest, *_layer(config, inputs, outputs, kernel=3, stride=1, mode=config.padding))
    bias = config.norm is not Norm.BATCH
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1, bias=bias),
        *normalization(config.norm, outputs),
        nn.ReLU(inplace=True),
    )
