import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.atomic import atomic_file, atomic_folder, find_latest, point_latest, write_text
from core.errors import InvalidInputError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(InvalidInputError), atomic_file(path) as partial:
        partial.write_text((tmp_path / "missing").read_text())
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    with atomic_folder(path) as partial:
        (partial / "old").touch()
    with pytest.raises(InvalidInputError), atomic_folder(path) as partial:
        (partial / "new").write_text((tmp_path / "missing").read_text())
    assert names(path) == ["old"]
    assert names(tmp_path) == ["bundle"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    for name in ("old", "new"):
        with atomic_folder(path) as partial:
            (partial / name).touch()
    assert names(path) == ["new"]
    assert names(tmp_path) == ["bundle"]


def test_a_link_stays_a_link_and_what_it_points_at_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "link").symlink_to("bundle")
    with atomic_folder(tmp_path / "link") as partial:
        (partial / "new").touch()
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "bundle") == ["new"]
    assert names(tmp_path) == ["bundle", "link"]


def test_latest_points_at_the_newest_and_survives_a_move(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        point_latest(tmp_path / name)
    assert find_latest(tmp_path) == tmp_path / "two"
    assert not (tmp_path / "latest").readlink().is_absolute()


def test_latest_may_lie_elsewhere_and_may_be_gone(tmp_path: Path) -> None:
    assert find_latest(tmp_path / "runs") is None
    (tmp_path / "elsewhere").mkdir()
    point_latest(tmp_path / "elsewhere", tmp_path / "runs" / "latest")
    assert find_latest(tmp_path / "runs") == (tmp_path / "elsewhere").resolve()
    (tmp_path / "elsewhere").rmdir()
    assert find_latest(tmp_path / "runs") is None


def test_a_folder_named_latest_that_is_no_link_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    (tmp_path / "run").mkdir()
    with pytest.raises(InvalidInputError, match="latest"):
        point_latest(tmp_path / "run")


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInputError, match="cannot create the folder"):
        write_text(tmp_path / "file" / "below.txt", "text")


def test_a_folder_that_fails_leaves_no_parents_behind_but_what_others_put_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError), atomic_folder(tmp_path / "exports" / "deep" / "run") as partial:
        (partial / "missing").read_text()
    assert names(tmp_path) == []
    writer = atomic_folder(tmp_path / "exports" / "run")
    writer.__enter__()
    (tmp_path / "exports" / "other").touch()
    assert not writer.__exit__(InvalidInputError, InvalidInputError("full"), None), "an error is passed on"
    assert names(tmp_path / "exports") == ["other"]


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_makes_is_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    orphan, other = (tmp_path / f".bundle.{pid}.abc.partial" for pid in (child.pid, os.getpid()))
    for folder in (orphan, other):
        folder.mkdir()
        (folder / "half").touch()
    with atomic_folder(tmp_path / "bundle"):
        assert not orphan.exists()
        assert other.exists()


def test_a_folder_whose_replacement_was_killed_half_way_is_put_back(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    (tmp_path / f".bundle.{child.pid}.abc.replaced").mkdir()
    (tmp_path / f".bundle.{child.pid}.abc.replaced" / "old").touch()
    with pytest.raises(InvalidInputError), atomic_folder(tmp_path / "bundle") as partial:
        (partial / "missing").read_text()
    assert names(tmp_path) == ["bundle"]
    assert names(tmp_path / "bundle") == ["old"]


def test_what_is_no_file_keeps_its_name(tmp_path: Path) -> None:
    """A pipe here; a device's name would be taken from every program of the machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "folder").mkdir()
    for path in (pipe, tmp_path / "folder"):
        with pytest.raises(InvalidInputError, match="is a folder, a pipe or a device"):
            write_text(path, "text")
    assert pipe.is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]
