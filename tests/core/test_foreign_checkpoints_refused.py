"""What cannot be imported is refused in one line that says why, and nothing in a file is run."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from core.checkpoint import load_generator, read_info
from core.errors import CheckpointError
from tests.core.foreign_networks import NestedUNet, NumberedResNet, ReflectUNet


def unet() -> dict[str, Any]:
    return dict(NestedUNet(3, 3, 5, 2, norm="batch", bias=False).state_dict())


def resnet() -> dict[str, Any]:
    return dict(NumberedResNet(3, 3, 2, 2, norm="instance", bias=True).state_dict())


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as refused:
        load_generator(path)
    with pytest.raises(CheckpointError):
        read_info(path)
    line = str(refused.value)
    assert path.name in line
    assert "\n" not in line
    assert len(line) < 600
    return line


def changed(tensors: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """``tensors`` with some replaced, or (None) left out; dots in names are written as __."""
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return {name: value for name, value in (tensors | named).items() if value is not None}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({}, "empty state dict"),
        ({"state_dict": {}}, "empty state dict"),
        (torch.zeros(3), "holds a Tensor instead of named weights"),
        ({"epoch": 3, "loss": 0.1}, "holds epoch, loss, and no weights"),
        ({"model.1.weight": torch.zeros(1), "epoch": 3}, "epoch is not an ordinary tensor"),
        ({0: torch.zeros(1)}, "no named weights"),
        ({"a": torch.zeros(10**6, 1).expand(10**6, 10**6)}, "a is not an ordinary tensor"),
        ({"a": torch.zeros(4, dtype=torch.complex64)}, "a is not an ordinary tensor"),
        ({"a": torch.eye(4).to_sparse()}, "a is not an ordinary tensor"),
        ({"model.model.0.weight": torch.zeros(1), "model.model.1.model.1.weight": torch.zeros(1)}, "no weight of a"),
        (changed(unet(), model__model__3__weight=None), "model.model.3.weight is missing"),
        (changed(unet(), model__model__1__model__2__running_var=None), "running_var is missing"),
        (changed(unet(), model__model__1__model__1__weight=torch.zeros(4, 2, 3, 3)), "instead of [4, 2, 4, 4]"),
        (changed(unet(), model__attention=torch.zeros(1)), "also holds model.attention"),
        (changed(unet(), model__model__0__weight=torch.zeros(2, 6, 4, 4)), "in_channels = 6"),
        (changed(unet(), model__model__3__bias=torch.full((3,), float("nan"))), "not finite numbers"),
        ({name.replace("model.1", "model.2"): tensor for name, tensor in resnet().items()}, "is no generator"),
        ({name.replace(".10.", ".16."): tensor for name, tensor in resnet().items()}, "not layers 10 and following"),
        (changed(resnet(), model__10__conv_block__5__weight=None), "two convolutions at the usual places"),
        (changed(resnet(), model__15__weight=torch.zeros(4, 2, 4, 4)), "instead of [4, 2, 3, 3]"),
    ],
)
def test_contents(tmp_path: Path, content: Any, says: str) -> None:
    torch.save(content, tmp_path / "net.pth")
    assert says in refusal(tmp_path / "net.pth")


def test_an_unknown_network_is_told_what_was_expected_and_found(tmp_path: Path) -> None:
    tensors = {f"layer{i}.weight": torch.zeros(1) for i in range(9)}
    torch.save(tensors, tmp_path / "net.pth")
    line = refusal(tmp_path / "net.pth")
    for expected in ("model.model.0.weight", "model.10.conv_block", "initial_down.0.weight", "final_up.0.weight"):
        assert expected in line
    assert "found layer0.weight, layer1.weight, layer2.weight, layer3.weight and 5 more" in line


def test_names_in_a_file_cannot_write_on_the_terminal(tmp_path: Path) -> None:
    torch.save({"\x1b[2J\n" + "x" * 10_000: torch.zeros(1)}, tmp_path / "net.pth")
    assert "\x1b" not in refusal(tmp_path / "net.pth")


def nested_discriminator() -> nn.Module:
    """Of pytorch-CycleGAN-and-pix2pix (``NLayerDiscriminator``)."""
    network = nn.Module()
    network.add_module(
        "model",
        nn.Sequential(
            nn.Conv2d(6, 8, 4, 2, 1), nn.LeakyReLU(), nn.Conv2d(8, 16, 4, 2, 1, bias=False), nn.BatchNorm2d(16),
            nn.LeakyReLU(), nn.Conv2d(16, 1, 4, 1, 1),
        ),
    )  # fmt: skip
    return network


def pixel_discriminator() -> nn.Module:
    network = nn.Module()
    network.add_module("net", nn.Sequential(nn.Conv2d(6, 8, 1), nn.LeakyReLU(), nn.Conv2d(8, 1, 1)))
    return network


def reflect_discriminator() -> nn.Module:
    """Beside the reflect-padded generator: ``initial`` and ``model``."""
    network = nn.Module()
    network.add_module("initial", nn.Sequential(nn.Conv2d(6, 8, 4, 2, 1, padding_mode="reflect"), nn.LeakyReLU()))
    block = nn.Module()
    block.add_module("conv", nn.Sequential(nn.Conv2d(8, 16, 4, 2), nn.BatchNorm2d(16)))
    network.add_module("model", nn.Sequential(block, nn.Conv2d(16, 1, 4, 1, 1)))
    return network


@pytest.mark.parametrize("make", [nested_discriminator, pixel_discriminator, reflect_discriminator])
def test_a_discriminator_given_by_mistake(tmp_path: Path, make: Callable[[], nn.Module]) -> None:
    torch.save({"state_dict": make().state_dict()}, tmp_path / "latest_net_D.pth")
    assert "is a discriminator" in refusal(tmp_path / "latest_net_D.pth")


class _Attack:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_not_run(tmp_path: Path, zipped: bool) -> None:
    attack = {"state_dict": _Attack(tmp_path / "done")}
    torch.save(attack, tmp_path / "net.pth", _use_new_zipfile_serialization=zipped)
    line = refusal(tmp_path / "net.pth")
    assert "could run code" in line
    assert "mkdir" in line
    assert not (tmp_path / "done").exists()


def test_a_bare_pickle_is_not_run_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "net.safetensors").write_bytes(pickle.dumps(_Attack(tmp_path / "done"), protocol=2))
    refusal(tmp_path / "net.safetensors")
    assert not (tmp_path / "done").exists()


def test_a_whole_network_instead_of_its_state_dict(tmp_path: Path) -> None:
    torch.save(ReflectUNet(3, 3, 1, levels=3), tmp_path / "net.pth")
    line = refusal(tmp_path / "net.pth")
    assert "ReflectUNet" in line
    assert "torch.save(generator.state_dict(), ...)" in line


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_torchscript_program(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(nn.Conv2d(1, 1, 1), torch.zeros(1, 1, 2, 2)), tmp_path / "net.pt")
    assert "is a TorchScript program" in refusal(tmp_path / "net.pt")


def test_damaged_files(tmp_path: Path) -> None:
    whole = tmp_path / "whole.pth"
    torch.save(unet(), whole)
    data = whole.read_bytes()
    legacy = tmp_path / "legacy.pth"
    torch.save(unet(), legacy, _use_new_zipfile_serialization=False)
    older = legacy.read_bytes()
    damaged = {
        "half.pth": data[: len(data) // 2],
        "end.pth": data[:-30],
        "start.pth": data[:100],
        "half_legacy.pth": older[: len(older) // 2],
        "start_legacy.pth": older[:40],
        "empty.pth": b"",
        "text.pth": b"<html>404: not found</html>",
        "binary.pt": bytes(range(256)) * 50,
        "renamed.safetensors": data[: len(data) // 2],
    }
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        assert "damaged" in refusal(tmp_path / name)


def test_weights_of_another_format_with_the_suffix(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(1)}, tmp_path / "net.pth")
    assert "is not a checkpoint" in refusal(tmp_path / "net.pth")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert "there is no checkpoint" in refusal(tmp_path / "missing.pth")
    (tmp_path / "folder.pth").mkdir()
    assert "there is no checkpoint" in refusal(tmp_path / "folder.pth")
