"""How much work a generator is, from its configuration alone."""

from core.configuration import Architecture, Decoder, GeneratorConfig
from core.frames import Size

MAX_FACTOR = 8
"""The deepest layers have eight times the width of the first: 512 channels in the paper."""


def encoder_channels(config: GeneratorConfig) -> tuple[int, ...]:
    """Output channels of the encoder's layers of a U-Net, e.g. 64, 128, 256, 512, 512, 512, 512, 512."""
    return tuple(config.width * min(2**i, MAX_FACTOR) for i in range(config.levels))


def generator_gflop(config: GeneratorConfig, size: Size) -> float:
    """10^9 floating-point operations (2 x multiply-adds of the convolutions) to translate one frame of ``size``."""
    count = _resnet_operations if config.architecture is Architecture.RESNET else _unet_operations
    return count(config, size.height * size.width) / 1e9


def _unet_operations(config: GeneratorConfig, pixels: int) -> int:
    channels = encoder_channels(config)
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
    return operations


def _resnet_operations(config: GeneratorConfig, pixels: int) -> int:
    width = config.width
    outer = 2 * 49 * width * (config.in_channels + config.out_channels) * pixels
    half, quarter = pixels // 4, pixels // 16
    down = 2 * 9 * 2 * width**2 * half + 2 * 9 * 8 * width**2 * quarter
    blocks = config.blocks * 2 * (2 * 9 * 16 * width**2 * quarter)
    # A transposed convolution works per pixel of its input, one after an enlargement per pixel of its output.
    first, second = (quarter, half) if config.decoder is Decoder.TRANSPOSED else (half, pixels)
    up = 2 * 9 * 8 * width**2 * first + 2 * 9 * 2 * width**2 * second
    return outer + down + blocks + up
