"""The generator and the discriminator of the paper, in PyTorch."""

from core.networks.patch_discriminator import PatchDiscriminator
from core.networks.unet import UNetGenerator

__all__ = ["PatchDiscriminator", "UNetGenerator"]
