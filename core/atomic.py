"""Files and folders that are whole or absent, whatever ends the process while they are written."""

import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import InvalidInputError


def _sibling(path: Path) -> Path:
    """A hidden name beside ``path`` (same file system, so that the final rename is atomic), suffix kept."""
    return path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")


def make_folder(path: Path) -> Path:
    """Create ``path`` and its parents.

    Raises:
        InvalidInputError: if it cannot be created or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(
            f"cannot create the folder {path}: {error.strerror}; choose another with --out"
        ) from error
    return path


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes ``path``'s place when the block ends without an error.

    Raises:
        InvalidInputError: if the folder cannot be written to, or something else than a file has the name: a device's
            own would be taken from everybody.
    """
    if path.exists() and not path.is_file():
        raise InvalidInputError(f"cannot write {path}: it is a folder, a pipe or a device; choose another name")
    make_folder(path.parent)
    partial = _sibling(path)
    _remove_dead(path)
    try:
        yield partial
        partial.chmod(0o644)  # some writers keep what they write to themselves
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # what cannot be there (a name too long) need not be removed
            partial.unlink(missing_ok=True)


def _remove_dead(path: Path) -> None:
    """Remove what processes that were killed while writing the file ``path`` have left beside it."""
    for partial in path.parent.glob(f".{glob.escape(path.stem)}.*.partial{glob.escape(path.suffix)}"):
        owner = partial.name.removeprefix(f".{path.stem}.").partition(".")[0]
        if owner.isdecimal() and not is_alive(int(owner)):
            with contextlib.suppress(OSError):
                partial.unlink()


def remove_partial(folder: Path) -> None:
    """Remove what processes that were killed while writing to ``folder`` have left there half-written."""
    for path in folder.glob(".*.partial*"):
        with contextlib.suppress(OSError):
            path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path``, whole or not at all."""
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder; it takes ``path``'s place when the block ends without an error.

    A folder that was there before stays untouched until then, and is replaced as a whole.

    Raises:
        InvalidInputError: if the parent folder cannot be written to.
    """
    path = path.resolve()  # a link stays a link; what it points at is replaced
    made = [parent for parent in path.parents if not parent.exists()]
    make_folder(path.parent)
    try:
        _remove_orphans(path)
        partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.{os.getpid()}.", suffix=".partial", dir=path.parent))
    except OSError as error:
        raise InvalidInputError(f"cannot write beside {path}: {error.strerror}; choose another with --out") from error
    partial.chmod(0o755)  # mkdtemp's 0o700 would shut out everyone else once it is the real folder
    try:
        yield partial
        _replace_folder(partial, path)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror or error}; choose another with --out") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        for parent in made:  # those that this made, and nobody has put anything into: what failed leaves nothing
            with contextlib.suppress(OSError):
                parent.rmdir()


def _remove_orphans(path: Path) -> None:
    """Remove what processes that were killed while making the folder ``path`` have left beside it."""
    for orphan in path.parent.glob(f".{glob.escape(path.name)}.*"):
        owner = orphan.name.removeprefix(f".{path.name}.").partition(".")[0]
        if orphan.suffix not in (".partial", ".replaced") or not owner.isdecimal() or is_alive(int(owner)):
            continue
        if orphan.suffix == ".replaced" and not path.exists():
            orphan.rename(path)  # it was killed between the two renames
        else:
            shutil.rmtree(orphan, ignore_errors=True)


def is_alive(process: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it is somebody else's
    return True


def _replace_folder(new: Path, path: Path) -> None:
    """Let ``new`` take the place of ``path``; on failure the old folder is put back."""
    if not path.exists():
        new.rename(path)
        return
    replaced = new.with_suffix(".replaced")
    path.rename(replaced)
    try:
        new.rename(path)
    except BaseException:
        replaced.rename(path)
        raise
    shutil.rmtree(replaced)


def point_latest(folder: Path, link: Path | None = None) -> None:
    """Point the symbolic link ``link`` (``latest`` beside ``folder`` unless given) at it, in one step.

    Raises:
        InvalidInputError: if something that is not a link is in its place, or it cannot be written.
    """
    link = link or folder.parent / "latest"
    check_link(link)
    make_folder(link.parent)
    parent, folder = link.parent.resolve(), folder.resolve()
    target = folder.relative_to(parent) if folder.is_relative_to(parent) else folder
    partial = link.parent / f".{link.name}.{os.getpid()}"
    try:
        partial.unlink(missing_ok=True)
        partial.symlink_to(target)
        partial.replace(link)
    except OSError as error:
        raise InvalidInputError(f"cannot write the link {link}: {error.strerror or error}") from error


def check_link(link: Path) -> None:
    """Refuse a place where ``point_latest`` could not put its link, before the work that the link is to point at.

    Raises:
        InvalidInputError: if something else is there, or the folder it is to lie in cannot be written to.
    """
    if link.exists() and not link.is_symlink():
        raise InvalidInputError(f"{link} is not a link that this tool made: move it away")
    check_creatable(link)


def check_creatable(path: Path) -> None:
    """Refuse a place that could not be made, before the work that is to go there.

    Raises:
        InvalidInputError: if the folder it would lie in is none, or cannot be written to.
    """
    try:
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        path.resolve()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "its links lead in a circle"
        raise InvalidInputError(f"{path} cannot be made: {reason}; choose another place") from error
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InvalidInputError(f"{folder} cannot be written to, and {path} is to be made there: work elsewhere")


def find_latest(folder: Path) -> Path | None:
    """What the link ``latest`` in ``folder`` points at, by its own name; None if there is no such link or target."""
    link = folder / "latest"
    if not link.exists():
        return None
    target = link.resolve()
    return folder / target.name if target.parent == folder.resolve() else target
