"""``benchmarks.gpu_train`` on the CPU: several starts make one training, and what is carried is whole."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.generator_pieces import INDEX, join, split
from benchmarks.training import opened_data
from core.checkpoint import load_generator, save_generator
from core.configuration import GENERATOR_FILE, CheckpointInfo, DataConfig, GeneratorConfig
from core.errors import CheckpointError, InvalidInputError
from core.networks import UNetGenerator
from tests.runtime.stream_helpers import environment


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    generator = UNetGenerator(GeneratorConfig(width=4, levels=4))
    info = CheckpointInfo(generator=generator.config, data=DataConfig(), step=7, batch=1, name="small")
    save_generator(tmp_path / "run" / GENERATOR_FILE, generator, info)
    return tmp_path / "run" / GENERATOR_FILE


def test_pieces_are_small_and_make_the_generator_again(checkpoint: Path, tmp_path: Path) -> None:
    pieces = split(checkpoint, tmp_path / "carry", limit=10_000)
    assert len(pieces.pieces) > 3
    assert all(piece.bytes <= 10_000 for piece in pieces.pieces)
    assert sum(piece.bytes for piece in pieces.pieces) == pieces.bytes < 0.6 * checkpoint.stat().st_size
    join(tmp_path / "carry", tmp_path / "back" / GENERATOR_FILE)
    before, info = load_generator(checkpoint)
    after, told = load_generator(tmp_path / "back" / GENERATOR_FILE)
    assert told == info
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(before(image), after(image), atol=2e-2)
    assert all(tensor.dtype is not torch.float16 for tensor in after.state_dict().values())


@pytest.mark.parametrize("harm", ["missing", "damaged", "other", "index"])
def test_a_piece_that_is_missing_or_damaged_is_named_and_leaves_nothing(
    harm: str, checkpoint: Path, tmp_path: Path
) -> None:
    carry = tmp_path / "carry"
    split(checkpoint, carry, limit=10_000)
    piece = carry / f"{GENERATOR_FILE}.001"
    if harm == "missing":
        piece.unlink()
    elif harm == "damaged":
        piece.write_bytes(piece.read_bytes()[:-1] + b"x")
    elif harm == "index":
        (carry / INDEX).write_text("{")
    else:
        index = json.loads((carry / INDEX).read_text())
        index["pieces"].reverse()
        (carry / INDEX).write_text(json.dumps(index))
    said = {
        "missing": "001 is missing",
        "damaged": "001 is damaged",
        "index": "cannot be read",
        "other": "not those of",
    }
    with pytest.raises(InvalidInputError, match=said[harm]):
        join(carry, tmp_path / "out" / GENERATOR_FILE)
    assert not list(tmp_path.glob("out/*"))


def test_what_is_no_generator_is_not_split(tmp_path: Path) -> None:
    (tmp_path / GENERATOR_FILE).write_bytes(b"x")
    with pytest.raises(CheckpointError):
        split(tmp_path / GENERATOR_FILE, tmp_path / "carry")
    assert not (tmp_path / "carry").exists()


def start(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.gpu_train", "--device", "cpu", "--run", "run", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.slow
def test_several_starts_make_one_training(tmp_path: Path) -> None:
    small = ("--width", "4", "--size", "64", "--threads", "1", "--sample-every", "20", "--epochs", "20000")
    with opened_data(None, pairs=4, size=64) as images:
        first = start("--data", str(images), "--minutes", "0.3", "--", *small, cwd=tmp_path)
        second = resumed(first, tmp_path)
    assert second.returncode == 0, second.stderr
    later = progress(tmp_path)
    steps = [one["step"] for one in later["validation"]]
    assert steps == sorted(set(steps))
    join(tmp_path / "run" / "carry", tmp_path / "joined" / GENERATOR_FILE)
    assert load_generator(tmp_path / "joined" / GENERATOR_FILE)[1].step >= steps[-1]


def resumed(first: subprocess.CompletedProcess[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Looks at what the first start left, and starts again."""
    assert first.returncode == 0, first.stderr
    assert "start again to go on" in first.stdout
    before = progress(folder)
    assert not before["finished"]
    assert before["validation"][0]["step"] == 20
    assert (folder / "run" / "carry" / "losses.png").is_file()
    assert list((folder / "run" / "carry").glob("step_*.png"))
    refused = start("--minutes", "0.1", "--", "--width", "8", cwd=folder)
    assert refused.returncode == 2
    assert "goes on with its own options" in refused.stderr
    again = start("--minutes", "0.3", cwd=folder)
    assert progress(folder)["validation"][-1]["step"] > before["validation"][-1]["step"]
    return again


def progress(folder: Path) -> dict[str, Any]:
    """What the run in ``folder`` has come to."""
    content: dict[str, Any] = json.loads((folder / "run" / "carry" / "progress.json").read_text())
    return content


def test_a_training_that_fails_is_an_error(tmp_path: Path) -> None:
    done = start("--data", str(tmp_path / "nowhere"), "--minutes", "0.5", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no ")
    assert done.stderr.count("\n") == 1, "what p2p-train says, and nothing else"
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_interrupted_it_saves_first(tmp_path: Path) -> None:
    small = ("--width", "4", "--size", "64", "--threads", "1", "--sample-every", "1000000", "--epochs", "20000")
    with opened_data(None, pairs=4, size=64) as images:
        command = [sys.executable, "-m", "benchmarks.gpu_train", "--device", "cpu", "--run", "run"]
        line = [*command, "--data", str(images), "--", *small]
        with subprocess.Popen(
            line, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            history = tmp_path / "run" / "history.csv"
            for _ in range(1000):
                if history.is_file() and history.read_text().count("\n") > 2:
                    break
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stderr.splitlines()[-1] == "interrupted"
    assert (tmp_path / "run" / "training_state.pt").is_file()
