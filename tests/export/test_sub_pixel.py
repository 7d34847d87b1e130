"""Sub-pixel convolutions against the layers that they stand for, in whole generators, and where they must not be."""

import copy

import pytest
import torch
from torch import nn

from core.configuration import Architecture, Decoder, GeneratorConfig, Norm, Padding
from core.networks import Generator, build_generator
from export.sub_pixel import SubPixelConvolution, with_sub_pixel_convolutions


def random_generator(config: GeneratorConfig) -> Generator:
    """One in which every weight, bias and statistic differs."""
    torch.manual_seed(0)
    generator = build_generator(config)
    with torch.no_grad():
        for value in generator.state_dict().values():
            if value.is_floating_point():
                value.uniform_(0.02, 0.15).mul_(torch.where(torch.rand_like(value) < 0.5, -1.0, 1.0))
        for module in generator.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_var is not None
                module.running_var.uniform_(0.5, 2.0)
    return generator.eval().double()


def enlargements(generator: Generator) -> list[nn.Module]:
    """Layers that double the resolution as training has them."""
    return [module for module in generator.modules() if isinstance(module, nn.ConvTranspose2d | nn.Upsample)]


def sub_pixel_layers(generator: Generator) -> list[str]:
    return [name for name, module in generator.named_modules() if isinstance(module, SubPixelConvolution)]


@pytest.mark.parametrize("norm", list(Norm))
@pytest.mark.parametrize("padding", list(Padding))
@pytest.mark.parametrize("decoder", list(Decoder))
@pytest.mark.parametrize("size", [(16, 16), (16, 48)])
def test_a_unet_computes_the_same(decoder: Decoder, padding: Padding, norm: Norm, size: tuple[int, int]) -> None:
    config = GeneratorConfig(width=4, levels=3, decoder=decoder, padding=padding, norm=norm, out_channels=2)
    generator = random_generator(config)
    images = torch.rand(2, 3, *size, dtype=torch.float64) * 2 - 1
    expected = generator(images)
    replaced = with_sub_pixel_convolutions(copy.deepcopy(generator))
    assert len(sub_pixel_layers(replaced)) == 3
    assert not enlargements(replaced)
    assert expected.std() > 0.01, "or anything would come near it"
    torch.testing.assert_close(replaced(images), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("padding", list(Padding))
def test_a_resnet_that_resizes_computes_the_same(padding: Padding) -> None:
    config = GeneratorConfig(
        architecture=Architecture.RESNET, width=4, levels=2, blocks=1, decoder=Decoder.RESIZE, padding=padding
    )
    generator = random_generator(config)
    images = torch.rand(1, 3, 16, 24, dtype=torch.float64) * 2 - 1
    expected = generator(images)
    replaced = with_sub_pixel_convolutions(copy.deepcopy(generator))
    assert len(sub_pixel_layers(replaced)) == 2
    torch.testing.assert_close(replaced(images), expected, rtol=0, atol=1e-12)


def test_layers_keep_their_names_and_batch_norm_becomes_part_of_them() -> None:
    generator = random_generator(GeneratorConfig(width=4, levels=3))
    replaced = with_sub_pixel_convolutions(copy.deepcopy(generator))
    assert sub_pixel_layers(replaced) == ["decoder.0.0", "decoder.1.0", "decoder.2.0"]
    norms = [name for name, module in replaced.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all(name.startswith("encoder.") for name in norms)


@pytest.mark.parametrize(
    "layers",
    [
        [nn.ConvTranspose2d(2, 2, 3, stride=2, padding=1, output_padding=1)],
        [nn.ConvTranspose2d(2, 2, 4, stride=2, padding=1, groups=2)],
        [nn.ConvTranspose2d(2, 2, 4, stride=1, padding=1)],
        [nn.Upsample(scale_factor=2.0, mode="bilinear"), nn.Conv2d(2, 2, 3, padding=1)],
        [nn.Upsample(scale_factor=4.0), nn.Conv2d(2, 2, 3, padding=1)],
        [nn.Upsample(scale_factor=2.0), nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular")],
        [nn.Upsample(scale_factor=2.0), nn.Conv2d(2, 2, 5, padding=2)],
        [nn.Upsample(scale_factor=2.0), nn.ReLU()],
        [nn.Upsample(scale_factor=2.0)],
    ],
)
def test_what_is_no_such_enlargement_stays(layers: list[nn.Module]) -> None:
    generator = build_generator(GeneratorConfig(width=4, levels=3))
    generator.decoder = nn.ModuleList([nn.Sequential(*layers)])  # type: ignore[assignment]
    assert not sub_pixel_layers(with_sub_pixel_convolutions(generator.eval()))
