from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from core.checkpoint import load_generator, read_info, save_generator
from core.configuration import Architecture, CheckpointInfo, DataConfig, Decoder, GeneratorConfig, Padding
from core.errors import CheckpointError
from core.networks import UNetGenerator, build_generator

CONFIG = GeneratorConfig(width=2, levels=3, decoder=Decoder.RESIZE, out_channels=2)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, UNetGenerator]:
    generator = UNetGenerator(CONFIG)
    generator(torch.randn(4, 3, 16, 16))  # running statistics move away from their initial values
    path = tmp_path / "generator.safetensors"
    save_generator(path, generator, CheckpointInfo(generator=CONFIG, data=DataConfig(), step=7, name="run"))
    return path, generator


def test_a_checkpoint_needs_nothing_but_itself(saved: tuple[Path, UNetGenerator]) -> None:
    path, generator = saved
    loaded, info = load_generator(path)
    image = torch.randn(1, 3, 16, 16)
    assert torch.equal(loaded(image), generator.eval()(image))
    assert info == read_info(path)
    assert (info.generator, info.step, info.name) == (CONFIG, 7, "run")


def test_residual_generators_are_kept_alike(tmp_path: Path) -> None:
    config = GeneratorConfig(architecture=Architecture.RESNET, levels=2, width=2, blocks=3, padding=Padding.REFLECT)
    generator = build_generator(config)
    path = tmp_path / "generator.safetensors"
    info = CheckpointInfo(generator=config, data=DataConfig(), step=7, name="run")
    save_generator(path, generator, info)
    loaded, again = load_generator(path)
    image = torch.randn(1, 3, 16, 16)
    assert again == info
    assert torch.equal(loaded(image), generator.eval()(image))
    fewer = info.model_copy(update={"generator": config.model_copy(update={"blocks": 2})})
    save_generator(path, generator, fewer)
    with pytest.raises(CheckpointError, match="not those of a generator of width 2, 2 levels"):
        load_generator(path)


@pytest.mark.parametrize("name", ["../victim", "", "latest", "..", "a/b", "x" * 300])
def test_a_run_cannot_be_named_like_another_place(name: str) -> None:
    with pytest.raises(ValidationError):
        CheckpointInfo(generator=CONFIG, data=DataConfig(), step=7, name=name)


def test_weights_that_are_no_numbers_or_of_another_network_are_refused(tmp_path: Path) -> None:
    generator = UNetGenerator(CONFIG)
    info = CheckpointInfo(generator=CONFIG, data=DataConfig(), step=7, name="run")
    wider = info.model_copy(update={"generator": GeneratorConfig(width=512, levels=12)})
    save_generator(tmp_path / "wider.safetensors", generator, wider)
    with pytest.raises(CheckpointError, match="not those of a generator of width 512, 12 levels"):
        load_generator(tmp_path / "wider.safetensors")
    with torch.no_grad():
        generator.decoder[0][1].weight[0] = float("nan")
    save_generator(tmp_path / "nan.safetensors", generator, info)
    with pytest.raises(CheckpointError, match="not finite"):
        load_generator(tmp_path / "nan.safetensors")


def test_truncated_foreign_and_missing_files_are_refused(saved: tuple[Path, UNetGenerator], tmp_path: Path) -> None:
    path, _ = saved
    truncated = tmp_path / "truncated.safetensors"
    truncated.write_bytes(path.read_bytes()[:-100])
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(1)}, foreign)
    text = tmp_path / "text.safetensors"
    text.write_text("not weights")
    empty = tmp_path / "empty.safetensors"
    empty.touch()
    for bad in (truncated, foreign, text, empty, tmp_path / "missing.safetensors"):
        with pytest.raises(CheckpointError, match=bad.name):
            load_generator(bad)
