"""The residual generator against its published description (Zhu et al. 2017, section 7.2)."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from core.configuration import Architecture, Decoder, GeneratorConfig, Norm, Padding
from core.errors import InvalidInputError
from core.frames import Size
from core.networks import Generator, ResNetGenerator, build_generator
from core.networks.inference_mode import set_inference_mode


def resnet(**values: object) -> Generator:
    small: dict[str, object] = {"architecture": Architecture.RESNET, "levels": 2, "width": 4, "blocks": 2}
    return build_generator(GeneratorConfig.model_validate(small | values))


def test_its_layers_are_the_published_ones() -> None:
    with torch.device("meta"):
        generator = resnet(width=64, blocks=9, padding=Padding.REFLECT, norm=Norm.INSTANCE)
    assert isinstance(generator, ResNetGenerator)
    layers = [m for m in generator.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    # c7s1-64, d128, d256, 9 x R256, u128, u64, c7s1-3
    assert [layer.out_channels for layer in layers] == [64, 128, 256, *[256] * 18, 128, 64, 3]
    assert [layer.kernel_size[0] for layer in layers] == [7, 3, 3, *[3] * 18, 3, 3, 7]
    assert [layer.stride[0] for layer in layers] == [1, 2, 2, *[1] * 18, 2, 2, 1]
    assert [layer.padding_mode for layer in layers] == [
        "reflect",
        "zeros",
        "zeros",
        *["reflect"] * 18,
        "zeros",
        "zeros",
        "reflect",
    ]
    affine = sum(p.numel() for m in generator.modules() if isinstance(m, nn.InstanceNorm2d) for p in m.parameters())
    parameters = sum(parameter.numel() for parameter in generator.parameters())
    assert parameters - affine == 11_378_179  # of resnet_9blocks with instance norm, whose own has no parameters


@pytest.mark.parametrize("norm", list(Norm))
@pytest.mark.parametrize("padding", list(Padding))
@pytest.mark.parametrize("decoder", list(Decoder))
@pytest.mark.parametrize("dropout", [False, True])
def test_every_variant_keeps_the_size_and_the_range(
    norm: Norm, padding: Padding, decoder: Decoder, dropout: bool
) -> None:
    generator = resnet(norm=norm, padding=padding, decoder=decoder, dropout=dropout, in_channels=1, out_channels=4)
    output = generator(torch.randn(2, 1, 12, 20))
    assert output.shape == (2, 4, 12, 20)
    assert output.abs().max() <= 1
    generator.check_size(Size(12, 20))


def test_a_residual_block_adds_to_what_goes_in() -> None:
    generator = resnet(norm=Norm.NONE)
    assert isinstance(generator, ResNetGenerator)
    for parameter in generator.blocks.parameters():
        nn.init.zeros_(parameter)
    features = torch.randn(1, 16, 4, 4)
    assert torch.equal(generator.blocks[0](features), features)


def test_dropout_is_in_training_only() -> None:
    image = torch.randn(1, 3, 16, 16)
    for dropout in (False, True):
        generator = resnet(dropout=dropout)
        assert torch.equal(generator(image), generator(image)) is not dropout
        set_inference_mode(generator, batch=1)
        assert torch.equal(generator(image), generator(image))


def test_after_batch_1_it_meets_the_statistics_of_the_picture() -> None:
    generator = resnet()
    for _ in range(3):
        generator(torch.randn(4, 3, 16, 16) * 3 + 1)
    twin = resnet(norm=Norm.INSTANCE)
    twin.load_state_dict(generator.state_dict(), strict=False)  # biases stay 0, which normalization would cancel
    image = torch.rand(1, 3, 16, 16)
    set_inference_mode(generator, batch=1)
    assert torch.allclose(generator(image), twin.eval()(image), atol=1e-5)
    set_inference_mode(generator, batch=4)
    assert not torch.allclose(generator(image), twin(image), atol=1e-2)


@pytest.mark.parametrize("levels", [3, 8])
def test_other_depths_are_refused(levels: int) -> None:
    with pytest.raises(ValidationError, match="2 levels, not"):
        GeneratorConfig(architecture=Architecture.RESNET, levels=levels)


@pytest.mark.parametrize(("size", "says"), [(Size(30, 32), "multiple of 4"), (Size(4, 8), "use 8 or more")])
def test_sizes_it_cannot_take_are_refused(size: Size, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        resnet().check_size(size)
