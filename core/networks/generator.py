"""What every generator is, whatever it is made of."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from core.configuration import GeneratorConfig
from core.frames import Size, check_multiple


class Generator(nn.Module, ABC):
    """A network that translates pictures, and knows its own configuration."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Translate ``float [N, in_channels, H, W]`` in [-1, 1] to ``float [N, out_channels, H, W]`` in [-1, 1].

        H and W are multiples of 2**levels (and a residual generator's at least 8).
        """

    def check_size(self, size: Size) -> None:
        """Refuse a size that is not a multiple of 2**levels (``InvalidInputError``)."""
        check_multiple(size, self.config.levels)
