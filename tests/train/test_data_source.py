"""What ``--data`` may name, and what is said about it."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.conditions import Condition
from core.configuration import BUILT_IN_DATA, DataConfig, Layout, Task
from core.errors import InvalidInputError
from core.frames import write_image
from core.pairs import Split, open_pairs
from train.data_source import locate_data


def locate(
    given: str | None,
    *,
    layout: Layout | None = None,
    condition: Condition = Condition.IDENTITY,
    task: Task = Task.TRANSLATE,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[str, Layout]:
    return locate_data(given, layout=layout, condition=condition, task=task, say=say)


@pytest.mark.parametrize("given", [None, BUILT_IN_DATA])
@pytest.mark.parametrize(
    ("condition", "task", "layout"),
    [
        (Condition.IDENTITY, Task.TRANSLATE, Layout.PAIRS),
        (Condition.EDGES, Task.TRANSLATE, Layout.PHOTOS),
        (Condition.IDENTITY, Task.COLORIZE, Layout.PHOTOS),
    ],
)
def test_the_built_in_set_is_what_the_task_needs(
    given: str | None, condition: Condition, task: Task, layout: Layout
) -> None:
    assert locate(given, condition=condition, task=task) == (BUILT_IN_DATA, layout)
    with pytest.raises(InvalidInputError, match="leave it out"):
        locate(given, condition=condition, task=task, layout=Layout.FOLDERS)


def test_a_relative_path_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_images: Callable[..., Path]
) -> None:
    make_images(tmp_path / "houses" / "inner" / "train", 2)
    monkeypatch.chdir(tmp_path)
    assert locate("houses") == (str(tmp_path / "houses" / "inner"), Layout.PAIRS)


def test_a_folder_goes_before_a_data_set_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_images: Callable[..., Path]
) -> None:
    make_images(tmp_path / "maps", 2)
    monkeypatch.chdir(tmp_path)
    lines: list[str] = []
    assert locate("maps", say=lines.append) == (str(tmp_path / "maps"), Layout.PAIRS)
    assert len(lines) == 1
    assert str(tmp_path / "maps") in lines[0]


def test_what_is_nothing_names_what_can_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError, match=r"'facade' \(did you mean facades\?\).*edges2handbags") as caught:
        locate("facade")
    assert "\n" not in str(caught.value)
    for nothing in ("", "~nobody-of-that-name/x", "a\0b"):
        with pytest.raises(InvalidInputError, match="there is no file"):
            locate(nothing)
    with pytest.raises(InvalidInputError, match=r"'https://example\.org/x\.zip': give"):
        locate("https://example.org/x.zip")


def test_a_named_set_is_of_pairs() -> None:
    with pytest.raises(InvalidInputError, match="leave out --layout photos"):
        locate("maps", layout=Layout.PHOTOS, condition=Condition.EDGES)
    with pytest.raises(InvalidInputError, match="learns from photographs"):
        locate("maps", task=Task.COLORIZE)


def test_a_doubtful_choice_is_said(tmp_path: Path, make_images: Callable[..., Path]) -> None:
    pairs = str(make_images(tmp_path / "pairs", 2))
    lines: list[str] = []
    assert locate(pairs, say=lines.append)[1] is Layout.PAIRS
    assert not lines
    assert locate(pairs, condition=Condition.EDGES, say=lines.append)[1] is Layout.PAIRS
    assert "--layout photos" in lines.pop()
    write_image(tmp_path / "pairs" / "9.png", np.zeros((40, 60, 3), np.uint8))
    assert locate(pairs, say=lines.append)[1] is Layout.PAIRS
    assert "9.png is 60 x 40" in lines.pop()
    assert locate(pairs, layout=Layout.PAIRS, say=lines.append)[1] is Layout.PAIRS
    assert locate(pairs, condition=Condition.EDGES, say=lines.append)[1] is Layout.PHOTOS
    assert not lines


def test_kinds_that_are_not_read_are_counted(tmp_path: Path, make_images: Callable[..., Path]) -> None:
    data = make_images(tmp_path / "data", 2)
    for name in ("a.HEIC", "b.heic", "c.gif"):
        (data / name).touch()
    told: list[str] = []
    locate(str(data), say=told.append)
    assert any("left out, since their kind is not read: 1 .GIF, 2 .HEIC" in line for line in told)


def test_a_run_is_no_data(tmp_path: Path, make_images: Callable[..., Path]) -> None:
    run = make_images(tmp_path / "run", 1)
    (run / "generator.safetensors").touch()
    with pytest.raises(InvalidInputError, match=r"is a run, not data: go on with it with --resume"):
        locate(str(run))


def test_what_is_no_file_does_not_hold_up_the_search(tmp_path: Path, make_images: Callable[..., Path]) -> None:
    data = make_images(tmp_path / "data", 2)
    os.mkfifo(data / "pipe.png")
    source, layout = locate(str(data), condition=Condition.EDGES)
    pairs = open_pairs(DataConfig(source=source, layout=layout, condition=Condition.EDGES), Split.TRAIN)
    assert "pipe.png" not in {pairs.name(index) for index in range(len(pairs))}
