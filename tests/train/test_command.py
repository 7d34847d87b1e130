"""The real command: what it refuses, and how."""

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from core.configuration import STRIDED_LAYERS, GanObjective
from core.frames import parse_size, write_image
from train.command import NEVER_CONFIGURED, OF_A_FOLDER, OF_EVALUATION, train
from train.settings import TrainingOptions


def p2p_train(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "train.command", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def assert_refused(*arguments: object, cwd: Path, because: str) -> None:
    """Exit code 2, one line that says why, no traceback, and not a file more or less."""
    before = sorted(cwd.rglob("*"))
    done = p2p_train(*arguments, cwd=cwd)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert because in done.stderr
    assert sorted(cwd.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "because"),
    [
        (["--data", "missing"], "there is no file, folder or data set 'missing'"),
        (["--data", "empty"], "holds no images"),
        (["--size", "100"], "size 100x100 is not a multiple of 16"),
        (["--size", "96", "--levels", "6"], "is not a multiple of 64"),
        (["--size", "16"], "is too small for a discriminator"),
        (["--size", "big"], "size 'big' is not understood"),
        (["--direction", "AtoC"], "direction = 'AtoC': input should be 'AtoB' or 'BtoA'"),
        (["--direction", "BtoA", "--condition", "edges"], "--direction BtoA and --condition edges exclude each other"),
        (["--gan", "wgan"], "gan = 'wgan': input should be 'bce', 'lsgan' or 'hinge'"),
        (["--receptive-field", "71"], "receptive_field = 71: choose from 1, 16, 34, 70, 142, 286"),
        (["--steps", "0"], "steps = 0: input should be greater than or equal to 1"),
        (["--steps", "5", "--epochs", "1"], "error: give --steps or --epochs, not both"),
        (["--out", "full"], "full exists and is not an empty folder"),
        (["--name", "../up"], "cannot name a folder below runs"),
        (["--stpes", "5"], "No such option"),
        (["--gan", "hinge", "--smooth-labels"], "--smooth-labels and --gan hinge exclude each other"),
        (["--switch-labels", "0.6"], "switch_labels = 0.6: input should be less than or equal to 0.5"),
        (["--architecture", "resnet", "--levels", "5"], "--levels 5 cannot be had of a ResNet"),
        (["--task", "colorize", "--in-channels", "1"], "--task colorize decides the channels"),
        (["--out-channels", "2"], "out_channels = 2: give 1 or 3, or --task colorize"),
        (["--device", "cpu", "--precision", "fp16"], "--precision fp16 needs a GPU"),
        (["--device", "cpu", "--cuda-graph"], "--cuda-graph needs a GPU"),
        (["--resume", "nothing"], "there is no run nothing"),
        (["--resume", "full"], "full is not a run (it has no config.json)"),
        (["--resume", "full", "--width", "8"], "--width has no meaning with --resume"),
        (["--resume", "full", "--evaluate", "full"], "--resume and --evaluate exclude each other"),
        (["--split", "test"], "--split has a meaning with --evaluate only"),
        (["--evaluate", "nothing"], "there is no run nothing"),
        (["--evaluate", "full"], "holds no generator.safetensors"),
        (["--import", "nothing.pth"], "there is no file nothing.pth"),
        (["--init", "nothing"], "there is no run nothing"),
        (["--name", ""], "cannot name a folder below runs"),
        (["--out", "full/thesis.txt/run"], "thesis.txt cannot be written to"),
        (["--config", "text.yaml"], "name = 7: input should be text"),
        (["--config", "yes.yaml"], "skip_broken = 'maybe': input should be true or false"),
        (["--config", "nothing.yaml"], "cannot read the configuration nothing.yaml"),
        (["--config", "full/thesis.txt"], "a configuration is a .yaml, .toml or .json file"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: list[str], because: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    (tmp_path / "text.yaml").write_text("name: 7")
    (tmp_path / "yes.yaml").write_text("skip_broken: maybe")
    assert_refused(*arguments, cwd=tmp_path, because=because)


def test_broken_images_are_named_and_counted(tmp_path: Path, make_images: Callable[..., Path]) -> None:
    data = make_images(tmp_path / "data" / "train", 12)
    picture = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    for name in ("5.jpg", "6.jpg"):
        write_image(data / name, picture)
        whole = (data / name).read_bytes()
        (data / name).write_bytes(whole[: len(whole) // 2])
    write_image(data / "7.jpg", np.ascontiguousarray(picture[:, :-1]))
    assert_refused("--data", "data", "--size", 32, cwd=tmp_path, because="5.jpg is not an image that can be decoded")
    for name in ("5.jpg", "6.jpg"):
        (data / name).unlink()
    assert_refused("--data", "data", "--size", 32, cwd=tmp_path, because="7.jpg is 127 x 64 pixels, which is not two")


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_cuda_is_never_replaced_by_the_cpu(tmp_path: Path) -> None:
    assert_refused("--device", "cuda", "--steps", 1, cwd=tmp_path, because="no CUDA device that PyTorch can use")


def test_it_trains_and_reports_as_json(tmp_path: Path, make_images: Callable[..., Path]) -> None:
    make_images(tmp_path / "data", 3)
    small = ("--size", 32, "--width", 4, "--steps", 2, "--threads", 1, "--device", "cpu")
    done = p2p_train("--data", "data", *small, "--name", "first", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["run"] == str((tmp_path / "runs" / "first").resolve())
    assert summary["steps"] == 2
    assert summary["validation"]["pairs"] == 1
    assert done.stderr.splitlines()[0].startswith("training on cpu")
    assert (tmp_path / "runs" / "latest").readlink() == Path("first")


def test_the_defaults_of_the_command_are_those_of_the_options() -> None:
    """They are written twice: to read them from the options, ``--help`` would have to load NumPy and OpenCV."""
    own = NEVER_CONFIGURED | OF_A_FOLDER | OF_EVALUATION
    defaults = {name: parameter.default for name, parameter in parameters().items() if name not in own}
    assert (defaults.pop("data"), defaults.pop("layout")) == (None, None)  # found out
    defaults["size"] = parse_size(defaults["size"])
    found_out = {"data", "layout", "skipped"}
    fields = {name: field.default for name, field in TrainingOptions.model_fields.items() if name not in found_out}
    assert defaults == fields


def test_help_names_every_choice() -> None:
    shown = {
        name: parameter.annotation.__metadata__[0].help
        for name, parameter in parameters().items()
        if hasattr(parameter.annotation, "__metadata__")
    }
    assert all(objective in shown["gan"] for objective in GanObjective)
    assert all(str(pixels) in shown["receptive_field"] for pixels in STRIDED_LAYERS)


def parameters() -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(train).parameters)


def test_help_and_refusals_need_no_torch() -> None:
    code = "import sys, train.command; print(sorted({'torch', 'numpy', 'cv2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
    code = "import sys, train.preparation; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"
