"""A file from the network: with time-outs, retries that go on where the last one ended, and a progress bar."""

import http.client
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from core.errors import InvalidInputError

TIMEOUT_SECONDS: Final = 30.0
"""For connecting, and for each wait for more."""
RETRY_SECONDS: Final = (1.0, 3.0, 10.0)
"""Waits before each new attempt; what was received since the last one starts the count again."""
_BLOCK: Final = 2**18
MAX_BYTES: Final = 2**35
"""More than any set has; what a server may send that does not say how much it will."""
_RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class _LostError(Exception):
    """The connection failed in a way that another attempt may mend."""


def download(url: str, path: Path, *, say: Callable[[str], None]) -> None:
    """Put what ``url`` (http or https) leads to at ``path``, whole or not at all.

    What was received lies beside it as ``<name>.part`` until it is complete, and the next attempt, by this call or a
    later one, asks the server for the rest only, if the server can tell that the file is still the same.

    Raises:
        InvalidInputError: if the address is none, the server refuses, or the connection fails again and again.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise InvalidInputError("the address does not begin with http:// or https://")
    part = path.with_name(f"{path.name}.part")
    failures = 0
    with ExitStack() as opened:
        show, tell = _progress(opened, path, say)
        while True:
            before = _length(part)
            try:
                _receive(url, part, show)
                break
            except _LostError as error:
                failures = 1 if _length(part) > before else failures + 1
                if failures > len(RETRY_SECONDS):
                    raise InvalidInputError(f"{error}, {failures} times in a row") from error
                wait = RETRY_SECONDS[failures - 1]
                tell(f"{error}: trying again in {wait:g} s")
                time.sleep(wait)
            except OSError as error:
                raise InvalidInputError(f"cannot write {part}: {error.strerror or error}") from error
    try:
        part.replace(path)
        _tag_file(part).unlink(missing_ok=True)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror or error}") from error


def _receive(url: str, part: Path, show: Callable[[int, int | None], None]) -> None:
    """One attempt at the rest of ``part``; ``OSError`` is of the file, everything of the network is ``_LostError``."""
    start, tag = _length(part), _read_tag(part)
    if not tag:
        start = 0
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "pix2pix-edge"})
    except ValueError as error:
        raise InvalidInputError(f"{url} is no address ({error})") from error
    if start:
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", tag)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # there is no rest: what lies here is not the beginning of that file
            part.unlink()
            raise _LostError("the server has no rest of what was received before") from error
        if error.code in _RETRIED:
            raise _LostError(f"the server answers {error.code} ({error.reason})") from error
        raise InvalidInputError(f"the server answers {error.code} ({error.reason})") from error
    except urllib.error.URLError as error:
        raise _LostError(f"no connection ({error.reason})") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _LostError(f"no connection ({error})") from error
    with response:
        resumed = start > 0 and response.status == 206 and _begins_at(response, start)
        if start and response.status == 206 and not resumed:
            part.unlink()
            raise _LostError("the server sends another part than the one asked for")
        start = start if resumed else 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else None
        _check_room(part, total, start)
        _tag_file(part).write_text(_tag(response), encoding="utf-8")
        done = _append(response, part, start, total, show)
    if total is not None and done != total:
        raise _LostError(f"the connection broke off after {done} of {total} bytes")


def _append(
    response: http.client.HTTPResponse,
    part: Path,
    start: int,
    total: int | None,
    show: Callable[[int, int | None], None],
) -> int:
    """Write what comes behind the first ``start`` bytes of ``part``; its length then."""
    done = start
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        while True:
            try:
                block = response.read(_BLOCK)
            except (OSError, http.client.HTTPException) as error:
                raise _LostError(f"the connection broke off after {done} bytes ({error})") from error
            if not block:
                break
            file.write(block)
            done += len(block)
            if done > (bound := MAX_BYTES if total is None else total):
                part.unlink()
                raise InvalidInputError(f"the server sends more than {bound} bytes, and no end can be seen")
            if done % (64 * _BLOCK) < len(block):
                _check_room(part, total or done, done)
            show(done, total)
        file.flush()
        os.fsync(file.fileno())
    return done


def _begins_at(response: http.client.HTTPResponse, start: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _tag(response: http.client.HTTPResponse) -> str:
    """What the server can tell this version of the file by; weak tags do not promise equal bytes (RFC 9110, 13.1.5)."""
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _tag_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.tag")


def _read_tag(part: Path) -> str:
    try:
        tag = _tag_file(part).read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeError):
        return ""
    return tag if tag.isprintable() else ""


def _length(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def _check_room(part: Path, total: int | None, start: int) -> None:
    if total is None:
        return
    free, wanted = shutil.disk_usage(part.parent).free, 2 * total - start  # the archive and what it unpacks to
    if free < wanted:
        raise InvalidInputError(
            f"{wanted // 2**20} MiB are needed in {part.parent}, {free // 2**20} MiB are free: make room, or set "
            "PIX2PIX_EDGE_CACHE to a folder on a larger disk"
        )


def _progress(
    opened: ExitStack, path: Path, say: Callable[[str], None]
) -> tuple[Callable[[int, int | None], None], Callable[[str], None]]:
    """A function that shows how far it is, a bar on a terminal or a line for every tenth, and one for lines."""
    name = path.name.lstrip(".")
    console = Console(stderr=True)
    if sys.stderr.isatty():
        columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        bar = opened.enter_context(Progress(*columns, console=console))
        task = bar.add_task(name, total=None)
        return (
            lambda done, total: bar.update(task, completed=done, total=total),
            lambda line: bar.console.print(line, markup=False, highlight=False, soft_wrap=True),
        )
    said = -1

    def tell(done: int, total: int | None) -> None:
        nonlocal said
        tenth = done * 10 // total if total else done // 10**8
        if tenth > said:
            said = tenth
            say(f"{name}: {done / 1e6:.1f} of {total / 1e6:.1f} MB" if total else f"{name}: {done / 1e6:.1f} MB")

    return tell, say
