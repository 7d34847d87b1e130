"""What a run writes down beside its weights."""

import csv
import io
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from core.configuration import GanObjective
from core.frames import read_image
from train.feeding import DeviceBatch
from train.preparation import Job
from train.recording import CertaintyAlarm
from train.trainer import Trainer
from train.training import run_job

MakeJob = Callable[..., Job]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_history_has_losses_scores_and_validation(images: Path, make_job: MakeJob, tmp_path: Path) -> None:
    summary = run_job(make_job(images, tmp_path / "run", steps=6, sample_every=3), stream=io.StringIO())
    with (tmp_path / "run" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["validation_l1"] != "" for row in rows] == [False, False, True] * 2
    assert float(rows[-1]["validation_l1"]) == pytest.approx(summary["validation"]["l1"])
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx([2e-4] * 4 + [2e-4 * 2 / 3, 2e-4 / 3])
    for row in rows:
        assert 0 < float(row["score_real"]) < 1
        assert math.isfinite(float(row["generator_gan"]))
    assert min(read_image(tmp_path / "run" / "losses.png").shape[:2]) > 500


@pytest.mark.parametrize("objective", list(GanObjective))
def test_a_discriminator_that_has_won_is_pointed_out_once(objective: GanObjective) -> None:
    beyond = {"bce": (0.99, 0.01), "lsgan": (0.99, 0.01), "hinge": (1.2, -1.3)}[objective]
    alarm = CertaintyAlarm(objective, steps=10_000)
    told = [alarm.certain_steps(step, real=beyond[0], fake=beyond[1]) for step in range(50, 1500, 50)]
    assert [steps for steps in told if steps] == [500]
    assert alarm.certain_steps(1500, real=0.5, fake=0.5) is None
    again = [alarm.certain_steps(step, real=beyond[0], fake=beyond[1]) for step in range(1550, 3000, 50)]
    assert [steps for steps in again if steps] == [500]


@pytest.mark.parametrize("objective", list(GanObjective))
def test_one_that_still_learns_is_not(objective: GanObjective) -> None:
    alarm = CertaintyAlarm(objective, steps=1000)
    doubtful = {"bce": (0.9, 0.1), "lsgan": (0.8, 0.2), "hinge": (0.9, -0.9)}[objective]
    assert not any(alarm.certain_steps(step, real=doubtful[0], fake=doubtful[1]) for step in range(0, 1000, 10))


def test_the_alarm_reaches_the_log(
    images: Path, make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Trainer.step

    def certain(trainer: Trainer, batch: DeviceBatch) -> Tensor:
        measures = step(trainer, batch)
        measures[4:] = torch.tensor([0.99, 0.004])
        return measures

    monkeypatch.setattr(Trainer, "step", certain)
    told = io.StringIO()
    run_job(make_job(images, tmp_path / "run", steps=300, sample_every=300, width=1, levels=2), stream=told)
    lines = [line for line in told.getvalue().splitlines() if "has been certain for" in line]
    assert len(lines) == 1
    assert lines[0].startswith("step 204: the discriminator has been certain for 201 steps (scores 0.99 and 0.00)")
