"""Layers that double the resolution, as sub-pixel convolutions: the same function, in less time.

A transposed convolution of stride 2 is a convolution at the lower resolution that computes the four pixels of every
2 x 2 block in channels of their own, and moves them to their places (Shi et al. 2016, "Is the deconvolution layer the
same as a convolutional layer?", arXiv 1609.07009). So is an enlargement by nearest neighbours with a convolution after
it, where the pixels that were doubled are multiplied once: 16 products instead of 36 for each pixel of the lower
resolution. Engines have their fastest kernels, and ONNX Runtime its only INT8 ones, for plain convolutions.
"""

from typing import Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from core.networks import Generator

PADDING: Final[dict[str, Literal["zeros", "replicate"]]] = {"zeros": "zeros", "reflect": "replicate"}
"""How the lower resolution is padded where the doubled one was: beyond a border it mirrors the pixel's own double."""

SMALL: Final = 17 * 17
"""Pixels of images that ONNX Runtime moves faster by its DepthToSpace (which ``pixel_shuffle`` becomes) than by the two
transpositions: 0.02 ms instead of 0.48 for 512 channels of 3 x 3, and 0.67 instead of 0.78 for 17 x 17, but 1.4 ms
instead of 0.8 for 256 channels of 33 x 33 (1.31.1, two cores)."""


class SubPixelConvolution(nn.Conv2d):
    """``float [N, I, H, W]`` to ``float [N, O, 2 H, 2 W]``."""

    def __init__(
        self, kernel: Tensor, bias: Tensor | None, padding_mode: Literal["zeros", "replicate"] = "zeros"
    ) -> None:
        """Compute what a transposed convolution of stride 2 and padding 1 does.

        Args:
            kernel: ``[O, I, 4, 4]``, the transposed convolution's weight with its channel axes exchanged.
            bias: ``[O]``.
            padding_mode: what lies around the images, as ``nn.Conv2d`` names it.
        """
        outputs, inputs = kernel.shape[:2]
        super().__init__(inputs, 4 * outputs, 2, padding=1, bias=bias is not None, padding_mode=padding_mode)
        # Position p computes rows 2 p - 1 and 2 p of the result from rows p - 1 and p: taps (2, 0) and (3, 1).
        taps = kernel.reshape(outputs, inputs, 2, 2, 2, 2).flip(2, 4)
        self.weight = nn.Parameter(taps.permute(0, 3, 5, 1, 2, 4).reshape(4 * outputs, inputs, 2, 2))
        if bias is not None:
            self.bias = nn.Parameter(bias.repeat_interleave(4))

    def forward(self, images: Tensor) -> Tensor:
        """Double the resolution of ``images``."""
        blocks = super().forward(images)
        count, channels, height, width = blocks.shape
        if isinstance(height, int) and isinstance(width, int) and height * width <= SMALL:  # not so where sizes vary
            return functional.pixel_shuffle(blocks, 2)[:, :, 1:-1, 1:-1]
        # Columns first, rows then: two transpositions of one axis each, which copy faster than one of two.
        columns = blocks.reshape(count, channels // 2, 2, height * width).transpose(2, 3)
        rows = columns.reshape(count, channels // 4, 2, height, 2 * width).transpose(2, 3)
        return rows.reshape(count, channels // 4, 2 * height, 2 * width)[:, :, 1:-1, 1:-1]


def with_sub_pixel_convolutions(generator: Generator) -> Generator:
    """``generator``, in evaluation mode, with its enlarging layers replaced, in place, where that changes nothing.

    Batch norm after such a layer becomes part of it. Layers keep their names.
    """
    for block in generator.modules():
        if isinstance(block, nn.Sequential):
            for place in range(len(block)):
                _replace(block, place)
    return generator


def _replace(block: nn.Sequential, place: int) -> None:
    """Replace the enlargement that begins at ``place`` of ``block``, if there is one."""
    layer, after = block[place], block[place + 1] if place + 1 < len(block) else None
    if isinstance(layer, nn.ConvTranspose2d) and _is_usual(layer, kernel=4, stride=2):
        layer = _with_norm(block, place)
        block[place] = SubPixelConvolution(layer.weight.detach().transpose(0, 1), layer.bias)
    elif isinstance(layer, nn.Upsample) and isinstance(after, nn.Conv2d) and _doubles(layer, after):
        after = _with_norm(block, place + 1)
        block[place] = nn.Identity()
        block[place + 1] = SubPixelConvolution(_doubled(after.weight.detach()), after.bias, PADDING[after.padding_mode])


def _is_usual(layer: nn.Conv2d | nn.ConvTranspose2d, *, kernel: int, stride: int) -> bool:
    return (
        (layer.kernel_size, layer.stride) == ((kernel, kernel), (stride, stride))
        and (layer.padding, layer.dilation, layer.groups) == ((1, 1), (1, 1), 1)
        and layer.output_padding == (0, 0)
    )


def _doubles(enlargement: nn.Upsample, layer: nn.Conv2d) -> bool:
    nearest = enlargement.mode == "nearest" and enlargement.scale_factor == 2
    return nearest and layer.padding_mode in PADDING and _is_usual(layer, kernel=3, stride=1)


def _doubled(kernel: Tensor) -> Tensor:
    """``[O, I, 3, 3]`` on doubled pixels as ``[O, I, 4, 4]`` of a transposed convolution on single ones."""
    flipped = kernel.flip(2, 3)
    shifts = [(left, 1 - left, top, 1 - top) for left in (0, 1) for top in (0, 1)]
    return torch.stack([functional.pad(flipped, shift) for shift in shifts]).sum(0)


def _with_norm(block: nn.Sequential, place: int) -> nn.Conv2d | nn.ConvTranspose2d:
    """The layer at ``place``, batch norm after it taken into it and out of ``block``."""
    layer = block[place]
    assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    if place + 1 < len(block) and isinstance(norm := block[place + 1], nn.BatchNorm2d):
        block[place + 1] = nn.Identity()
        return fuse_conv_bn_eval(layer, norm, transpose=isinstance(layer, nn.ConvTranspose2d))
    return layer
