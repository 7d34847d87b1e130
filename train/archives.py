"""Archives from elsewhere, unpacked with nothing taken on trust."""

import gzip
import hashlib
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final

from core.errors import InvalidInputError

MAX_GROWTH: Final = 4
SPARE_BYTES: Final = 2**26
"""Pictures hardly compress: an archive that unpacks to more than ``MAX_GROWTH`` times its size and ``SPARE_BYTES`` is
something else."""
MAX_MEMBERS: Final = 1_000_000
_BLOCK: Final = 2**20


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the ``.tar.gz`` file ``archive`` into ``folder``, which is empty.

    Only regular files and folders with names below ``folder`` are unpacked, with this user's own permissions. That is
    stricter than ``tarfile.data_filter``, which lets links within the folder through, and as strict on every Python.

    Raises:
        InvalidInputError: if it is damaged or incomplete, holds links, devices, or names that leave the folder, or
            grows beyond bounds. What was unpacked so far is left for the caller to remove.
        OSError: if a file cannot be written.
    """
    try:
        with _BoundedGzip(archive, MAX_GROWTH * archive.stat().st_size + SPARE_BYTES) as unzipped:
            with tarfile.open(fileobj=unzipped, mode="r|") as tar:
                for number, member in enumerate(tar):
                    if number >= MAX_MEMBERS:
                        raise InvalidInputError(f"the archive holds more than {MAX_MEMBERS} files: it is not trusted")
                    _unpack_member(tar, member, folder)
            while unzipped.read(_BLOCK):  # the checksum of all lies behind the last file
                pass
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, UnicodeError) as error:
        raise InvalidInputError(f"what came is not a whole .tar.gz archive ({error})") from error


class _BoundedGzip(gzip.GzipFile):
    """A gzip file of at most ``room`` bytes: also names and headers are read through it, which may be endless."""

    def __init__(self, path: Path, room: int) -> None:
        super().__init__(path, "rb")
        self._room = room

    def read(self, size: int | None = -1) -> bytes:
        """Up to ``size`` bytes."""
        data = super().read(size)
        self._room -= len(data)
        if self._room < 0:
            raise InvalidInputError("the archive unpacks to far more than its size: it is not trusted")
        return data


def _unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\\" in member.name or "\0" in member.name:
        raise InvalidInputError(f"the archive holds {member.name[:80]!a}, which leaves its folder: it is not trusted")
    if not member.isdir() and not member.isreg():
        raise InvalidInputError(f"the archive holds {member.name[:80]!a}, a link or device: it is not trusted")
    try:
        if member.isdir():
            (folder / name).mkdir(parents=True, exist_ok=True)
            return
        content = tar.extractfile(member)
        assert content is not None
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with content, (folder / name).open("xb") as file:
            shutil.copyfileobj(content, file, _BLOCK)
    except (FileExistsError, NotADirectoryError) as error:
        raise InvalidInputError(f"the archive holds {member.name[:80]!a} more than once: it is not trusted") from error


def file_sha256(path: Path) -> str:
    """SHA-256 of the file at ``path``, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
