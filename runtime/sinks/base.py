"""What every sink does, and the pictures that it is given."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.errors import InvalidInputError, SinkError
from core.frames import Frame, Size, fit, is_special, side_by_side


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

    def interrupt(self) -> None:
        """Told when the user wants to end, perhaps in the middle of ``write``, which should wait for nobody then.

        Called from a signal's handler: nothing may be locked here.
        """
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


class OneSize:
    """Pictures that all have the size of the first one, because what is written has one.

    Attributes:
        note: that some were cut to it, if that was so.
    """

    def __init__(self, name: str, *, fitted: bool) -> None:
        """``fitted``: others are cut to that size, as a live stream cannot be had again; else they are refused."""
        self._name = name
        self._fitted = fitted
        self._first: Size | None = None
        self.note: str | None = None

    def of(self, frame: Frame) -> Frame:
        """``frame``, of the first one's size.

        Raises:
            SinkError: if it is of another one and not to be cut.
        """
        size = Size(*frame.shape[:2])
        self._first = self._first or size
        if size == self._first:
            return frame
        if not self._fitted:
            raise SinkError(
                f"{self._name} has pictures of {self._first}, and now one of {size} comes: "
                "leave out --native-size, or give --output a folder of images"
            )
        self.note = f"{self._name}: pictures of {size} were cut to the first one's {self._first}"
        return fit(frame, self._first)


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
    if is_special(path) and not path.is_dir():
        raise SinkError(f"cannot write {path}: it is a pipe, a device or a socket; choose another --output")
    parents = path.absolute().parents
    folder = path if path.is_dir() else next(parent for parent in parents if parent.exists())
    if not folder.is_dir():
        raise SinkError(f"cannot write {path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SinkError(f"cannot write {path}: no permission in {folder}; choose another --output")
