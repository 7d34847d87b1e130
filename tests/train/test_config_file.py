"""Options from files: what is written there counts like the command line, which goes before it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from core.checkpoint import load_generator
from core.errors import InvalidInputError
from train.config_file import read_config

from .test_command import p2p_train

KNOWN = {"size", "width", "smooth_labels", "lr", "data", "skip_broken"}


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.yaml", "size: 256x384\nwidth: 32\nsmooth-labels: true\nlr: 0.001\n"),
        ("c.yml", "{size: 256x384, width: 32, smooth_labels: yes, lr: 0.001}"),
        ("c.toml", 'size = "256x384"\nwidth = 32\nsmooth-labels = true\nlr = 1e-3\n'),
        ("c.json", '{"size": "256x384", "width": 32, "smooth_labels": true, "lr": 0.001}'),
    ],
)
def test_every_format_says_the_same(tmp_path: Path, name: str, text: str) -> None:
    options = read_config(written(tmp_path / name, text), KNOWN)
    assert options == {"size": "256x384", "width": 32, "smooth_labels": True, "lr": 0.001}


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    assert read_config(written(tmp_path / "c.yaml", "# nothing yet\n"), KNOWN) == {}


@pytest.mark.parametrize(
    ("name", "text", "because"),
    [
        ("c.yaml", "widht: 3", r"there is no option 'widht': did you mean width\?"),
        ("c.yaml", "zzz: 3", r"there is no option 'zzz'; p2p-train --help lists them"),
        ("c.yaml", "- width\n- 3", "holds no options"),
        ("c.yaml", "width: [3", "is not valid YAML"),
        ("c.yaml", "!!python/object/apply:os.system ['touch x']", "is not valid YAML"),
        ("c.toml", "width", "is not valid TOML"),
        ("c.json", "{", "is not valid JSON"),
        ("c.ini", "width=3", r"a configuration is a \.yaml, \.toml or \.json file"),
        ("c.yaml", b"\xff\xfe\x00", "it is not UTF-8 text"),
    ],
)
def test_what_will_not_do_is_said(tmp_path: Path, name: str, text: str | bytes, because: str) -> None:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InvalidInputError, match=because):
        read_config(path, KNOWN)


def test_a_run_that_skipped_images_can_be_repeated(tmp_path: Path) -> None:
    record = {"training": {"size": [32, 32], "width": 4, "skipped": ["a.png"]}, "generator": {}}
    path = written(tmp_path / "config.json", json.dumps(record))
    assert read_config(path, KNOWN) == {"size": [32, 32], "width": 4, "skip_broken": True}


def test_the_command_line_goes_before_the_file_and_a_run_repeats_itself(
    tmp_path: Path, make_images: Callable[..., Path]
) -> None:
    make_images(tmp_path / "data", 3)
    small = "data: data\nsize: 32\nsteps: 2\nthreads: 1\ndevice: cpu\nname: first\nwidth: 6\nschedule: cosine\n"
    written(tmp_path / "small.yaml", small)
    done = p2p_train("--config", "small.yaml", "--width", 4, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first = json.loads((tmp_path / "runs" / "first" / "config.json").read_text())["training"]
    assert (first["width"], first["steps"], first["schedule"], first["size"]) == (4, 2, "cosine", [32, 32])
    done = p2p_train("--config", "runs/first/config.json", "--name", "second", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    second = json.loads((tmp_path / "runs" / "second" / "config.json").read_text())["training"]
    assert first == second
    states = [load_generator(tmp_path / "runs" / name / "generator.safetensors")[0] for name in ("first", "second")]
    one, two = (state.state_dict() for state in states)
    assert all(torch.equal(one[name], two[name]) for name in one)
