import copy

import numpy as np
import pytest
import torch
from torch import nn

from calibration.batch_statistics import FEWEST, recalibrate
from core.configuration import GeneratorConfig
from core.errors import InvalidInputError
from core.facades import facade_pair
from core.frames import Frame, to_network
from core.networks import Generator, UNetGenerator
from core.networks.inference_mode import set_inference_mode

SIDE = 64


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    return UNetGenerator(GeneratorConfig(width=4, levels=4)).eval()


@pytest.fixture
def frames() -> list[Frame]:
    return [facade_pair(i, size=SIDE).labels for i in range(8)]


def batch_norms(generator: Generator) -> list[nn.BatchNorm2d]:
    return [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]


def test_evaluation_then_equals_training_mode_on_the_same_batch(generator: Generator, frames: list[Frame]) -> None:
    """What running statistics stand for: those of all the frames together."""
    images = to_network(torch.from_numpy(np.stack(frames)))
    papers = copy.deepcopy(generator)
    for module in batch_norms(papers):
        module.train()
    with torch.no_grad():
        expected = papers(images)
        before = generator(images)
        after = recalibrate(generator, frames)(images)
    # Running variances are those of a sample (n - 1), batch statistics are not: the deepest layers have n = 8 x 4.
    assert (after - expected).abs().max() < 0.02
    assert (before - expected).abs().max() > 0.1


def test_a_generator_that_was_just_used_with_each_pictures_own_statistics_is_no_exception(
    generator: Generator, frames: list[Frame]
) -> None:
    expected = batch_norms(recalibrate(generator, frames))
    set_inference_mode(generator, batch=1)
    measured = batch_norms(recalibrate(generator, frames))
    assert all(torch.equal(one.running_mean, other.running_mean) for one, other in zip(measured, expected, strict=True))
    assert all(torch.equal(one.running_var, other.running_var) for one, other in zip(measured, expected, strict=True))


def test_the_generator_itself_is_left_as_it_was(generator: Generator, frames: list[Frame]) -> None:
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    recalibrated = recalibrate(generator, frames)
    assert all(torch.equal(tensor, before[name]) for name, tensor in generator.state_dict().items())
    changed = {name for name, tensor in recalibrated.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all("running_" in name or "num_batches" in name for name in changed)
    assert not any(module.training for module in recalibrated.modules())


def test_statistics_are_those_of_all_frames(generator: Generator, frames: list[Frame]) -> None:
    once = batch_norms(recalibrate(generator, frames))[0].running_mean
    reordered = batch_norms(recalibrate(generator, frames[::-1]))[0].running_mean
    half = batch_norms(recalibrate(generator, frames[:4]))[0].running_mean
    assert torch.allclose(once, reordered, atol=1e-6)
    assert not torch.allclose(once, half, atol=1e-4)


def test_too_few_frames_are_refused(generator: Generator, frames: list[Frame]) -> None:
    with pytest.raises(InvalidInputError, match="too few to measure statistics on"):
        recalibrate(generator, frames[: FEWEST - 1])


def test_of_more_frames_than_memory_allows_those_are_used_that_are_spread_over_all(
    generator: Generator, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = generator.config.width * SIDE * SIDE // 4
    monkeypatch.setattr("calibration.batch_statistics.BATCH_VALUES", 5 * values)
    limited = batch_norms(recalibrate(generator, frames))
    monkeypatch.undo()
    expected = batch_norms(recalibrate(generator, [frames[place] for place in (0, 2, 4, 5, 7)]))
    assert all(torch.equal(one.running_mean, other.running_mean) for one, other in zip(limited, expected, strict=True))
