"""Generator and discriminator against the paper's own figures (Isola et al. 2017, section 6.1)."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from core.complexity import generator_gflop
from core.configuration import (
    Architecture,
    Decoder,
    DiscriminatorConfig,
    GeneratorConfig,
    Norm,
    Padding,
    SkipActivation,
)
from core.errors import InvalidInputError
from core.frames import Size
from core.networks import PatchDiscriminator, UNetGenerator, build_generator
from export.sub_pixel import with_sub_pixel_convolutions

PAPER_ENCODER = [64, 128, 256, 512, 512, 512, 512, 512]
PAPER_DECODER = [512, 512, 512, 512, 256, 128, 64, 3]
PAPER_DECODER_INPUTS = [512, 1024, 1024, 1024, 1024, 512, 256, 128]


@pytest.fixture(scope="module")
def paper_generator() -> UNetGenerator:
    return UNetGenerator()


def test_layers_have_the_papers_channels_and_kernels(paper_generator: UNetGenerator) -> None:
    down = [module for module in paper_generator.modules() if isinstance(module, nn.Conv2d)]
    up = [module for module in paper_generator.modules() if isinstance(module, nn.ConvTranspose2d)]
    assert [layer.out_channels for layer in down] == PAPER_ENCODER
    assert [layer.out_channels for layer in up] == PAPER_DECODER
    assert [layer.in_channels for layer in up] == PAPER_DECODER_INPUTS
    assert all(layer.kernel_size == (4, 4) and layer.stride == (2, 2) for layer in [*down, *up])


def test_no_normalization_on_first_layer_and_bottleneck(paper_generator: UNetGenerator) -> None:
    normalized = [any(isinstance(m, nn.BatchNorm2d) for m in block.modules()) for block in paper_generator.encoder]
    assert normalized == [False, True, True, True, True, True, True, False]


def test_dropout_in_the_three_deepest_decoder_layers_only(paper_generator: UNetGenerator) -> None:
    dropped = [any(isinstance(m, nn.Dropout) for m in block.modules()) for block in paper_generator.decoder]
    # CD512-CD512-CD512-C512-...: the decoder's first three layers
    assert dropped == [True, True, True, False, False, False, False, False]


def test_the_papers_size_and_cost(paper_generator: UNetGenerator) -> None:
    parameters = sum(parameter.numel() for parameter in paper_generator.parameters())
    assert parameters / 1e6 == pytest.approx(54.4, abs=0.05)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        output = paper_generator(torch.zeros(1, 3, 256, 256))
    assert output.shape == (1, 3, 256, 256)
    assert counter.get_total_flops() / 1e9 == pytest.approx(12.1, abs=0.05)


@pytest.mark.parametrize(
    "config",
    [
        GeneratorConfig(width=4, levels=8),
        GeneratorConfig(width=4, levels=4, decoder=Decoder.RESIZE),
        GeneratorConfig(width=3, levels=3, in_channels=1, out_channels=2),
        GeneratorConfig(architecture=Architecture.RESNET, levels=2, width=4, blocks=3, out_channels=2),
        GeneratorConfig(architecture=Architecture.RESNET, levels=2, width=3, blocks=1, decoder=Decoder.RESIZE),
    ],
)
def test_cost_from_the_configuration_is_what_pytorch_counts(config: GeneratorConfig) -> None:
    exported = with_sub_pixel_convolutions(build_generator(config).eval())
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        exported(torch.zeros(1, config.in_channels, 256, 512))
    assert generator_gflop(config, Size(256, 512)) == pytest.approx(counter.get_total_flops() / 1e9)


def test_batch_norm_layers_of_one_image_stay_alive_at_the_bottleneck() -> None:
    """The paper's erratum: normalizing the 1 x 1 bottleneck at batch size 1 would give zeros whatever goes in."""
    generator = UNetGenerator(GeneratorConfig(width=4)).train()
    deepest = {}
    generator.encoder[-1].register_forward_hook(lambda _m, _i, output: deepest.update(output=output))
    generator(torch.randn(1, 3, 256, 256))
    assert deepest["output"].shape == (1, 32, 1, 1)
    assert deepest["output"].abs().max() > 0


@pytest.mark.parametrize("norm", list(Norm))
@pytest.mark.parametrize("padding", list(Padding))
@pytest.mark.parametrize("decoder", list(Decoder))
@pytest.mark.parametrize("skips", list(SkipActivation))
def test_every_variant_keeps_the_size_and_the_range(
    norm: Norm, padding: Padding, decoder: Decoder, skips: SkipActivation
) -> None:
    config = GeneratorConfig(
        width=4, levels=4, norm=norm, padding=padding, decoder=decoder, out_channels=2, skip_activation=skips
    )
    output = UNetGenerator(config)(torch.randn(2, 3, 32, 48))
    assert output.shape == (2, 2, 32, 48)
    assert output.abs().max() <= 1


@pytest.mark.parametrize("channels", [(1, 1), (1, 2), (3, 3), (4, 1), (4, 4)])
def test_one_to_four_channels_in_generator_and_discriminator(channels: tuple[int, int]) -> None:
    inputs, outputs = channels
    generator = UNetGenerator(GeneratorConfig(width=3, levels=3, in_channels=inputs, out_channels=outputs))
    source = torch.randn(1, inputs, 40, 48)
    translation = generator(source)
    assert translation.shape == (1, outputs, 40, 48)
    discriminator = PatchDiscriminator(DiscriminatorConfig(width=2, receptive_field=16, channels=inputs + outputs))
    assert discriminator(source, translation).shape[:2] == (1, 1)


def test_reflected_and_zero_padding_are_where_the_configuration_says() -> None:
    modes = [
        layer.padding_mode
        for layer in UNetGenerator(GeneratorConfig(width=1, levels=4, padding=Padding.REFLECT)).encoder.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    assert modes == ["reflect", "reflect", "reflect", "zeros"]  # the bottleneck's has nothing to reflect


def test_leaky_skip_connections_let_negative_features_through() -> None:
    """With weights that only let the outermost skip connection through, the sign of its features decides."""
    pictures = {}
    for skips in SkipActivation:
        config = GeneratorConfig(
            width=1, levels=2, norm=Norm.NONE, skip_activation=skips, in_channels=1, out_channels=1
        )
        generator = UNetGenerator(config)
        for parameter in generator.parameters():
            nn.init.zeros_(parameter)
        nn.init.constant_(generator.encoder[0][0].bias, -1.0)  # the features of the first layer, whatever goes in
        nn.init.ones_(generator.decoder[1][0].weight)
        pictures[skips] = generator(torch.zeros(1, 1, 8, 8))[0, 0, 4, 4].item()
    assert pictures[SkipActivation.RELU] == 0
    assert pictures[SkipActivation.LEAKY_RELU] == pytest.approx(float(torch.tensor(-0.2 * 4).tanh()))


def test_initial_weights_follow_the_paper() -> None:
    weights = UNetGenerator(GeneratorConfig(width=16)).decoder[0][0].weight
    assert weights.mean().item() == pytest.approx(0.0, abs=1e-3)
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)


@pytest.mark.parametrize("size", [Size(100, 256), Size(256, 128)])
def test_sizes_that_do_not_halve_evenly_are_refused_with_one_that_does(size: Size) -> None:
    with pytest.raises(InvalidInputError, match=r"not a multiple of 256.*use 256x256"):
        UNetGenerator(GeneratorConfig(width=1)).check_size(size)


@pytest.mark.parametrize(("field", "side"), [(1, 256), (16, 126), (70, 30), (286, 6)])
def test_discriminators_see_patches_of_the_papers_size(field: int, side: int) -> None:
    """The receptive field, measured: which input pixels have a gradient from one score in the middle."""
    config = DiscriminatorConfig(width=4, receptive_field=field, norm=Norm.NONE)
    discriminator = PatchDiscriminator(config)
    for parameter in discriminator.parameters():
        nn.init.constant_(parameter, 0.01)  # no gradient may vanish by chance
    assert discriminator(torch.zeros(1, 3, 256, 256), torch.zeros(1, 3, 256, 256)).shape == (1, 1, side, side)
    image = torch.zeros(1, 3, 640, 640, requires_grad=True)
    scores = discriminator(image, torch.zeros(1, 3, 640, 640))
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    assert image.grad is not None
    rows = image.grad[0].abs().sum(dim=(0, 2)).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == field


def test_unknown_receptive_field_lists_the_known_ones() -> None:
    with pytest.raises(InvalidInputError, match="choose from 1, 16, 34, 70, 142, 286"):
        PatchDiscriminator(DiscriminatorConfig(receptive_field=71))
