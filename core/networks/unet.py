"""The U-Net generator: Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks", 6.1.1."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.complexity import encoder_channels
from core.configuration import Decoder, GeneratorConfig, Norm, Padding, SkipActivation
from core.networks.generator import Generator
from core.networks.layers import convolution, initialize, normalization

DROPOUT_LAYERS = 3


class UNetGenerator(Generator):
    """Encoder and decoder with skip connections between mirrored layers.

    With the default configuration it is the paper's: encoder C64-C128-C256-C512-C512-C512-C512-C512, decoder
    CD512-CD512-CD512-C512-C256-C128-C64, 4 x 4 kernels, stride 2; no normalization on the first layer, nor (the
    paper's erratum) on the 1 x 1 bottleneck, where batch norm at batch size 1 would give zeros.

    ``Padding.REFLECT`` leaves the bottleneck's convolution padded with zeros: of the 2 x 2 pixels it sees at the
    smallest size, reflection would only make copies, and its 16 weights per channel could do no more than 4.
    """

    def __init__(self, config: GeneratorConfig | None = None) -> None:
        super().__init__(config or GeneratorConfig())
        channels = encoder_channels(self.config)
        last = len(channels) - 1
        inputs = (self.config.in_channels, *channels[:-1])
        self.encoder = nn.ModuleList(
            _encoder_block(self.config, inputs[i], channels[i], first=i == 0, bottleneck=i == last)
            for i in range(len(channels))
        )
        outputs = (*reversed(channels[:-1]), self.config.out_channels)
        skips = (0, *reversed(channels[:-1]))  # the bottleneck itself is the first decoder layer's only input
        below = (channels[-1], *outputs[:-1])
        self.decoder = nn.ModuleList(
            _decoder_block(
                self.config,
                below[i] + skips[i],
                outputs[i],
                final=i == last,
                dropout=self.config.dropout and i < min(DROPOUT_LAYERS, last - 1),
            )
            for i in range(len(channels))
        )
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Translate ``float [N, in_channels, H, W]`` to ``float [N, out_channels, H, W]``, both in [-1, 1]."""
        leaky_skips = self.config.skip_activation is SkipActivation.LEAKY_RELU
        skips: list[Tensor] = []
        for i, block in enumerate(self.encoder):
            if i > 0:
                activated = functional.leaky_relu(images, 0.2)
                skips.append(activated if leaky_skips else images)
                images = activated
            images = block(images)
        for i, block in enumerate(self.decoder):
            if i == 0:
                images = functional.relu(images)
            elif leaky_skips:
                images = torch.cat([functional.relu(images), skips.pop()], 1)
            else:
                images = functional.relu(torch.cat([images, skips.pop()], 1))
            images = block(images)
        return torch.tanh(images)


def _encoder_block(
    config: GeneratorConfig, inputs: int, outputs: int, *, first: bool, bottleneck: bool
) -> nn.Sequential:
    """Convolution (4 x 4, stride 2) and normalization; the activation before it is applied by the network."""
    norm = [] if first or bottleneck else normalization(config.norm, outputs)
    bias = not norm or config.norm is Norm.INSTANCE
    mode = Padding.ZEROS if bottleneck else config.padding
    return nn.Sequential(convolution(inputs, outputs, kernel=4, stride=2, padding=1, mode=mode, bias=bias), *norm)


def _decoder_block(config: GeneratorConfig, inputs: int, outputs: int, *, final: bool, dropout: bool) -> nn.Sequential:
    """Enlargement by two, normalization and dropout; the last layer has only the enlargement."""
    norm = [] if final else normalization(config.norm, outputs)
    bias = not norm or config.norm is Norm.INSTANCE
    layers: list[nn.Module] = []
    if config.decoder is Decoder.TRANSPOSED:
        layers.append(nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=bias))
    else:
        layers.append(nn.Upsample(scale_factor=2.0, mode="nearest"))
        layers.append(convolution(inputs, outputs, kernel=3, stride=1, padding=1, mode=config.padding, bias=bias))
    layers.extend(norm)
    if dropout:
        layers.append(nn.Dropout(0.5))
    return nn.Sequential(*layers)
