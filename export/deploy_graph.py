"""The one graph every target is made from: frames in, frames out, nothing left for Python to do to a pixel."""

import copy

from torch import Tensor, nn

from core.export_record import Normalization
from core.frames import input_images, output_frames
from core.networks import Generator
from core.precision import Precision
from export.sub_pixel import with_sub_pixel_convolutions


class DeployGraph(nn.Module):
    """``uint8 [N, H, W, 3]`` BGR frames to ``uint8 [N, H, W, 3]`` BGR frames.

    Colour order, layout, scaling to [-1, 1] (or conversion to the channels that the generator takes), the generator in
    ``precision`` (fp32 or fp16), and the way back (in fp32, rounded, clamped) are all inside. Layers that double the
    resolution are sub-pixel convolutions.
    """

    def __init__(self, generator: Generator, normalization: Normalization, precision: Precision) -> None:
        super().__init__()
        assert precision is not Precision.INT8, "INT8 graphs are quantized from an fp32 or fp16 one"
        self.generator = with_sub_pixel_convolutions(deployable(generator, normalization))
        self.half_precision = precision is Precision.FP16
        if self.half_precision:
            self.generator.half()
        self.eval()

    def forward(self, frames: Tensor) -> Tensor:
        """Translate frames."""
        images = input_images(frames, self.generator.config)
        if self.half_precision:
            images = images.half()
        translated: Tensor = self.generator(images)
        return output_frames(translated, frames, self.generator.config)


def deployable(generator: Generator, normalization: Normalization) -> Generator:
    """A copy of ``generator`` in evaluation mode that normalizes as ``normalization`` says, whatever reads the graph.

    ONNX export drops batch norm's training mode without a word, so the statistics of the picture at hand are spelled
    out as instance norm with the same weights, bias and epsilon: at N = 1 the two are the same function.
    """
    generator = copy.deepcopy(generator).cpu().eval()
    if normalization is not Normalization.INSTANCE:
        return generator
    for parent in list(generator.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, _instance_norm(child))
    return generator


def _instance_norm(batch_norm: nn.BatchNorm2d) -> nn.InstanceNorm2d:
    norm = nn.InstanceNorm2d(batch_norm.num_features, eps=batch_norm.eps, affine=True)
    norm.weight = batch_norm.weight
    norm.bias = batch_norm.bias
    return norm.eval()
