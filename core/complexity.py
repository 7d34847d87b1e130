"""How much work a generator is, from its configuration alone."""

from core.configuration import Architecture, Decoder, GeneratorConfig
from core.frames import Size

MAX_FACTOR = 8
"""The deepest layers have eight times the width of the first: 512 channels in the paper."""


def encoder_channels(config: GeneratorConfig) -> tuple[int, ...]:
    """Output channels of the encoder's layers of a U-Net, e.g. 64, 128, 256, 512, 512, 512, 512, 512."""
    return tuple(config.width * min(2**i, MAX_FACTOR) for i in range(config.levels))


def generator_gflop(config: GeneratorConfig, size: Size) -> float:
    """10^9 floating-point operations (2 x multiply-adds of the convolutions) to translate one frame of ``size``.

    Those of the exported graph, whose enlargements are sub-pixel convolutions where they can be.
    """
    count = _resnet_operations if config.architecture is Architecture.RESNET else _unet_operations
    return count(config, size) / 1e9


def _unet_operations(config: GeneratorConfig, size: Size) -> int:
    channels = encoder_channels(config)
    operations = 0
    below = config.in_channels
    for i, outputs in enumerate(channels):
        operations += 2 * 16 * below * outputs * _pixels(size, i + 1)
        below = outputs
    targets = (*reversed(channels[:-1]), config.out_channels)
    for i, outputs in enumerate(targets):
        inputs = channels[-1] if i == 0 else 2 * targets[i - 1]
        operations += _enlargement(inputs, outputs, size, config.levels - i)
    return operations


def _resnet_operations(config: GeneratorConfig, size: Size) -> int:
    width = config.width
    full, half, quarter = (_pixels(size, halvings) for halvings in range(3))
    outer = 2 * 49 * width * (config.in_channels + config.out_channels) * full
    down = 2 * 9 * 2 * width**2 * half + 2 * 9 * 8 * width**2 * quarter
    blocks = config.blocks * 2 * (2 * 9 * 16 * width**2 * quarter)
    if config.decoder is Decoder.RESIZE:
        up = _enlargement(4 * width, 2 * width, size, 2) + _enlargement(2 * width, width, size, 1)
    else:  # a transposed convolution of 3 x 3, which works per pixel of its input
        up = 2 * 9 * 8 * width**2 * quarter + 2 * 9 * 2 * width**2 * half
    return outer + down + blocks + up


def _pixels(size: Size, halvings: int) -> int:
    return (size.height >> halvings) * (size.width >> halvings)


def _enlargement(inputs: int, outputs: int, size: Size, halvings: int) -> int:
    """A sub-pixel convolution of frames of ``size`` that were halved so often: 2 x 2 taps, four pixels at a time."""
    height, width = size.height >> halvings, size.width >> halvings
    return 2 * 4 * inputs * 4 * outputs * (height + 1) * (width + 1)
