import os
from pathlib import Path

import pytest

from core.cache_folder import MAX_FILES, cache_folder, cache_path, keep_cached, read_cached


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "pix2pix-edge"


def test_what_is_kept_is_read_again(folder: Path) -> None:
    assert read_cached("NVIDIA H200, 1/2") == b""
    keep_cached("NVIDIA H200, 1/2", b"first")
    keep_cached("NVIDIA H200, 1/2", b"second")
    assert read_cached("NVIDIA H200, 1/2") == b"second"
    assert [path.name for path in folder.iterdir()] == ["NVIDIA-H200-1-2"]


@pytest.mark.parametrize("name", ["../../outside", "/etc/passwd", ".hidden"])
def test_no_name_leaves_the_folder_or_hides_in_it(folder: Path, name: str) -> None:
    path = cache_path(name)
    assert path.parent == folder
    assert not path.name.startswith(".")


def test_the_oldest_make_room(folder: Path) -> None:
    for i in range(MAX_FILES + 2):
        keep_cached(f"file{i}", b"x")
        os.utime(folder / f"file{i}", (i, i))
    keep_cached("newest", b"x")
    assert len(list(folder.iterdir())) == MAX_FILES
    assert not read_cached("file0")
    assert read_cached("newest")


@pytest.mark.parametrize("base", [None, "", "relative"])
def test_without_an_absolute_place_it_lies_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str | None
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    if base is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", base)
    assert cache_folder() == tmp_path / ".cache" / "pix2pix-edge"


def test_where_nothing_can_be_kept_nothing_happens(folder: Path) -> None:
    folder.write_bytes(b"a file where the folder should be")
    keep_cached("name", b"content")
    assert read_cached("name") == b""
