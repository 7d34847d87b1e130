"""The yardstick does the work that ours does: same networks, same step, same losses, in other code."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.reference_training import AlignedDataset, ReferenceModel
from benchmarks.training import check_same_work
from core.frames import Size, frames_to_array, write_image
from train.defaults import resolve
from train.feeding import DeviceBatch
from train.history import MEASURES
from train.settings import TrainingOptions
from train.trainer import Trainer


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def both(*, lr: float = 2e-4) -> tuple[ReferenceModel, Trainer]:
    """Reference and trainer of width 4 for 32 x 32 pictures, with the same weights and no dropout."""
    torch.manual_seed(0)
    options = TrainingOptions(size=Size(32, 32), width=4, steps=10**9, threads=1, dropout=False, lr=lr)
    trainer = Trainer(resolve(options, device="cpu", pairs=4, cores=1))
    reference = ReferenceModel(width=4, levels=5, device=torch.device("cpu"), dropout=False)
    pairs = ((trainer.generator, reference.generator), (trainer.discriminator, reference.discriminator))
    with torch.no_grad():
        for ours, theirs in pairs:  # both list the encoder from the outside in, the decoder from the inside out
            for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
                other.copy_(own)
        up = [module for module in reference.generator.modules() if isinstance(module, torch.nn.ConvTranspose2d)]
        for layer in up[1:]:  # theirs have what the skip connection brings first, ours what comes from below
            layer.weight.copy_(layer.weight.roll(len(layer.weight) // 2, 0))
    return reference, trainer


def some_frames() -> tuple[DeviceBatch, dict[str, torch.Tensor]]:
    frames = np.random.default_rng(1).integers(0, 256, (2, 2, 32, 32, 3), dtype=np.uint8)
    images = {name: torch.from_numpy(frames_to_array(part)) for name, part in zip("AB", frames, strict=True)}
    return DeviceBatch(*torch.from_numpy(frames)), images


def test_networks_have_the_published_sizes() -> None:
    """unet_256 is printed as 54.414 M and the basic discriminator as 2.769 M; the two biases added make 576 more."""
    work = check_same_work(64, 256)
    assert round((work["parameters"] - 576) / 1e6, 3) == 54.414
    assert round(work["discriminator_parameters"] / 1e6, 3) == 2.769


def test_losses_of_both_loops_agree_step_by_step() -> None:
    reference, trainer = both()
    batch, images = some_frames()
    for tolerance in (1e-5, 2e-3):  # the second after an update of Adam, which rounding can turn where gradients vanish
        reference.set_input(images)
        reference.optimize_parameters()
        measured = dict(zip(MEASURES, trainer.step(batch).tolist(), strict=True))
        theirs = reference.current_losses()
        assert measured["discriminator_real"] == pytest.approx(theirs["D_real"], rel=tolerance)
        assert measured["discriminator_fake"] == pytest.approx(theirs["D_fake"], rel=tolerance)
        assert measured["generator_gan"] == pytest.approx(theirs["G_GAN"], rel=tolerance)
        assert 100 * measured["generator_distance"] == pytest.approx(theirs["G_L1"], rel=tolerance)


def test_a_step_is_the_same_number_of_operations() -> None:
    reference, trainer = both()
    batch, images = some_frames()
    reference.set_input(images)
    with FlopCounterMode(display=False) as theirs:
        reference.optimize_parameters()
    with FlopCounterMode(display=False) as ours:
        trainer.step(batch)
    assert theirs.get_total_flops() > 0
    assert ours.get_total_flops() == theirs.get_total_flops()


def test_data_keeps_both_halves_in_step(tmp_path: Path) -> None:
    """B is A with its colours inverted: wherever it is cut and however it is mirrored, they cancel out."""
    a = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    write_image(tmp_path / "0.png", np.ascontiguousarray(np.hstack([a, 255 - a])))
    data = AlignedDataset([tmp_path / "0.png"], 36, 32)
    seen = [data[0] for _ in range(8)]
    for item in seen:
        assert item["A"].shape == item["B"].shape == (3, 32, 32)
        assert float((item["A"] + item["B"]).abs().max()) <= 2 / 127.5
        assert float(item["A"].std()) > 0.1
    assert any(not torch.equal(item["A"], seen[0]["A"]) for item in seen)
