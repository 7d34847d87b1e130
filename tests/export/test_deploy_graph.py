import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from core.configuration import GENERATOR_FILE, Norm
from core.export_record import Normalization
from core.fidelity import GATES, Fidelity
from core.frames import Frame, to_frames, to_network
from core.networks import UNetGenerator
from core.precision import Precision
from export.deploy_graph import DeployGraph
from export.fidelity import fidelity_of
from export.trained_generator import TrainedGenerator, possible_normalizations
from tests.export.conftest import SIDE, save_run


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
    generator: UNetGenerator, frames: list[Frame], tmp_path: Path
) -> None:
    for batch, normalization in ((1, Normalization.INSTANCE), (4, Normalization.RUNNING)):
        original = TrainedGenerator(save_run(tmp_path / str(batch), batch=batch) / GENERATOR_FILE)
        assert original.normalizations[0] is normalization
        (reference,) = original.translate(frames[:1])
        graph = DeployGraph(generator, normalization, Precision.FP32)
        assert np.abs(translate(graph, frames[0]).astype(int) - reference).max() <= 1


@pytest.mark.parametrize(
    ("norm", "instance", "expected"),
    [
        (Norm.BATCH, True, ["instance", "running", "recalibrated"]),
        (Norm.BATCH, False, ["running", "recalibrated", "instance"]),
        (Norm.INSTANCE, True, ["instance"]),
        (Norm.NONE, False, ["none"]),
    ],
)
def test_normalization_follows_the_training(norm: Norm, instance: bool, expected: list[str]) -> None:
    assert list(possible_normalizations(norm, instance_statistics=instance)) == expected


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
    swapped = [np.ascontiguousarray(frame[..., ::-1]) for frame in frames]  # the classic fault: RGB for BGR
    fidelity = fidelity_of(swapped, frames)
    assert fidelity.frames == len(frames)
    assert fidelity.max_abs > 100
    assert fidelity.psnr_db < 15
    assert fidelity.ssim < 0.9
    assert frames[0].shape == (SIDE, SIDE, 3)
