"""The frames that artifacts are calibrated on, and those that they are compared on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from calibration.frames import CalibrationSet, choose_frames, held_out_frames, split_held_out
from core.errors import InvalidInputError
from core.formats import InputShape
from core.frames import as_seen
from export.builder import ShapeFrames
from export.fidelity import HeldOut
from export.original import Original

CALIBRATION_FRAMES: Final = 48
HELD_OUT_FRAMES: Final = 16
FEW: Final = 4
"""Held-out frames that figures of fidelity rest on uneasily."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameOptions:
    """Which frames are calibrated on.

    Attributes:
        source: a folder, a video, a URL or ``camera:0``; None: the run's own training pairs.
        count: how many.
        seed: of the choice.
        own_data: whether ``Original.data`` says where the network's own data is. Where it does not, frames to compare
            on are taken from ``source`` as well, and not calibrated on.
    """

    source: str | None = None
    count: int = CALIBRATION_FRAMES
    seed: int = 0
    own_data: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Frames for the artifacts of one shape.

    Attributes:
        frames: the frames.
        calibration: those to calibrate on, and where they are from; None if none were needed.
        notes: lines that a reader of the figures should know.
    """

    frames: ShapeFrames
    calibration: CalibrationSet | None
    notes: Sequence[str]


def gather_frames(
    original: Original,
    shape: InputShape,
    options: FrameOptions,
    *,
    calibrate: bool,
    say: Callable[[str], None],
) -> Gathered:
    """Frames for artifacts of ``shape``.

    Raises:
        InvalidInputError, SourceError: if there are none, or too few.
    """
    data, size = original.data, shape.size
    apart = options.source is not None and not options.own_data
    calibration = None
    if calibrate or apart:
        say(f"choosing calibration frames for {size}")
        count = options.count + (HELD_OUT_FRAMES if apart else 0)
        calibration = choose_frames(data, size, source=options.source, count=count, seed=options.seed)
    targets = None
    if apart and calibration is not None:
        calibration, inputs = split_held_out(calibration, HELD_OUT_FRAMES)
    else:
        inputs, targets = held_out_frames(data, size, count=HELD_OUT_FRAMES)
        if not options.own_data:
            targets = None  # whatever these pictures are, they are not what the network was to make
    if not inputs:
        raise InvalidInputError(f"{data.source} has no pairs to compare on: give --data a folder with some")
    say(f"translating {len(inputs)} held-out frames with the original network")
    if targets is not None and original.generator is not None:  # a graph made elsewhere gives colours, or gray as such
        targets = [as_seen(target, original.generator.target_encoding) for target in targets]
    held_out = HeldOut(frames=inputs, references=original.translate(inputs), targets=targets)
    frames = ShapeFrames(shape=shape, calibration=calibration.frames if calibration else (), held_out=held_out)
    notes = [calibration.warning] if calibration and calibration.warning else []
    if len(inputs) < FEW:
        notes.append(f"only {len(inputs)} held-out frames to compare on: the figures may be chance")
    if not options.own_data and not apart:
        notes.append(
            f"nothing is known of the data of {original.path.name}: compared (and calibrated) on the built-in facades; "
            "give --data, or --calibrate with frames of what it will see"
        )
    return Gathered(frames=frames, calibration=calibration if calibrate else None, notes=notes)
