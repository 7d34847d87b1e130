"""Whole runs, in this process: what they leave behind, and what they leave alone."""

import io
import json
import os
import signal
from collections.abc import Callable
from datetime import datetime, tzinfo
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from core.checkpoint import load_generator
from core.configuration import Norm
from core.frames import read_image
from train import preparation
from train.evaluation import translate
from train.feeding import DeviceBatch
from train.preparation import Job
from train.session import DivergedError, Session
from train.trainer import Trainer
from train.training import run_job

MakeJob = Callable[..., Job]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def weights(run: Path) -> dict[str, Tensor]:
    return dict(load_generator(run / "generator.safetensors")[0].state_dict())


def test_a_run_folder_holds_what_it_should(images: Path, make_job: MakeJob, tmp_path: Path) -> None:
    told = io.StringIO()
    run = tmp_path / "elsewhere" / "small"
    job = make_job(images, run, batch=1, direction="BtoA", norm="batch")
    summary = run_job(job, stream=told)

    kept = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    events = {name for name in kept if name.startswith("tensorboard/")}
    assert kept - events == {
        "config.json",
        "generator.safetensors",
        "training_state.pt",
        "metrics.json",
        "history.csv",
        "losses.png",
        ".lock",
        "samples/step_000002.png",
        "samples/step_000004.png",
    }
    assert (tmp_path / "runs" / "latest").resolve() == run.resolve()
    assert read_image(run / "samples" / "step_000004.png").shape == (3 * 36 + 4, 2 * 36 + 4, 3)
    config = json.loads((run / "config.json").read_text())
    assert config["training"]["steps"] == 4
    assert config["training"]["direction"] == config["data"]["direction"] == "BtoA"
    assert config["data"]["source"] == str(images.resolve())
    assert config["generator"]["levels"] == 5
    assert config["libraries"]["torch"] == torch.__version__.partition("+")[0]
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["validation"]["pairs"] == 2
    assert metrics["validation"] == summary["validation"]
    lines = told.getvalue().splitlines()
    assert lines[0].startswith(
        "training on cpu (as asked; fp32, 1 threads): width 4 (as asked), 5 levels, 32x32, batch 1, 4 steps"
    )
    assert lines[-1] == f"next: p2p-export {run}"
    assert_recorded(run / "tensorboard")


def assert_recorded(folder: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

    events = EventAccumulator(str(folder))
    events.Reload()
    tags = events.Tags()
    losses = {"discriminator_real", "discriminator_fake", "generator_gan", "generator_distance"}
    rates = {"learning_rate", "images_per_second", "memory_gib", "score/real", "score/fake"}
    validation = {"validation/l1", "validation/psnr_db", "validation/ssim"}
    assert set(tags["scalars"]) == {f"loss/{name}" for name in losses} | rates | validation
    assert tags["images"] == ["samples"]
    assert [event.value for event in events.Scalars("learning_rate")] == pytest.approx([2e-4, 2e-4, 2e-4, 1e-4])


@pytest.mark.parametrize(("batch", "norm"), [(1, Norm.BATCH), (2, Norm.BATCH), (1, Norm.INSTANCE), (1, Norm.NONE)])
def test_the_checkpoint_gives_the_sampled_pictures_again(
    images: Path, make_job: MakeJob, tmp_path: Path, batch: int, norm: Norm
) -> None:
    run = tmp_path / "run"
    job = make_job(images, run, batch=batch, norm=norm.value, sample_every=4)
    run_job(job, stream=io.StringIO())
    generator, info = load_generator(run / "generator.safetensors")
    assert (info.step, info.batch, info.name, info.generator.norm) == (4, batch, "run", norm)
    again = translate(generator, [job.held_out[1].input], batch=info.batch)[0]
    sheet = read_image(run / "samples" / "step_000004.png")
    assert np.array_equal(sheet[40:72, 40:72], again)


def test_the_seed_decides_the_weights(images: Path, make_job: MakeJob, tmp_path: Path) -> None:
    runs = {"one": 3, "two": 3, "other": 4}
    for name, seed in runs.items():
        run_job(make_job(images, tmp_path / name, seed=seed), stream=io.StringIO())
    one, two, other = (weights(tmp_path / name) for name in runs)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def after_steps(monkeypatch: pytest.MonkeyPatch, steps: int, happens: Callable[[Tensor], Tensor]) -> None:
    """Let ``happens`` happen at the end of a step, and the loop see the losses that it gives."""
    step = Trainer.step

    def stepping(trainer: Trainer, batch: DeviceBatch) -> Tensor:
        losses = step(trainer, batch)
        return happens(losses) if trainer.steps_done == steps else losses

    monkeypatch.setattr(Trainer, "step", stepping)


def control_c(losses: Tensor) -> Tensor:
    os.kill(os.getpid(), signal.SIGINT)
    return losses


def not_a_number(losses: Tensor) -> Tensor:
    return losses * float("nan")


def crash(losses: Tensor) -> Tensor:
    raise RuntimeError("out of luck")


def test_interrupted_it_saves_the_step_at_hand(
    images: Path, make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_steps(monkeypatch, 5, control_c)
    told = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        run_job(make_job(images, tmp_path / "run", steps=100, sample_every=50), stream=told)
    assert load_generator(tmp_path / "run" / "generator.safetensors")[1].step == 5
    assert (tmp_path / "runs" / "latest").resolve() == (tmp_path / "run").resolve()
    assert f"interrupted after 5 of 100 steps: saved in {tmp_path / 'run'}" in told.getvalue().splitlines()
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_interrupted_during_the_last_checkpoint_it_ends_as_interrupted(
    images: Path, make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Session._save

    def interrupted(session: Session) -> None:
        save(session)
        if session.trainer.steps_done == 4:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Session, "_save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_job(make_job(images, tmp_path / "run"), stream=io.StringIO())
    assert load_generator(tmp_path / "run" / "generator.safetensors")[1].step == 4
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_runs_of_the_same_second_have_folders_of_their_own(
    images: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Frozen(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Frozen":
            return cls(2030, 1, 2, 3, 4, 5, tzinfo=tz)

    monkeypatch.setattr(preparation, "datetime", Frozen)
    first, second = (make_job(images, None) for _ in range(2))  # both checked before either has begun
    runs = [Path(run_job(job, stream=io.StringIO())["run"]).name for job in (first, second, make_job(images, None))]
    assert runs == [f"inverted-20300102-030405{number}" for number in ("", "-2", "-3")]


def test_the_built_in_houses_do_not_follow_the_seed(make_job: MakeJob, tmp_path: Path) -> None:
    small = {"out": tmp_path / "run", "data": None}
    one, other = (make_job(seed=seed, **small) for seed in (0, 7))
    assert np.array_equal(one.held_out[3].target, other.held_out[3].target)
    assert np.array_equal(one.pairs.read(3).target, other.pairs.read(3).target)
    assert other.options.data_config().seed == 0


def test_diverged_it_keeps_the_last_good_checkpoint(
    images: Path, make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_steps(monkeypatch, 3, not_a_number)
    with pytest.raises(DivergedError, match=r"discriminator_real became nan in step 3: train with a lower --lr"):
        run_job(make_job(images, tmp_path / "run"), stream=io.StringIO())
    assert load_generator(tmp_path / "run" / "generator.safetensors")[1].step == 2


@pytest.mark.parametrize("existed", [True, False])
def test_a_crash_before_the_first_checkpoint_leaves_nothing(
    images: Path, make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existed: bool
) -> None:
    run_job(make_job(images, tmp_path / "before"), stream=io.StringIO())
    if existed:
        (tmp_path / "run").mkdir()
    after_steps(monkeypatch, 1, crash)
    with pytest.raises(RuntimeError, match="out of luck"):
        run_job(make_job(images, tmp_path / "run"), stream=io.StringIO())
    assert (tmp_path / "run").exists() is existed
    assert not existed or not list((tmp_path / "run").iterdir())
    assert (tmp_path / "runs" / "latest").resolve() == (tmp_path / "before").resolve()


def test_runs_of_the_default_place_are_linked_relatively(
    images: Path, make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = io.StringIO()
    job = make_job(images, Path("runs") / "houses")
    run_job(job, stream=told)
    assert Path("runs/latest").readlink() == Path("houses")
    assert told.getvalue().splitlines()[-1] == "next: p2p-export"
