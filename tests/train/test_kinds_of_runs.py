"""Other tasks, other starting points, other places for the data: whole small runs."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.checkpoint import load_generator
from core.configuration import Architecture, Padding, Task
from core.errors import InvalidInputError
from train.importing import import_generator
from train.preparation import Job
from train.training import run_job

from ..core import foreign_networks
from .test_resume import assert_same_end

MakeJob = Callable[..., Job]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def trained(job: Job) -> tuple[dict[str, Tensor], Any]:
    run_job(job, stream=io.StringIO())
    generator, info = load_generator(job.folder / "generator.safetensors")
    return dict(generator.state_dict()), info


def test_images_that_lie_on_the_device_end_in_the_same_weights(images: Path, make_job: MakeJob, tmp_path: Path) -> None:
    for cache in ("host", "device"):
        run_job(make_job(images, tmp_path / cache, cache=cache, batch=3), stream=io.StringIO())
    assert_same_end(tmp_path / "host", tmp_path / "device")


def test_colorization_learns_two_channels_from_one(images: Path, make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(images / "train", tmp_path / "run", task="colorize")
    assert np.array_equal(job.held_out[0].input, job.held_out[0].target)
    weights, info = trained(job)
    assert (info.generator.task, info.generator.in_channels, info.generator.out_channels) == (Task.COLORIZE, 1, 2)
    assert weights["encoder.0.0.weight"].shape[1] == 1


@pytest.mark.parametrize(("channels", "shape"), [((1, 3), 1), ((3, 1), 3)])
def test_brightness_in_or_out(
    images: Path, make_job: MakeJob, tmp_path: Path, channels: tuple[int, int], shape: int
) -> None:
    weights, info = trained(make_job(images, tmp_path / "run", in_channels=channels[0], out_channels=channels[1]))
    assert (info.generator.in_channels, info.generator.out_channels) == channels
    assert weights["encoder.0.0.weight"].shape[1] == shape


def test_a_resnet_is_padded_as_its_authors_do(images: Path, make_job: MakeJob, tmp_path: Path) -> None:
    _, info = trained(make_job(images, tmp_path / "run", architecture="resnet", blocks=2))
    config = info.generator
    assert (config.architecture, config.levels, config.blocks) == (Architecture.RESNET, 2, 2)
    assert config.padding is Padding.REFLECT


def test_the_average_is_what_is_exported(images: Path, make_job: MakeJob, tmp_path: Path) -> None:
    weights, _ = trained(make_job(images, tmp_path / "run", ema=0.9))
    state = torch.load(tmp_path / "run" / "training_state.pt", weights_only=True)["trainer"]
    assert all(torch.equal(tensor, state["average"][name]) for name, tensor in weights.items())
    assert not torch.equal(weights["encoder.0.0.weight"], state["generator"]["encoder.0.0.weight"])


def test_a_run_can_start_from_another(images: Path, make_job: MakeJob, tmp_path: Path) -> None:
    before, _ = trained(make_job(images, tmp_path / "first", width=6, decoder="resize"))
    job = make_job(images, tmp_path / "second", init=str(tmp_path / "first"), lr=1e-9, width=6)
    after, info = trained(job)
    assert info.generator.decoder == "resize"
    weights = [name for name in before if name.endswith("weight")]
    assert all(torch.allclose(before[name], after[name], atol=1e-7) for name in weights)


def test_options_that_contradict_the_start_are_refused(images: Path, make_job: MakeJob, tmp_path: Path) -> None:
    trained(make_job(images, tmp_path / "first", width=6))
    job = make_job(images, tmp_path / "second", init=str(tmp_path / "first"), width=8)
    with pytest.raises(InvalidInputError, match=r"--width 8 is not what .*first.* has \(6\): leave it out"):
        run_job(job, stream=io.StringIO())
    assert not (tmp_path / "second").exists()


def test_another_projects_generator_becomes_a_run(images: Path, make_job: MakeJob, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = foreign_networks.NestedUNet(3, 3, 5, 4, norm="batch", bias=False)
    file = tmp_path / "checkpoints" / "facades_pix2pix" / "latest_net_G.pth"
    file.parent.mkdir(parents=True)
    torch.save(network.state_dict(), file)
    told = io.StringIO()
    summary = import_generator(file, out=None, name="theirs", stream=told)
    assert told.getvalue().splitlines()[-1] == "next: p2p-export"
    assert summary["generator"]["width"] == 4
    generator, info = load_generator(tmp_path / "runs" / "theirs" / "generator.safetensors")
    assert (info.name, info.batch) == ("theirs", 1)
    assert (tmp_path / "runs" / "latest").resolve() == (tmp_path / "runs" / "theirs").resolve()
    assert generator.config.levels == 5
    _, trained_on = trained(make_job(images, tmp_path / "fine", init=str(file), width=4))
    assert trained_on.step == 4
