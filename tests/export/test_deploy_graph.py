import copy

import numpy as np
import pytest
import torch

from core.configuration import Norm
from core.frames import Frame, to_frames, to_network
from core.manifest import Fidelity, Normalization
from core.networks import UNetGenerator
from core.precision import Precision
from export.deploy_graph import DeployGraph, choose_normalization
from export.fidelity import GATES, compare, reference_translations
from tests.export.conftest import SIDE


def translate(graph: torch.nn.Module, frame: Frame) -> np.ndarray:
    with torch.inference_mode():
        return graph(torch.from_numpy(frame[None])).numpy()[0]


def test_instance_mode_is_batch_norm_in_training_mode_on_one_picture(
    generator: UNetGenerator, frames: list[Frame]
) -> None:
    """What the paper does at test time, less dropout."""
    papers = copy.deepcopy(generator)
    for module in papers.modules():
        module.train(isinstance(module, torch.nn.BatchNorm2d))
    with torch.no_grad():
        expected = to_frames(papers(to_network(torch.from_numpy(frames[0][None])))).numpy()[0]
    ours = translate(DeployGraph(generator, Normalization.INSTANCE, Precision.FP32), frames[0])
    running = translate(DeployGraph(generator, Normalization.RUNNING, Precision.FP32), frames[0])
    assert np.abs(ours.astype(int) - expected).max() <= 1
    assert np.abs(running.astype(int) - expected).max() > 20, "the two must differ for this to mean anything"


def test_the_generator_itself_is_left_as_it_was(generator: UNetGenerator) -> None:
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    DeployGraph(generator, Normalization.INSTANCE, Precision.FP16)
    assert all(torch.equal(tensor, before[name]) for name, tensor in generator.state_dict().items())


def test_half_precision_is_close_but_not_the_same(generator: UNetGenerator, frames: list[Frame]) -> None:
    full = translate(DeployGraph(generator, Normalization.RUNNING, Precision.FP32), frames[0]).astype(int)
    half = translate(DeployGraph(generator, Normalization.RUNNING, Precision.FP16), frames[0]).astype(int)
    assert 0 < np.abs(full - half).max() <= 8


def test_references_follow_the_mode_the_generator_was_trained_for(
    generator: UNetGenerator, frames: list[Frame]
) -> None:
    for batch, normalization in ((1, Normalization.INSTANCE), (4, Normalization.RUNNING)):
        (reference,) = reference_translations(copy.deepcopy(generator), frames[:1], batch=batch)
        graph = DeployGraph(generator, normalization, Precision.FP32)
        assert np.abs(translate(graph, frames[0]).astype(int) - reference).max() <= 1


@pytest.mark.parametrize(
    ("norm", "instance", "expected"),
    [
        (Norm.BATCH, True, Normalization.INSTANCE),
        (Norm.BATCH, False, Normalization.RUNNING),
        (Norm.INSTANCE, True, Normalization.INSTANCE),
        (Norm.NONE, False, Normalization.NONE),
    ],
)
def test_normalization_follows_the_training(norm: Norm, instance: bool, expected: Normalization) -> None:
    assert choose_normalization(norm, instance_statistics=instance) is expected


@pytest.mark.parametrize(
    ("precision", "worst_that_passes", "misses"),
    [
        (Precision.FP32, {"max_abs": 1}, {"max_abs": 2}),
        (Precision.FP16, {"psnr_db": 45.0}, {"psnr_db": 44.9}),
        (Precision.INT8, {"psnr_db": 32.0, "ssim": 0.95}, {"ssim": 0.949}),
    ],
)
def test_gates(precision: Precision, worst_that_passes: dict[str, float], misses: dict[str, float]) -> None:
    good = {"psnr_db": 80.0, "ssim": 1.0, "max_abs": 1, "mean_abs": 0.0, "frames": 1}
    assert GATES[precision].complaint(Fidelity.model_validate(good | worst_that_passes)) is None
    assert GATES[precision].complaint(Fidelity.model_validate(good | worst_that_passes | misses))


def test_a_wrong_picture_shows_in_every_figure(frames: list[Frame]) -> None:
    class Swapped:
        def translate(self, frame: Frame) -> Frame:
            return np.ascontiguousarray(frame[..., ::-1])  # the classic fault: RGB for BGR

    fidelity = compare(Swapped(), frames, frames)
    assert fidelity.frames == len(frames)
    assert fidelity.max_abs > 100
    assert fidelity.psnr_db < 15
    assert fidelity.ssim < 0.9
    assert frames[0].shape == (SIDE, SIDE, 3)
