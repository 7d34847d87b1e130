"""What a library worked out for this machine and would work out again, kept for the user between two starts.

Nothing depends on it: a file that is missing, unreadable or cannot be written costs the time it would have saved.
"""

import contextlib
import os
import re
from pathlib import Path
from typing import Final

from core.atomic import atomic_file
from core.errors import InvalidInputError

MAX_FILES: Final = 64
"""Kept at a time; the oldest make room."""


def cache_folder() -> Path:
    """Where this project keeps them: ``$XDG_CACHE_HOME/pix2pix-edge``, or ``~/.cache/pix2pix-edge``.

    A relative ``XDG_CACHE_HOME`` is passed over (XDG Base Directory Specification).
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path("~/.cache").expanduser()) / "pix2pix-edge"


def cache_path(name: str) -> Path:
    """The file of ``name``, in which anything unfit for a file name becomes a hyphen."""
    return cache_folder() / re.sub(r"[^\w.]+", "-", name).lstrip("-.")


def read_cached(name: str) -> bytes:
    """What was kept under ``name``; empty if that is nothing."""
    try:
        return cache_path(name).read_bytes()
    except (OSError, RuntimeError):  # no file, no permission, or no home folder
        return b""


def keep_cached(name: str, content: bytes) -> None:
    """Keep ``content`` under ``name``, whole or not at all, where that can be done."""
    with contextlib.suppress(OSError, RuntimeError, InvalidInputError):
        with atomic_file(cache_path(name)) as partial:
            partial.write_bytes(content)
        files = sorted(
            (path for path in cache_folder().iterdir() if path.is_file()), key=lambda path: path.stat().st_mtime
        )
        for path in files[:-MAX_FILES]:
            path.unlink()
