"""The paper's sets by name, from a server on this machine that is not always kind."""

import contextlib
import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

import train.archives
import train.downloads
from core.conditions import Condition
from core.configuration import DataConfig, Task
from core.errors import InvalidInputError
from core.frames import Size
from core.pairs import Split, open_pairs
from tests.train.loopback_server import Handler, Server, half, rest, status, whole
from train.data_source import locate_data
from train.datasets import CACHE_VARIABLE, DATASETS, URL_VARIABLE, cache_folder, fetch_dataset


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(train.downloads, "RETRY_SECONDS", (0.0, 0.0))
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        monkeypatch.setenv(URL_VARIABLE, f"http://127.0.0.1:{server.server_port}/sets/")
        monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
        for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(proxy, raising=False)
        yield server
        server.shutdown()
        thread.join()


def picture() -> bytes:
    image = np.zeros((8, 16, 3), np.uint8)
    image[:, 8:] = 255
    return bytes(cv2.imencode(".png", image)[1])


def archive(members: dict[str, bytes | tarfile.TarInfo]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def facades() -> bytes:
    counts = {"train": DATASETS["facades"].train, "val": 3}
    return archive({f"facades/{split}/{i}.png": picture() for split, count in counts.items() for i in range(count)})


def fetch(name: str = "facades") -> Path:
    return fetch_dataset(name, say=lambda _: None)


def refused(name: str = "facades") -> str:
    with pytest.raises(InvalidInputError) as caught:
        fetch(name)
    message = str(caught.value)
    assert "\n" not in message
    assert "--data FOLDER" in message
    return message


def left_in(tmp_path: Path) -> set[str]:
    """What could be taken for a data set, or is in the way."""
    return {path.name for path in (tmp_path / "cache" / "datasets").iterdir()} - {".facades.lock"}


def test_a_set_is_downloaded_once_and_can_be_trained_on(server: Server, facades: bytes, tmp_path: Path) -> None:
    server.answers = [whole(facades)]
    lines: list[str] = []
    kind = {"layout": None, "condition": Condition.IDENTITY, "task": Task.TRANSLATE}
    source, layout = locate_data("facades", say=lines.append, **kind)
    assert server.requests == [("/sets/facades.tar.gz", None)]
    assert any("--direction BtoA" in line for line in lines)
    pairs = {split: open_pairs(DataConfig(source=source, layout=layout), split) for split in Split}
    assert [len(part) for part in pairs.values()] == [400, 3, 0]
    assert pairs[Split.VAL].read(0, Size(8, 8)).target.min() == 255
    record = json.loads((tmp_path / "cache" / "datasets" / "facades" / "dataset.json").read_text())
    assert record["sha256"] == hashlib.sha256(facades).hexdigest()
    assert record["images"] == {"train": 400, "val": 3}
    assert left_in(tmp_path) == {"facades"}

    assert locate_data("Facades", say=lines.append, **kind) == (source, layout)
    assert len(server.requests) == 1


def test_the_cache_follows_the_usual_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "pix2pix-edge" / "datasets"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "pix2pix-edge" / "datasets"


def test_a_broken_connection_is_taken_up_where_it_ended(server: Server, facades: bytes) -> None:
    server.answers = [half(facades), rest(facades)]
    assert len(list((fetch() / "train").iterdir())) == 400
    assert server.requests[1] == ("/sets/facades.tar.gz", f"bytes={len(facades) // 2}-")
    assert server.sent == [200, 206]


def test_a_later_call_takes_up_what_an_earlier_one_received(server: Server, facades: bytes, tmp_path: Path) -> None:
    server.answers = [half(facades), status(503)]
    assert "503" in refused()
    assert left_in(tmp_path) == {".facades.tar.gz.part", ".facades.tar.gz.part.tag"}
    server.answers = [rest(facades)]
    fetch()
    assert server.requests[-1][1] == f"bytes={len(facades) // 2}-"
    assert server.sent[-1] == 206
    assert left_in(tmp_path) == {"facades"}


@pytest.mark.parametrize("second", ["another version", "no ranges", "another part", "range refused"])
def test_what_is_no_continuation_is_not_taken_for_one(server: Server, facades: bytes, second: str) -> None:
    def elsewhere(handler: Handler) -> None:
        handler.send(206, facades[7:], Content_Range=f"bytes 7-{len(facades) - 1}/{len(facades)}")

    answers = {
        "another version": [rest(facades, '"2"')],
        "no ranges": [whole(facades)],
        "another part": [elsewhere, whole(facades)],
        "range refused": [status(416), whole(facades)],
    }
    server.answers = [half(facades[::-1]), *answers[second]]
    assert len(list((fetch() / "train").iterdir())) == 400


def test_a_connection_that_never_holds_is_given_up(server: Server, facades: bytes, tmp_path: Path) -> None:
    server.answers = [lambda handler: handler.send(200, facades[:1000], len(facades))]  # and no way to continue
    assert f"broke off after 1000 of {len(facades)} bytes" in refused()
    assert len(server.requests) == 3
    assert "facades" not in left_in(tmp_path)


def test_a_missing_file_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.answers = [status(404)]
    assert "the server answers 404" in refused()
    assert len(server.requests) == 1
    assert left_in(tmp_path) == set()


def test_no_server_at_all_is_one_line(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL_VARIABLE, "http://127.0.0.1:1")
    assert "no connection" in refused()
    monkeypatch.setenv(URL_VARIABLE, "file:///etc")
    assert "http://" in refused()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


EVIL: dict[str, dict[str, bytes | tarfile.TarInfo]] = {
    "../evil.png": {"../evil.png": b"x"},
    "train/../../evil.png": {"train/../../evil.png": b"x"},
    "/tmp/evil.png": {"/tmp/evil.png": b"x"},
    "train/out": {"l": link("train/out", ".."), "train/out/evil.png": b"x"},
    "hard": {"h": link("hard", "../../../outside.txt", tarfile.LNKTYPE)},
    "device": {"d": link("device", "", tarfile.CHRTYPE)},
    "twice.png": {"twice.png": b"x", "./twice.png": b"y"},
}


@pytest.mark.parametrize("name", EVIL)
def test_an_archive_that_reaches_out_of_its_folder_is_refused(server: Server, tmp_path: Path, name: str) -> None:
    (tmp_path / "outside.txt").write_text("mine")
    good: dict[str, bytes | tarfile.TarInfo] = {f"facades/train/{i}.png": picture() for i in range(400)}
    server.answers = [whole(archive(good | EVIL[name]))]
    message = refused()
    assert "not trusted" in message
    assert name in message
    assert left_in(tmp_path) == set()
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "outside.txt"}
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("what", ["garbage", "page", "empty", "cut off", "flipped", "trailing", "no tar", "few images"])
def test_what_is_not_the_whole_set_is_refused(server: Server, facades: bytes, tmp_path: Path, what: str) -> None:
    flipped = bytearray(facades)
    flipped[-6] ^= 1  # in the checksum: all files come out whole
    body = {
        "garbage": bytes(range(256)) * 50,
        "page": b"<html>Moved to our new site</html>",
        "empty": b"",
        "cut off": facades[: len(facades) // 2],
        "flipped": bytes(flipped),
        "trailing": facades + b"more",
        "no tar": gzip.compress(b"text " * 1000),
        "few images": archive({f"facades/train/{i}.png": picture() for i in range(399)}),
    }[what]
    server.answers = [whole(body)]
    reason = "399 training images" if what == "few images" else "not a whole .tar.gz archive"
    assert reason in refused()
    assert left_in(tmp_path) == set()


def test_an_archive_that_grows_beyond_bounds_is_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train.archives, "SPARE_BYTES", 10_000)
    server.answers = [whole(archive({"facades/train/0.png": bytes(10**7)}))]
    assert "far more than its size" in refused()
    assert left_in(tmp_path) == set()


def test_a_disk_without_room_is_said_before_it_is_full(
    server: Server, facades: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = [lambda handler: handler.send(200, facades, 10**15)]
    assert "MiB are free" in refused()
    assert left_in(tmp_path) == set()


def test_a_disk_that_fills_up_leaves_no_set_and_keeps_what_was_downloaded(
    server: Server, facades: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    server.answers = [whole(facades)]
    with monkeypatch.context() as patched:
        patched.setattr(train.archives.shutil, "copyfileobj", full)
        assert "No space left on device" in refused()
    fetch()
    assert len(server.requests) == 1


def test_two_at_once_download_once(server: Server, facades: bytes) -> None:
    server.answers = [whole(facades)]
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(fetch())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == 1
    assert len(found) == 4
    assert len(set(found)) == 1


def test_interrupted_while_unpacking_the_archive_is_not_downloaded_again(
    server: Server, facades: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    server.answers = [whole(facades)]
    with monkeypatch.context() as patched:
        patched.setattr(train.archives.shutil, "copyfileobj", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch()
    assert left_in(tmp_path) == {".facades.tar.gz"}
    fetch()
    assert len(server.requests) == 1
    assert left_in(tmp_path) == {"facades"}


def test_a_cache_that_cannot_be_written_or_holds_something_else_is_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "cache" / "datasets" / "facades"
    other.mkdir(parents=True)
    with pytest.raises(InvalidInputError, match="is in the place of a downloaded set"):
        fetch()
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(InvalidInputError, match=CACHE_VARIABLE):
        fetch()
    assert not server.requests


def test_a_server_that_never_ends_is_stopped(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(bytes(2**16))

    monkeypatch.setattr(train.downloads, "MAX_BYTES", 2**20)
    server.answers = [endless]
    assert "sends more than 1048576 bytes" in refused()
    assert not {name for name in left_in(tmp_path) if not name.endswith(".tag")}


@pytest.mark.parametrize("url", ["http://[::bad/", "ftp://127.0.0.1/", "file:///etc"])
def test_what_is_no_address_is_one_line(monkeypatch: pytest.MonkeyPatch, server: Server, url: str) -> None:
    monkeypatch.setenv("PIX2PIX_EDGE_DATASETS_URL", url)
    assert "address" in refused()
    assert server.requests == []
