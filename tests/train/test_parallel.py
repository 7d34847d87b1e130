"""Two processes are one process with the joint batch; what they save is the same file."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from train.preparation import Job, prepare_job, prepare_resumption
from train.training import run_job
from train.world import World

from .test_resume import tensors

pytestmark = pytest.mark.slow

OPTIONS = {
    "size": 32, "width": 4, "batch": 4, "steps": 6, "threads": 1, "device": "cpu", "sample_every": 3, "ema": 0.9,
}  # fmt: skip
ROOT = Path(__file__).parents[2]


def two_processes(
    *arguments: object, cwd: Path, what: Sequence[str] = ("-m", "train.command")
) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *what]
    return subprocess.run(
        [sys.executable, *launcher, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def spelled(options: dict[str, object]) -> list[object]:
    return [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, make_images: Callable[..., Path]) -> Path:
    """A folder with data, a run of one process, and one of two."""
    folder = tmp_path_factory.mktemp("parallel")
    make_images(folder / "data" / "train", 8)
    make_images(folder / "data" / "val", 2)
    before = Path.cwd()
    os.chdir(folder)
    try:
        values = {**OPTIONS, "data": "data", "dropout": False}
        run_job(prepare_job(values, out=Path("one"), name=None, say=lambda _line: None), stream=io.StringIO())
    finally:
        os.chdir(before)
    arguments = ["--data", "data", *spelled(OPTIONS), "--no-dropout", "--out", "two"]
    done = two_processes(*arguments, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[0].startswith("training on cpu (as asked; fp32, 1 threads, 2 processes)")
    assert done.stdout.count("training on") == 1
    return folder


def test_two_processes_learn_what_one_does_with_the_joint_batch(runs: Path) -> None:
    """Batch norm included: what differs is the order in which floats are added."""
    one, two = (torch.load(runs / name / "training_state.pt", weights_only=True)["trainer"] for name in ("one", "two"))
    left, right = tensors(one), tensors(two)
    assert left.keys() == right.keys()
    weights = [name for name in left if name.split("/")[1] in ("generator", "discriminator", "average")]
    assert len(weights) > 50
    for name in weights:
        assert torch.allclose(left[name], right[name], rtol=1e-4, atol=1e-5), name


def test_a_sharded_generator_learns_and_is_saved_like_any_other(runs: Path) -> None:
    """Two processes with half of the weights each; its state is whole, and the average is there as well."""
    arguments = ["--data", "data", *spelled(OPTIONS), "--no-dropout", "--shard", "--out", "sharded"]
    done = two_processes(*arguments, cwd=runs)
    assert done.returncode == 0, done.stderr[-3000:]
    states = [torch.load(runs / name / "training_state.pt", weights_only=True) for name in ("one", "sharded")]
    left, right = (tensors(state["trainer"]) for state in states)
    assert left.keys() == right.keys()
    assert all(tensor.shape == right[name].shape for name, tensor in left.items())
    weights = [name for name in left if name.split("/")[1] in ("generator", "discriminator", "average")]
    for name in weights:
        assert torch.allclose(left[name], right[name], rtol=1e-4, atol=1e-5), name


def test_they_leave_the_same_files(runs: Path) -> None:
    one, two = (
        {
            path.relative_to(runs / name).as_posix()
            for path in (runs / name).rglob("*")
            if "tensorboard" not in str(path)
        }
        for name in ("one", "two")
    )
    assert one == two


def killed_half_way(*arguments: object, cwd: Path) -> None:
    """Train with two processes that end the moment their state after three steps is saved."""
    script = """
import os
from torch import distributed
from train.session import Session
save = Session._save

def save_and_end(self):
    save(self)
    if self.trainer.steps_done == 3:
        distributed.barrier()
        os._exit(9)

Session._save = save_and_end
from train.command import main
main()
"""
    (cwd / "half_way.py").write_text(script)
    done = two_processes(*arguments, cwd=cwd, what=["half_way.py"])
    assert done.returncode != 0


def test_one_process_goes_on_with_what_two_began(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of a run of two, taken after its first half, ends where the others did when one process resumes it."""
    killed_half_way("--data", runs / "data", *spelled(OPTIONS), "--no-dropout", "--out", "half", cwd=tmp_path)
    monkeypatch.chdir(tmp_path)
    job: Job = prepare_resumption(tmp_path / "half", {}, say=lambda _line: None)
    run_job(job, stream=io.StringIO())
    one = tensors(torch.load(runs / "one" / "training_state.pt", weights_only=True)["trainer"]["generator"])
    end = tensors(torch.load(tmp_path / "half" / "training_state.pt", weights_only=True)["trainer"]["generator"])
    assert all(torch.allclose(tensor, end[name], rtol=1e-4, atol=1e-5) for name, tensor in one.items())


def test_a_sharded_run_ends_bit_identical_when_resumed(runs: Path, tmp_path: Path) -> None:
    """With dropout: no process may draw a random number more, or less, because of a checkpoint."""
    arguments = ["--data", runs / "data", *spelled(OPTIONS), "--shard"]
    assert two_processes(*arguments, "--out", "whole", cwd=tmp_path).returncode == 0
    killed_half_way(*arguments, "--out", "half", cwd=tmp_path)
    done = two_processes("--resume", "half", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    ends = [tensors(torch.load(tmp_path / name / "training_state.pt", weights_only=True)) for name in ("whole", "half")]
    assert [name for name in ends[0] if not torch.equal(ends[0][name], ends[1][name])] == []
    assert any(name.startswith("/random/1/") for name in ends[0])


def test_a_process_that_fails_ends_the_others_in_one_line(runs: Path, tmp_path: Path) -> None:
    script = """
import os
from train.run_folder import RunFolder
from core.errors import InvalidInputError

def full(self, generator, state):
    raise InvalidInputError("the disk is full")

RunFolder.save = full
from train.command import main
main()
"""
    (tmp_path / "full.py").write_text(script)
    arguments = ["--data", runs / "data", *spelled(OPTIONS), "--out", "run"]
    done = two_processes(*arguments, cwd=tmp_path, what=["full.py"])
    assert done.returncode != 0
    assert "error: the disk is full" in done.stderr
    assert f'File "{ROOT / "train"}' not in done.stderr  # torchrun shows a traceback of its own
    assert not (tmp_path / "run").exists()


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path, make_images: Callable[..., Path]) -> None:
    done = two_processes("--batch", 3, "--size", 32, cwd=tmp_path)
    assert done.returncode != 0
    assert "error: --batch 3 cannot be shared evenly by 2 processes: use a multiple of 2" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_the_world_is_what_torchrun_says() -> None:
    assert World.from_environment({}) == World(0, 1, 0)
    told = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    assert World.from_environment(told) == World(rank=5, size=8, local_rank=1, local_size=4)
    assert not World.from_environment(told).is_main
    with pytest.raises(ValueError, match="start p2p-train with torchrun, or unset them"):
        World.from_environment({"RANK": "x"})
