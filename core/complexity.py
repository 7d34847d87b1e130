"""How much work a generator is, from its configuration alone."""

from core.configuration import Decoder, GeneratorConfig
from core.frames import Size

MAX_FACTOR = 8
"""The deepest layers have eight times the width of the first: 512 channels in the paper."""


def encoder_channels(config: GeneratorConfig) -> tuple[int, ...]:
    """Output channels of the encoder's layers, e.g. 64, 128, 256, 512, 512, 512, 512, 512."""
    return tuple(config.width * min(2**i, MAX_FACTOR) for i in range(config.levels))


def generator_gflop(config: GeneratorConfig, size: Size) -> float:
    """10^9 floating-point operations (2 x multiply-adds of the convolutions) to translate one frame of ``size``."""
    channels = encoder_channels(config)
    pixels = size.height * size.width
    operations = 0
    below = config.in_channels
    for i, outputs in enumerate(channels):
        operations += 2 * 16 * below * outputs * (pixels // 4 ** (i + 1))
        below = outputs
    targets = (*reversed(channels[:-1]), config.out_channels)
    for i, outputs in enumerate(targets):
        level = config.levels - i  # halvings at this layer's input
        inputs = channels[-1] if i == 0 else 2 * targets[i - 1]
        if config.decoder is Decoder.TRANSPOSED:
            operations += 2 * 16 * inputs * outputs * (pixels // 4**level)
        else:
            operations += 2 * 9 * inputs * outputs * (pixels // 4 ** (level - 1))
    return operations / 1e9
