"""What only a GPU can show. Where there is none, ``docs/not-run.md`` says that none of this was tried."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from core.frames import Size
from train.defaults import resolve
from train.devices import prepare
from train.feeding import DeviceBatch
from train.preparation import Job
from train.settings import TrainingConfig, TrainingOptions
from train.trainer import Trainer
from train.training import run_job
from train.world import World

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def config(**values: object) -> TrainingConfig:
    small: dict[str, object] = {"size": Size(64, 64), "width": 8, "steps": 40, "dropout": False, "precision": "fp32"}
    return resolve(TrainingOptions.model_validate(small | values), device="cuda", pairs=4, cores=1)


def trained(steps: int, **values: object) -> torch.Tensor:
    """The measures of each step, on the same batches."""
    settings = config(**values)
    prepare(settings, World())
    trainer = Trainer(settings)
    random = np.random.default_rng(5)
    measures = []
    for _ in range(steps):
        frames = torch.from_numpy(random.integers(0, 256, (2, 2, 64, 64, 3), dtype=np.uint8)).cuda()
        measures.append(trainer.step(DeviceBatch(frames[0], frames[1])))
    return torch.stack(measures).cpu()


@pytest.mark.parametrize("gan", ["bce", "lsgan", "hinge"])
def test_a_captured_step_learns_what_an_eager_one_does(gan: str) -> None:
    assert torch.allclose(trained(8, gan=gan, cuda_graph=True), trained(8, gan=gan), rtol=1e-2, atol=1e-3)


def test_a_captured_step_follows_measures_that_decay_and_the_rate() -> None:
    options = {"switch_labels": 0.3, "instance_noise": 0.2, "smooth_labels": True, "ema": 0.9}
    assert trained(8, cuda_graph=True, **options).isfinite().all()


@pytest.mark.parametrize("precision", ["bf16", "fp16", "tf32"])
def test_other_precisions_stay_near(precision: str) -> None:
    assert torch.allclose(trained(4, precision=precision), trained(4), rtol=0.1, atol=0.05)


@pytest.mark.parametrize("options", [{}, {"cuda_graph": True, "precision": "bf16"}, {"precision": "fp16"}])
def test_a_whole_run(
    images: Path,
    make_job: Callable[..., Job],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, object],
) -> None:
    monkeypatch.chdir(tmp_path)
    summary = run_job(make_job(images, tmp_path / "run", device="cuda", steps=12, **options), stream=io.StringIO())
    assert summary["device"] == "cuda"
    assert summary["steps"] == 12
