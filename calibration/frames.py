"""Representative frames: what activation ranges, and statistics of batch norm, are measured on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.frame_sources import IndexedFrames, StreamedFrames, open_frames, shown
from core.configuration import DataConfig
from core.errors import InvalidInputError
from core.export_record import CalibrationRecord
from core.frames import Frame, Size
from core.pairs import Split, open_pairs
from core.video import CHANGED, GRID

FEWEST: Final = 8
"""With fewer frames the ranges of activations are a guess."""
ENOUGH: Final = 32
"""With fewer frames they are worth a warning."""
SMALLEST_SPREAD: Final = 2.0
"""Standard deviation, in 8-bit steps, below which a frame shows nothing if no channel has more."""
LOOKED_AT: Final = 4
"""Frames looked at for each one wanted, where they need not all be: they can be read in any order, or have no end."""

_Signature = NDArray[np.int16]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationSet:
    """Frames to calibrate with."""

    frames: Sequence[Frame]
    """``uint8 [H, W, 3]`` BGR, as the generator is given them (after the condition), in order of time or of names."""
    record: CalibrationRecord
    warning: str | None
    """A line for the user if they are too few for good ranges."""


def choose_frames(
    data: DataConfig,
    size: Size,
    *,
    source: str | None,
    count: int,
    seed: int,
    on_frame: Callable[[int], None] = lambda kept: None,
) -> CalibrationSet:
    """Up to ``count`` different frames, spread over all there are; the same ones for the same input and ``seed``.

    What there is is cut into ``count`` equal stretches, and the seed chooses a frame of each. Frames that show nothing,
    or what another one shows, are passed over: others take their place. Of pairs and images, at most ``LOOKED_AT``
    times ``count`` are read. A video is read to its end, and its stretches are those of the frames that differ; at most
    2 x ``count`` frames are in memory. From a source without an end, the first ``count`` that differ are taken, or
    fewer after ``LOOKED_AT`` times ``count`` samples.

    Args:
        data: of the run: where its training pairs are, and what live frames are made into.
        size: of the frames.
        source: ``frame_sources.open_frames`` says what of; None for the inputs of the training pairs.
        count: frames wanted, at least ``FEWEST``.
        seed: of the choice.
        on_frame: is told how many frames are kept so far, up to ``count``; a video is read on after that.

    Raises:
        InvalidInputError: if there is no such source, it cannot be read, or fewer than ``FEWEST`` frames of it show
            something and differ.
        SourceError: if a video, a camera or a stream cannot be opened, or is lost.
    """
    if count < FEWEST:
        raise InvalidInputError(f"{count} frames are too few to calibrate: give --frames {FEWEST} or more, better 200")
    chooser = _Chooser(count, seed, on_frame)
    with open_frames(data, size, source) as candidates:
        if isinstance(candidates, IndexedFrames):
            frames = chooser.choose_indexed(candidates)
            held_out = candidates.held_out
        else:
            frames = chooser.choose_streamed(candidates)
            held_out = 0
    name = shown(source) if source is not None else data.source
    if len(frames) < FEWEST:
        counted = f"{len(frames)} frame{'' if len(frames) == 1 else 's'}"
        apart = f", {held_out} kept apart to measure fidelity" if held_out else ""
        raise InvalidInputError(
            f"{name} has only {counted} to calibrate with, and {FEWEST} are needed (looked at {chooser.seen}: "
            f"{chooser.near_duplicates} near-duplicates, {chooser.flat} that show nothing{apart}): "
            "give --calibrate more varied images or a longer video, or leave out --int8"
        )
    record = CalibrationRecord(
        source=name,
        frames=len(frames),
        seed=seed,
        seen=chooser.seen,
        near_duplicates=chooser.near_duplicates,
        flat=chooser.flat,
    )
    return _calibration_set(frames, record)


def held_out_frames(data: DataConfig, size: Size, *, count: int) -> tuple[list[Frame], list[Frame] | None]:
    """Inputs of up to ``count`` validation pairs, evenly spread over them, and the true pictures that belong to them.

    Frames are ``uint8 [H, W, 3]`` BGR of ``size``; there are none, and None for the pictures, without validation pairs.

    Raises:
        InvalidInputError: if the data cannot be read.
    """
    pairs = open_pairs(data, Split.VAL)
    places = np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int)
    chosen = [pairs.read(int(place), size) for place in places]
    return [pair.input for pair in chosen], [pair.target for pair in chosen] or None


def split_held_out(chosen: CalibrationSet, count: int) -> tuple[CalibrationSet, list[Frame]]:
    """``chosen`` without every k-th frame, and those, up to ``count``: for a network whose own data is not known.

    At most half are taken, and at least ``FEWEST`` stay. No frame is a near-duplicate of another, so neither part has
    seen the other; but they come from one source, and say little of others.

    Raises:
        InvalidInputError: if there are only ``FEWEST`` frames.
    """
    total = len(chosen.frames)
    taken = min(count, total // 2, total - FEWEST)
    if taken < 1:
        raise InvalidInputError(
            f"all {total} frames of {chosen.record.source} that differ are needed to calibrate, and none is left to "
            "measure fidelity on: give --calibrate more varied images or a longer video"
        )
    places = {(2 * i + 1) * total // (2 * taken) for i in range(taken)}
    kept = [frame for place, frame in enumerate(chosen.frames) if place not in places]
    record = chosen.record.model_copy(update={"frames": len(kept)})
    return _calibration_set(kept, record), [chosen.frames[place] for place in sorted(places)]


def _calibration_set(frames: Sequence[Frame], record: CalibrationRecord) -> CalibrationSet:
    warning = None
    if len(frames) < ENOUGH:
        warning = (
            f"only {len(frames)} frames of {record.source} to calibrate with, of which ranges are poor estimates: "
            f"{ENOUGH} or more are better, 200 are good (--calibrate, --frames)"
        )
    return CalibrationSet(frames=frames, record=record, warning=warning)


@dataclass(frozen=True, slots=True)
class _Candidate:
    frame: Frame
    signature: _Signature


class _Chooser:
    """Chooses frames and counts what it looked at."""

    def __init__(self, count: int, seed: int, on_frame: Callable[[int], None]) -> None:
        self.count = count
        self.seen = self.near_duplicates = self.flat = 0
        self._random = np.random.default_rng(seed)
        self._on_frame = on_frame

    def choose_indexed(self, candidates: IndexedFrames) -> list[Frame]:
        """Round after round: as many of the rest, evenly spread, as are still missing."""
        chosen: dict[int, _Candidate] = {}
        rest = np.arange(candidates.count)
        while (missing := self.count - len(chosen)) and len(rest) and self.seen < LOOKED_AT * self.count:
            stretches = np.array_split(rest, min(missing, len(rest)))
            indices = [int(self._random.choice(stretch)) for stretch in stretches]
            rest = np.setdiff1d(rest, indices)
            for index, frame in zip(indices, candidates.read(indices), strict=True):
                if (candidate := self._look_at(frame, list(chosen.values()))) is not None:
                    chosen[index] = candidate
                    self._on_frame(len(chosen))
        return [chosen[index].frame for index in sorted(chosen)]

    def choose_streamed(self, candidates: StreamedFrames) -> list[Frame]:
        """In one pass and without knowing the length: between ``count`` and twice as many stretches of equal length
        are kept at a time, one frame of each; when there are more, every two become one.
        """
        kept: list[_Candidate] = []
        last: _Candidate | None = None
        length, filled = 1, 1  # frames of a stretch, and of the last one so far
        for frame in candidates.frames:
            # What the last one shows is compared first: it is the likeliest, and may have lost its place.
            candidate = self._look_at(frame, kept if last is None else [last, *kept])
            if candidate is not None:
                last = candidate
                if filled < length:
                    filled += 1
                    if self._random.integers(filled) == 0:
                        kept[-1] = candidate
                else:
                    if len(kept) == 2 * self.count:
                        kept = [kept[i + self._random.integers(2)] for i in range(0, len(kept), 2)]
                        length *= 2
                    kept.append(candidate)
                    filled = 1
                self._on_frame(min(len(kept), self.count))
            if candidates.endless and (len(kept) == self.count or self.seen >= LOOKED_AT * self.count):
                break
        stretches = np.array_split(np.arange(len(kept)), min(self.count, len(kept)) or 1)
        return [kept[int(self._random.choice(stretch))].frame for stretch in stretches if len(stretch)]

    def _look_at(self, frame: Frame, others: Sequence[_Candidate]) -> _Candidate | None:
        """``frame`` as a candidate, unless it shows nothing or what one of ``others`` shows."""
        self.seen += 1
        if cv2.meanStdDev(frame)[1].max() < SMALLEST_SPREAD:  # of each channel: a blue wall is as empty as a gray one
            self.flat += 1
            return None
        candidate = _Candidate(frame, _signature(frame))
        # The first is compared alone: in a video most frames show what the one before showed.
        if any(_nearest(candidate, some) < CHANGED for some in (others[:1], others[1:])):
            self.near_duplicates += 1
            return None
        return candidate


def _nearest(candidate: _Candidate, others: Sequence[_Candidate]) -> float:
    """The largest change of a cell between ``candidate`` and that of ``others`` from which it changed least."""
    if not others:
        return float("inf")
    changes = np.abs(np.stack([other.signature for other in others]) - candidate.signature)
    return float(changes.max(axis=(1, 2, 3)).min())


def _signature(frame: Frame) -> _Signature:
    """Mean colour of each cell of a GRID x GRID grid, in 8-bit steps: ``int16 [GRID, GRID, 3]``.

    Two frames that differ by less than ``CHANGED`` everywhere are near-duplicates (``core.video``). Colour counts,
    since label maps may differ in nothing else.
    """
    return cv2.resize(frame, (GRID, GRID), interpolation=cv2.INTER_AREA).astype(np.int16)
