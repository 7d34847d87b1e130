"""The generators and the discriminator, in PyTorch."""

from core.configuration import Architecture, GeneratorConfig
from core.networks.generator import Generator
from core.networks.patch_discriminator import PatchDiscriminator
from core.networks.resnet import ResNetGenerator
from core.networks.unet import UNetGenerator

__all__ = ["Generator", "PatchDiscriminator", "ResNetGenerator", "UNetGenerator", "build_generator"]


def build_generator(config: GeneratorConfig) -> Generator:
    """The generator of ``config`` with the paper's initial weights, in training mode."""
    match config.architecture:
        case Architecture.UNET:
            return UNetGenerator(config)
        case Architecture.RESNET:
            return ResNetGenerator(config)
