"""The patch discriminator (Isola et al. 2017, section 6.1.2)."""

import torch
from torch import Tensor, nn

from core.complexity import MAX_FACTOR
from core.configuration import STRIDED_LAYERS, DiscriminatorConfig, Norm, Padding
from core.errors import InvalidInputError
from core.networks.layers import convolution, initialize, normalization


class PatchDiscriminator(nn.Module):
    """Scores every patch of a pair (input and target, or input and translation) as real or not.

    With a receptive field of 70 it is the paper's C64-C128-C256-C512 and a final one-channel convolution, all 4 x 4,
    no normalization on the first layer; 256 x 256 pairs give 30 x 30 scores. A receptive field of 1 is the PixelGAN
    (1 x 1 convolutions C64-C128), 286 the ImageGAN.
    """

    def __init__(self, config: DiscriminatorConfig | None = None) -> None:
        super().__init__()
        self.config = config or DiscriminatorConfig()
        pixel_gan = self.config.receptive_field == 1
        layers = _pixel_layers(self.config) if pixel_gan else _patch_layers(self.config)
        self.layers = nn.Sequential(*layers)
        initialize(self)

    def forward(self, source: Tensor, image: Tensor) -> Tensor:
        """Logits ``float [N, 1, h, w]`` of ``image`` as the translation of ``source``, both ``float [N, C, H, W]``."""
        scores: Tensor = self.layers(torch.cat([source, image], 1))
        return scores


def _normalized(
    config: DiscriminatorConfig, inputs: int, outputs: int, *, kernel: int, stride: int, padding: int
) -> list[nn.Module]:
    norm = normalization(config.norm, outputs)
    bias = not norm or config.norm is Norm.INSTANCE
    first = convolution(inputs, outputs, kernel=kernel, stride=stride, padding=padding, mode=Padding.ZEROS, bias=bias)
    return [first, *norm]


def _pixel_layers(config: DiscriminatorConfig) -> list[nn.Module]:
    return [
        nn.Conv2d(config.channels, config.width, 1),
        nn.LeakyReLU(0.2, inplace=True),
        *_normalized(config, config.width, 2 * config.width, kernel=1, stride=1, padding=0),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(2 * config.width, 1, 1),
    ]


def _patch_layers(config: DiscriminatorConfig) -> list[nn.Module]:
    if config.receptive_field not in STRIDED_LAYERS:
        known = ", ".join(str(field) for field in STRIDED_LAYERS)
        raise InvalidInputError(f"a receptive field of {config.receptive_field} cannot be had: choose from {known}")
    strided = STRIDED_LAYERS[config.receptive_field]
    layers: list[nn.Module] = [
        nn.Conv2d(config.channels, config.width, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2, inplace=True),
    ]
    channels = config.width
    for i in range(1, strided + 1):
        wider = config.width * min(2**i, MAX_FACTOR)
        stride = 2 if i < strided else 1
        layers += _normalized(config, channels, wider, kernel=4, stride=stride, padding=1)
        layers.append(nn.LeakyReLU(0.2, inplace=True))
        channels = wider
    return [*layers, nn.Conv2d(channels, 1, 4, stride=1, padding=1)]
