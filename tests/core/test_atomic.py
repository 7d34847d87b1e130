import os
from pathlib import Path

import pytest

from core.atomic import atomic_file, atomic_folder, point_latest, write_text
from core.errors import InvalidInputError


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    with atomic_folder(path) as partial:
        (partial / "old").touch()
    with pytest.raises(KeyboardInterrupt), atomic_folder(path) as partial:
        (partial / "new").touch()
        raise KeyboardInterrupt
    assert names(path) == ["old"]
    assert names(tmp_path) == ["bundle"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    for name in ("old", "new"):
        with atomic_folder(path) as partial:
            (partial / name).touch()
    assert names(path) == ["new"]
    assert names(tmp_path) == ["bundle"]


def test_latest_points_at_the_newest_and_survives_a_move(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        point_latest(tmp_path / name)
    assert (tmp_path / "latest").resolve().name == "two"
    assert not Path(os.readlink(tmp_path / "latest")).is_absolute()


def test_a_folder_named_latest_that_is_no_link_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    (tmp_path / "run").mkdir()
    with pytest.raises(InvalidInputError, match="latest"):
        point_latest(tmp_path / "run")


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInputError, match="cannot create the folder"):
        write_text(tmp_path / "file" / "below.txt", "text")
