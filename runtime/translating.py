"""What a stream needs of whatever translates its frames."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from core.frames import Frame
from core.geometry import Placed


@dataclass(frozen=True, slots=True)
class Prepared:
    """A captured frame and what the generator is to see of it.

    Attributes:
        image: ``uint8 [H, W, 3]`` BGR of the generator's size.
        placed: where it came from; None where it is the captured frame itself.
    """

    image: Frame
    placed: Placed | None = None


class Pending(Protocol):
    """A translation under way."""

    def result(self) -> Frame:
        """Wait for it: ``uint8 [H, W, 3]`` BGR. Raises what the translation raised."""


@runtime_checkable
class Translating(Protocol):
    """Translates frames one after the other. ``prepare`` and ``submit`` are called in one thread, ``result`` perhaps in
    another, and ``show`` in a third.
    """

    @property
    def label(self) -> str:
        """What translates, in a word or two, for the overlay; may change."""

    @property
    def changes(self) -> bool:
        """Whether the next frame will be translated by something else than the last one was."""

    def prepare(self, frame: Frame) -> Prepared:
        """What is to be translated of ``frame``, ``uint8 [H, W, 3]`` BGR as it was captured."""

    def submit(self, prepared: Prepared) -> Pending:
        """Begin its translation."""

    def show(self, prepared: Prepared, output: Frame) -> tuple[Frame, Frame]:
        """What is put out: the translation, and what the generator saw, of one size."""


@dataclass(frozen=True, slots=True)
class Done:
    """A translation that is there already."""

    frame: Frame

    def result(self) -> Frame:
        """It."""
        return self.frame


@dataclass(frozen=True, slots=True)
class FunctionTranslator:
    """Any function from frame to frame, as a stream wants it: frames go through it as they were captured."""

    translate: Callable[[Frame], Frame]
    label: str = ""
    changes: bool = False

    def prepare(self, frame: Frame) -> Prepared:
        """The frame itself."""
        return Prepared(frame)

    def submit(self, prepared: Prepared) -> Pending:
        """Translate it at once."""
        return Done(self.translate(prepared.image))

    def show(self, prepared: Prepared, output: Frame) -> tuple[Frame, Frame]:
        """Both as they are."""
        return output, prepared.image
