"""Whatever ends a run, it goes on from its last checkpoint as if nothing had happened."""

import io
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.checkpoint import load_generator
from core.errors import CheckpointError, InvalidInputError
from train import run_folder
from train.preparation import Job, prepare_resumption
from train.session import DivergedError
from train.trainer import Trainer
from train.training import run_job

from .test_run import after_steps, control_c

MakeJob = Callable[..., Job]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def silent(_line: str) -> None:
    pass


def tensors(value: Any, name: str = "") -> dict[str, Tensor]:
    """All tensors in nested dictionaries and lists, by their paths."""
    if isinstance(value, Tensor):
        return {name: value}
    parts: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path: tensor for key, part in parts for path, tensor in tensors(part, f"{name}/{key}").items()}


def assert_same_end(one: Path, other: Path) -> None:
    """Weights, optimizers, average and random numbers are equal, bit for bit."""
    first, second = (torch.load(run / "training_state.pt", weights_only=True) for run in (one, other))
    left, right = tensors(first), tensors(second)
    assert left.keys() == right.keys()
    assert len(left) > 100
    assert [name for name in left if not torch.equal(left[name], right[name])] == []
    generators = [dict(load_generator(run / "generator.safetensors")[0].state_dict()) for run in (one, other)]
    assert all(torch.equal(tensor, generators[1][name]) for name, tensor in generators[0].items())


def resume(run: Path, **changes: object) -> str:
    told = io.StringIO()
    run_job(prepare_resumption(run, changes, say=silent), stream=told)
    return told.getvalue()


def harness(data: Path, out: Path, *, kills: int, seed: int) -> dict[str, Any]:
    arguments = [str(data), str(out), str(kills), str(seed)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.train.kill_harness", *arguments],
        cwd=out.parent,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout))


@pytest.mark.slow
def test_killed_twenty_times_it_ends_as_if_it_had_not_been(images: Path, tmp_path: Path) -> None:
    harness(images, tmp_path / "whole", kills=0, seed=0)
    told = harness(images, tmp_path / "killed", kills=20, seed=1)
    assert told["killed"] == 20
    assert max(told["saved"]) > 0
    assert_same_end(tmp_path / "whole", tmp_path / "killed")
    rows = {}
    for name in ("whole", "killed"):
        lines = (tmp_path / name / "history.csv").read_text().splitlines()[1:]
        rows[name] = {line.split(",")[0]: line.split(",")[1:7] for line in lines}
    assert list(rows["whole"]) == list(rows["killed"])
    samples = [sorted(path.name for path in (tmp_path / name / "samples").iterdir()) for name in rows]
    assert samples[0] == samples[1]
    assert not list((tmp_path / "killed").glob(".*.partial*"))


def test_interrupted_and_resumed_it_ends_the_same(
    images: Path, make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"steps": 12, "sample_every": 5, "ema": 0.9, "instance_noise": 0.2, "batch": 3}
    run_job(make_job(images, tmp_path / "whole", **options), stream=io.StringIO())
    with monkeypatch.context() as during:
        after_steps(during, 7, control_c)
        with pytest.raises(KeyboardInterrupt):
            run_job(make_job(images, tmp_path / "run", **options), stream=io.StringIO())
    told = resume(tmp_path / "run")
    assert told.startswith(f"resuming {tmp_path / 'run'}, training on cpu")
    assert_same_end(tmp_path / "whole", tmp_path / "run")
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["validation"] == json.loads((tmp_path / "whole" / "metrics.json").read_text())["validation"]


def test_two_threads_end_bit_identical_too(
    images: Path, make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_job(make_job(images, tmp_path / "whole", threads=2, width=8), stream=io.StringIO())
    with monkeypatch.context() as during:
        after_steps(during, 3, control_c)
        with pytest.raises(KeyboardInterrupt):
            run_job(make_job(images, tmp_path / "run", threads=2, width=8), stream=io.StringIO())
    resume(tmp_path / "run")
    assert_same_end(tmp_path / "whole", tmp_path / "run")


def test_a_complete_run_says_so(images: Path, make_job: MakeJob, tmp_path: Path) -> None:
    run_job(make_job(images, tmp_path / "runs" / "whole"), stream=io.StringIO())
    for name in ("runs/whole", "whole", "latest"):
        with pytest.raises(InvalidInputError, match=r"is complete \(4 steps\): export it"):
            prepare_resumption(Path(name), {}, say=silent)


def test_killed_between_the_last_checkpoint_and_the_figures(images: Path, make_job: MakeJob, tmp_path: Path) -> None:
    run_job(make_job(images, tmp_path / "run"), stream=io.StringIO())
    before = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for name in ("metrics.json", "generator.safetensors"):
        (tmp_path / "run" / name).unlink()
    resume(tmp_path / "run")
    assert load_generator(tmp_path / "run" / "generator.safetensors")[1].step == 4
    after = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (after["step"], after["validation"]) == (4, before["validation"])


@pytest.fixture
def interrupted(images: Path, make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was interrupted after two of four steps, on data of its own."""
    data = tmp_path / "data"
    for path in images.rglob("*.png"):
        copy = data / path.relative_to(images)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    with monkeypatch.context() as during:
        after_steps(during, 2, control_c)
        with pytest.raises(KeyboardInterrupt):
            run_job(make_job(data, tmp_path / "run"), stream=io.StringIO())
    return tmp_path / "run"


def test_other_data_is_refused(interrupted: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "train" / "2.png").rename(tmp_path / "data" / "train" / "9.png")
    with pytest.raises(InvalidInputError, match="has changed since the run began \\(its files have other names\\)"):
        prepare_resumption(interrupted, {}, say=silent)
    (tmp_path / "data" / "train" / "9.png").unlink()
    with pytest.raises(InvalidInputError, match="it has 3 training pairs now, and had 4"):
        prepare_resumption(interrupted, {}, say=silent)


def test_a_run_is_trained_by_one_process_at_a_time(interrupted: Path) -> None:
    job = prepare_resumption(interrupted, {}, say=silent)
    with (
        run_folder.reopen_run(interrupted, job.options),  # type: ignore[arg-type]
        pytest.raises(InvalidInputError, match="is being trained by another process"),
    ):
        run_job(job, stream=io.StringIO())


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_state_is_one_line(interrupted: Path, damage: bytes | None) -> None:
    state = interrupted / "training_state.pt"
    state.write_bytes(state.read_bytes()[:5000] if damage is None else damage)
    job = prepare_resumption(interrupted, {}, say=silent)
    with pytest.raises(CheckpointError, match=r"training_state.pt is damaged or of another run \(.*--init"):
        run_job(job, stream=io.StringIO())
    assert load_generator(interrupted / "generator.safetensors")[1].step == 2


def test_a_damaged_configuration_is_one_line(interrupted: Path) -> None:
    (interrupted / "config.json").write_text("{")
    with pytest.raises(InvalidInputError, match=r"config.json is damaged or of another version"):
        prepare_resumption(interrupted, {}, say=silent)


def test_a_full_disk_leaves_the_checkpoint_before(interrupted: Path) -> None:
    """A limit on the size of files stands in for the disk: the write fails in the middle, as it would there."""
    state = interrupted / "training_state.pt"
    before = state.read_bytes()
    job = prepare_resumption(interrupted, {}, say=silent)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(InvalidInputError, match=r"cannot write .*training_state"):
            run_job(job, stream=io.StringIO())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert state.read_bytes() == before
    assert not list(interrupted.glob(".*.partial*"))
    resume(interrupted)
    assert load_generator(interrupted / "generator.safetensors")[1].step == 4


def test_infinite_weights_are_never_saved(
    images: Path, make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The losses of a step are still finite when its update is not."""
    step = Trainer.step

    def exploding(trainer: Trainer, batch: Any) -> Tensor:
        losses = step(trainer, batch)
        if trainer.steps_done == 4:
            next(trainer.generator.parameters()).data.fill_(float("inf"))
        return losses

    monkeypatch.setattr(Trainer, "step", exploding)
    with pytest.raises(DivergedError, match=r"a weight of the generator became infinite in step 4: .*last good"):
        run_job(make_job(images, tmp_path / "run"), stream=io.StringIO())
    assert torch.load(tmp_path / "run" / "training_state.pt", weights_only=True)["trainer"]["step"] == 2


def test_a_lost_state_does_not_restart_the_run(interrupted: Path) -> None:
    (interrupted / "training_state.pt").unlink()
    before = (interrupted / "history.csv").read_bytes()
    with pytest.raises(InvalidInputError, match=r"has a generator and no training_state.pt .* --init"):
        prepare_resumption(interrupted, {}, say=silent)
    assert (interrupted / "history.csv").read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"seconds": "abc"},
        {"format_version": 7},
        {"trainer": {"step": 2.5}},
        {"trainer": {"step": 10**9}},
        {"trainer": {"optimizers": "x"}},
    ],
)
def test_a_state_that_makes_no_sense_is_one_line(interrupted: Path, change: dict[str, Any]) -> None:
    path = interrupted / "training_state.pt"
    state = torch.load(path, weights_only=True)
    for key, value in change.items():
        state[key] = {**state[key], **value} if isinstance(value, dict) else value
    torch.save(state, path)
    with pytest.raises(CheckpointError, match="is damaged or of another run"):
        run_job(prepare_resumption(interrupted, {}, say=silent), stream=io.StringIO())


def test_a_flipped_byte_is_noticed(interrupted: Path) -> None:
    path = interrupted / "training_state.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged or of another run"):
        run_job(prepare_resumption(interrupted, {}, say=silent), stream=io.StringIO())


def test_a_state_that_runs_code_is_not_opened(interrupted: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    torch.save({"format_version": 1, "trap": Trap()}, interrupted / "training_state.pt")
    with pytest.raises(CheckpointError, match="holds more than tensors, and opening that could run code"):
        run_job(prepare_resumption(interrupted, {}, say=silent), stream=io.StringIO())
    assert not (tmp_path / "sprung").exists()
