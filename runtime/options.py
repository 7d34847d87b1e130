"""What a user asks of a stream, checked once."""

import math
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from core.conditions import Condition, EdgeThresholds
from core.errors import InvalidInputError
from core.frames import Size
from core.geometry import Fit
from core.precision import Precision
from runtime.sources import SourceOptions

ChoiceT = TypeVar("ChoiceT", bound=StrEnum)

MAX_SIDE: Final = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """A stream: what of, through what, to where.

    Attributes:
        bundle: a folder or the name of a built-in bundle; None: the newest, or a built-in one.
        source: what ``open_source`` takes; None: the demo.
        source_options: how it is opened.
        outputs: what ``open_sink`` takes.
        frames: stop after so many.
        show: whether there is a window.
        side_by_side: whether what the generator saw is shown left of its translation.
        native_size: whether translations come back at the size of the frames.
        condition: None: the bundle's.
        edges: thresholds of the condition ``edges``.
        fit, mirror, rotate, half: as in ``core.geometry.Geometry``.
        target, precision, size: which artifacts may be taken.
        device: where they are to run, as ``runtime.engines.open_engine`` takes it; None: where each does by itself.
        threads: CPU threads of the engine.
        depth: frames that the engine works on at a time; None: three for files (given two cores), else one.
        hold_fps: frames a second that are to be held.
        skip_still: threshold in 8-bit steps.
        csv: a file for the figures of every frame.
        metrics: where figures are served, such as ``9100`` or ``0.0.0.0:9100``.
    """

    bundle: str | None = None
    source: str | None = None
    source_options: SourceOptions = field(default_factory=SourceOptions)
    outputs: tuple[str, ...] = ()
    frames: int | None = None
    show: bool = True
    side_by_side: bool = False
    native_size: bool = False
    condition: Condition | None = None
    edges: EdgeThresholds | None = None
    fit: Fit = Fit.CROP
    mirror: bool = False
    rotate: int = 0
    half: str | None = None
    target: str | None = None
    precision: Precision | None = None
    size: Size | None = None
    device: str | None = None
    threads: int | None = None
    depth: int | None = None
    hold_fps: float | None = None
    skip_still: float | None = None
    csv: Path | None = None
    metrics: str | None = None


def choose(kind: type[ChoiceT], text: str | None) -> ChoiceT | None:
    """The member of ``kind`` that ``text`` names; None for None.

    Raises:
        InvalidInputError: naming the members, if there is none.
    """
    if text is None:
        return None
    if text.lower() not in list(kind):
        raise InvalidInputError(f"unknown {kind.__name__.lower()} {text!r}: choose from {', '.join(kind)}")
    return kind(text.lower())


def parse_width_height(text: str | None) -> Size | None:
    """``"640x480"``, width first as cameras and FFmpeg have it, as a ``Size``; None for None.

    Raises:
        InvalidInputError: for anything else.
    """
    if text is None:
        return None
    sides = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text.lower())
    if sides is None or not all(0 < int(side) <= MAX_SIDE for side in sides.groups()):
        raise InvalidInputError(f"--input-size {text[:40]!r} is not understood: give WIDTHxHEIGHT such as 640x480")
    return Size(int(sides[2]), int(sides[1]))


def parse_retry(text: str) -> float:
    """``"300"`` seconds, or ``"forever"``.

    Raises:
        InvalidInputError: for anything else.
    """
    if text.lower() == "forever":
        return math.inf
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise InvalidInputError(f"--retry {text[:40]!r} is not understood: give seconds, 0 for never, or forever")
    return seconds
