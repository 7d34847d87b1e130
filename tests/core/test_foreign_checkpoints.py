"""Other projects' generators translate here as they do there."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.checkpoint import load_generator, read_info, save_generator
from core.configuration import Architecture, Norm, Padding, SkipActivation
from core.foreign_checkpoints import import_checkpoint
from core.networks import Generator, UNetGenerator
from core.networks.inference_mode import set_inference_mode
from tests.core.foreign_networks import NestedUNet, NumberedResNet, ReflectUNet, randomize, used_as_trained


def picture(side: int, channels: int = 3) -> Tensor:
    return torch.rand(1, channels, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def translate(network: nn.Module, image: Tensor) -> Tensor:
    with torch.no_grad():
        result: Tensor = network(image.clone())
    assert result.std() > 0.05, "a flat picture would compare equal to anything"
    return result


def imported(path: Path) -> tuple[Generator, Any]:
    """The generator in the mode its checkpoint says it is to be used in."""
    generator, info = import_checkpoint(path)
    assert not generator.training
    set_inference_mode(generator, batch=info.batch)
    return generator, info


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize(
    ("norm", "bias", "expected"),
    [
        ("batch", False, Norm.BATCH),
        ("batch", True, Norm.BATCH),  # a fork's
        ("instance", True, Norm.INSTANCE),
        ("old instance", True, Norm.INSTANCE),
        ("affine instance", True, Norm.INSTANCE),
        ("affine instance", False, Norm.INSTANCE),
        ("none", False, Norm.NONE),
    ],
)
def test_nested_unets(tmp_path: Path, norm: str, bias: bool, expected: Norm, prefix: str) -> None:
    network = NestedUNet(3, 3, 5, 4, norm=norm, bias=bias, dropout=True)
    randomize(network)
    path = tmp_path / "latest_net_G.pth"
    torch.save({prefix + name: tensor for name, tensor in network.state_dict().items()}, path)
    generator, info = imported(path)
    assert (info.generator.norm, info.batch) == (expected, 1)
    image = picture(64)
    assert torch.allclose(translate(generator, image), translate(used_as_trained(network), image), atol=1e-5)


@pytest.mark.parametrize("bias", [False, True])
def test_running_statistics_come_along(tmp_path: Path, bias: bool) -> None:
    network = NestedUNet(1, 2, 6, 3, norm="batch", bias=bias)
    randomize(network)
    torch.save(network.state_dict(), tmp_path / "net.pth")
    generator, info = import_checkpoint(tmp_path / "net.pth")
    assert (info.generator.in_channels, info.generator.out_channels, info.generator.levels) == (1, 2, 6)
    image = picture(64, channels=1)
    assert torch.allclose(generator(image), translate(network.eval(), image), atol=1e-5)


@pytest.mark.parametrize("levels", [7, 8])
def test_the_usual_depths_and_their_sizes(tmp_path: Path, levels: int) -> None:
    network = NestedUNet(3, 3, levels, 4, norm="batch", bias=False, dropout=True)
    randomize(network)
    torch.save(network.state_dict(), tmp_path / "net.pth")
    generator, info = imported(tmp_path / "net.pth")
    assert (info.generator.width, info.generator.levels) == (4, levels)
    assert (info.data.height, info.data.width) == (2**levels, 2**levels)
    image = picture(2**levels)
    assert torch.allclose(translate(generator, image), translate(used_as_trained(network), image), atol=1e-5)


def test_unet_256_has_the_known_number_of_parameters(tmp_path: Path) -> None:
    with torch.device("meta"):
        network = NestedUNet(3, 3, 8, 64, norm="batch", bias=False)
        own = UNetGenerator()
    assert sum(parameter.numel() for parameter in network.parameters()) == 54_413_955  # what its training prints
    # This project's has biases where no batch norm follows: after the first convolution and in the bottleneck.
    assert sum(parameter.numel() for parameter in own.parameters()) == 54_413_955 + 64 + 512


@pytest.mark.parametrize("norm", ["batch", "instance", "old instance", "none"])
@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("padding", ["reflect", "zero"])
def test_residual_generators(tmp_path: Path, norm: str, dropout: bool, padding: str) -> None:
    bias = norm in ("instance", "old instance")
    network = NumberedResNet(3, 3, 2, 4, norm=norm, bias=bias, padding=padding, dropout=dropout)
    randomize(network)
    torch.save(network.state_dict(), tmp_path / "net.pth")
    generator, info = imported(tmp_path / "net.pth")
    config = info.generator
    assert (config.architecture, config.blocks, config.dropout) == (Architecture.RESNET, 2, dropout)
    assert (config.padding is Padding.REFLECT) == (padding == "reflect")
    image = picture(32)
    assert torch.allclose(translate(generator, image), translate(used_as_trained(network), image), atol=1e-5)


@pytest.mark.parametrize("blocks", [6, 9])
def test_the_usual_numbers_of_blocks(tmp_path: Path, blocks: int) -> None:
    network = NumberedResNet(1, 3, blocks, 4, norm="instance", bias=True)
    randomize(network)
    torch.save(network.state_dict(), tmp_path / "net.pth")
    generator, info = imported(tmp_path / "net.pth")
    assert (info.generator.blocks, info.generator.in_channels, info.data.height) == (blocks, 1, 256)
    image = picture(40, channels=1)
    assert torch.allclose(translate(generator, image), translate(used_as_trained(network), image), atol=1e-5)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("levels", [4, 8])
def test_reflect_padded_unets(tmp_path: Path, wrapped: bool, levels: int) -> None:
    network = ReflectUNet(3, 3, 4, levels=levels)
    randomize(network)
    content: dict[str, Any] = dict(network.state_dict())
    if wrapped:
        optimizer = torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
        network(torch.zeros(2, 3, 2**levels, 2**levels)).sum().backward()
        optimizer.step()
        content = {"state_dict": network.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(content, tmp_path / "gen.pth.tar")
    generator, info = imported(tmp_path / "gen.pth.tar")
    assert (info.name, info.batch, info.generator.levels) == ("gen", 16, levels)
    assert info.generator.skip_activation is SkipActivation.LEAKY_RELU
    image = picture(2**levels)
    assert torch.allclose(translate(generator, image), translate(network.eval(), image), atol=1e-5)


def test_half_precision_and_the_format_before_zip_archives(tmp_path: Path) -> None:
    network = NestedUNet(3, 3, 5, 4, norm="batch", bias=False).half()
    randomize(network)
    tensors = {name: tensor for name, tensor in network.state_dict().items() if "num_batches" not in name}
    torch.save(tensors, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    generator, _ = imported(tmp_path / "old.pth")
    image = picture(64)
    assert torch.allclose(translate(generator, image), translate(used_as_trained(network.float()), image), atol=1e-5)


def test_an_imported_generator_is_saved_and_loaded_like_any_other(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints" / "facades_pix2pix"
    folder.mkdir(parents=True)
    network = NumberedResNet(3, 3, 1, 2, norm="batch", bias=False)
    randomize(network)
    torch.save(network.state_dict(), folder / "latest_net_G.pth")
    generator, info = load_generator(folder / "latest_net_G.pth")
    assert info == read_info(folder / "latest_net_G.pth")
    assert (info.name, info.step) == ("facades_pix2pix", 0)
    assert info.origin == "latest_net_G.pth, ResNet of pytorch-CycleGAN-and-pix2pix"
    save_generator(tmp_path / "generator.safetensors", generator, info)
    again, same = load_generator(tmp_path / "generator.safetensors")
    assert same == info
    assert torch.equal(again(picture(16)), generator(picture(16)))


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("checkpoints/horse2zebra/200_net_G_A.pth", "horse2zebra_A"),
        ("elsewhere/latest_net_G.pth", "latest_net_G"),
        ("latest.pth", "imported"),
        ("epoch 3.v2.pth.tar", "epoch 3.v2"),
    ],
)
def test_names(tmp_path: Path, place: str, name: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(ReflectUNet(3, 3, 1, levels=3).state_dict(), path)
    assert import_checkpoint(path)[1].name == name
