"""What every sink does, and the pictures that it is given."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.errors import InvalidInputError, SinkError
from core.frames import Frame, side_by_side


@dataclass(frozen=True, slots=True)
class Picture:
    """A translation on its way out."""

    frame: Frame
    seen: Frame
    """What the generator saw, of the same size."""
    index: int
    """Of the captured frame, from 0; frames that were dropped are counted too."""
    name: str | None
    """What the source calls the frame (an image's name without suffix), if it does."""
    captured_ns: int
    """When the frame was captured, on the scale of ``time.perf_counter_ns``."""
    label: str = ""
    """What translated it, in a word or two."""

    def beside(self) -> Frame:
        """What the generator saw, and its translation right of it."""
        return side_by_side(self.seen, self.frame)


class VideoSink(ABC):
    """Takes pictures in order, from one thread. Ends with ``close`` (all is well) or ``abort`` (leave nothing)."""

    @abstractmethod
    def write(self, picture: Picture) -> None:
        """Take one picture.

        Raises:
            SinkError: if it cannot be written.
        """

    @property
    def busy(self) -> bool:
        """Whether it wants no further picture just now (``poll`` is called until it does)."""
        return False

    def poll(self) -> bool:
        """Called between pictures and while none comes; True if its user wants the stream to end."""
        return False

    @property
    def note(self) -> str | None:
        """What its user should know at the end, a line."""
        return None

    def notice(self, text: str | None) -> None:
        """A line for the user, such as that the source is lost; None: all is well again. About once a second."""
        return

    def cut_short(self) -> None:
        """Told before ``close`` where the stream ends before its source did."""
        return

    @abstractmethod
    def close(self) -> None:
        """Finish what was written. May be called again.

        Raises:
            SinkError: if that fails; then nothing is left.
        """

    @abstractmethod
    def abort(self) -> None:
        """Leave nothing of what was written, unless it was finished by ``close``. Raises nothing."""


@contextmanager
def sink_errors(path: Path) -> Iterator[None]:
    """Raise ``SinkError`` for whatever keeps the block from writing ``path``."""
    try:
        yield
    except (InvalidInputError, OSError) as error:
        cause = error.__cause__ if isinstance(error, InvalidInputError) else error  # itself made of an OSError
        reason = cause.strerror if isinstance(cause, OSError) else None
        raise SinkError(f"cannot write {path}: {reason or error}; choose another --output") from error


def check_writable(path: Path) -> None:
    """Raise ``SinkError`` unless ``path`` could be made, or is a folder that can be written into."""
    parents = path.absolute().parents
    folder = path if path.is_dir() else next(parent for parent in parents if parent.exists())
    if not folder.is_dir():
        raise SinkError(f"cannot write {path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SinkError(f"cannot write {path}: no permission in {folder}; choose another --output")
