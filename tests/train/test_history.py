"""A run's history on disk: nothing is lost but a torn line, and the picture of it."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.errors import InvalidInputError, MissingDependencyError
from core.frames import read_image
from train import history_plot
from train.history import COLUMNS, History, read_history
from train.history_plot import plot_history, smoothed

TWO = ("generator_gan", "validation_l1")


def test_rows_come_back_with_blanks_left_out(tmp_path: Path) -> None:
    history = History(tmp_path / "history.csv", columns=TWO)
    history.append(10, {"generator_gan": 1 / 3})
    history.append(20, {"generator_gan": math.inf, "validation_l1": 1e-7})
    assert (tmp_path / "history.csv").read_text() == (
        "step,generator_gan,validation_l1\n10,0.333333333,\n20,inf,1e-07\n"
    )
    assert History(tmp_path / "history.csv", columns=TWO).rows() == [
        {"step": 10, "generator_gan": pytest.approx(1 / 3, rel=1e-8)},
        {"step": 20, "generator_gan": math.inf, "validation_l1": 1e-7},
    ]


def test_whatever_is_torn_off_the_rows_before_it_are_kept_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    whole = History(path, columns=TWO)
    for step in (1, 2, 3):
        whole.append(step, {"generator_gan": step / 8, "validation_l1": step / 4})
    text = path.read_bytes()
    for kept in range(len(text) + 1):
        path.write_bytes(text[:kept])
        rows = max(0, text[:kept].count(b"\n") - 1)
        reopened = History(path, columns=TWO)
        assert [row["step"] for row in reopened.rows()] == [1, 2, 3][:rows]
        reopened.append(9, {"generator_gan": 0.5})
        assert path.read_bytes().count(b"\n") == rows + 2
        assert reopened.rows()[-1] == {"step": 9, "generator_gan": 0.5}


def test_a_killed_writer_leaves_whole_rows(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from train.history import History\n"
        "history = History(Path(sys.argv[1])); step = 0\n"
        "while True:\n"
        "    step += 1; history.append(step, {'generator_gan': step / 3})\n"
        "    if step == 50: print(flush=True)\n"
    )
    path = tmp_path / "history.csv"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.kill()
    rows = read_history(path)
    assert len(rows) >= 50
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))


def test_rows_after_a_step_are_dropped_for_good(tmp_path: Path) -> None:
    history = History(tmp_path / "history.csv", columns=TWO)
    for step in (100, 200, 300, 400):
        history.append(step, {"generator_gan": step})
    history.truncate_after(250)
    assert [row["step"] for row in read_history(history.path)] == [100, 200]
    history.append(300, {"generator_gan": -1.0})
    assert [row["generator_gan"] for row in history.rows()] == [100, 200, -1]


def test_columns_may_come_and_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    History(path, columns=("old", "generator_gan")).append(1, {"old": 5.0, "generator_gan": 6.0})
    newer = History(path, columns=TWO)
    newer.append(2, {"validation_l1": 7.0})
    assert newer.rows() == [{"step": 1, "generator_gan": 6.0, "old": 5.0}, {"step": 2, "validation_l1": 7.0}]


def test_an_unknown_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no column generator_l1"):
        History(tmp_path / "history.csv", columns=TWO).append(1, {"generator_l1": 1.0})


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("step,generator_gan\n1,0.5\n2,half\n3,0.5\n", "damaged in line 3"),
        ("step,generator_gan\n1,0.5,\n3,0.5\n", "damaged in line 2"),
        ("name,l1\nhouse,0.5\n", "not the history of a run"),
        ("my thesis", "not the history of a run"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_and_left_alone(tmp_path: Path, text: str, because: str) -> None:
    path = tmp_path / "history.csv"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=because):
        History(path, columns=TWO)
    assert path.read_text() == text


def test_a_full_disk_leaves_no_torn_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(tmp_path / "history.csv", columns=TWO)
    history.append(1, {"generator_gan": 0.25})
    write = os.write
    monkeypatch.setattr("os.write", lambda file, line: write(file, line[:3]))
    with pytest.raises(InvalidInputError, match=r"cannot write .*no space left"):
        history.append(2, {"generator_gan": 0.25})
    monkeypatch.undo()
    history.append(3, {"generator_gan": 0.25})
    assert [row["step"] for row in history.rows()] == [1, 3]


def test_smoothing_is_the_mean_of_the_neighbours() -> None:
    values = np.random.default_rng(0).normal(size=23)
    reach = 3
    expected = [values[max(0, i - reach) : i + reach + 1].mean() for i in range(len(values))]
    assert smoothed(values, 2 * reach + 1) == pytest.approx(np.array(expected))
    assert smoothed(np.full(9, 0.3), 4) == pytest.approx(np.full(9, 0.3))


@pytest.mark.parametrize("count", [1, 10, 3000])
def test_the_plot_is_a_picture_with_a_panel_for_every_measure(tmp_path: Path, count: int) -> None:
    rows = [{"step": float(i + 1), **{name: math.sin(i) for name in COLUMNS}} for i in range(count)]
    plot_history(rows, tmp_path / "all.png", steps=count)
    plot_history([{"step": 1.0, "learning_rate": 2e-4}], tmp_path / "one.png", steps=count)
    everything, one = read_image(tmp_path / "all.png"), read_image(tmp_path / "one.png")
    assert everything.shape[0] > 2 * one.shape[0]
    assert everything.std() > 5  # not a blank sheet


def test_values_that_are_not_finite_are_left_out_of_the_plot(tmp_path: Path) -> None:
    rows = [{"step": 1.0, "generator_gan": 0.5}, {"step": 2.0, "generator_gan": math.nan}]
    plot_history(rows, tmp_path / "history.png", steps=2)
    assert (tmp_path / "history.png").exists()
    plot_history([{"step": 1.0, "generator_gan": math.nan}], tmp_path / "nothing.png", steps=2)
    assert not (tmp_path / "nothing.png").exists()


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_plot, "is_installed", lambda _: False)
    with pytest.raises(MissingDependencyError, match=r"pip install 'pix2pix-edge\[train\]'"):
        plot_history([{"step": 1.0, "generator_gan": 0.5}], tmp_path / "history.png", steps=2)
