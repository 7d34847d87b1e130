"""The pictures of a report: what artifacts make of a few frames, and how that differs from what the original makes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.frames import Frame
from core.manifest import Artifact
from export.fidelity import HeldOut
from export.page import exact_url
from export.verdict import title_of

FRAMES: Final = 4
AMPLIFICATION: Final = 8
"""What differences are multiplied by to be seen."""
GRAY: Final = 128
"""No difference."""
LARGEST_SIDE: Final = 512
"""Pixels; of larger frames the middle is shown, pixel for pixel."""
PICTURE_BYTES: Final = 24_000
DIFFERENCE_BYTES: Final = 32_000
"""Up to which pictures are kept without loss: label maps and small differences are."""
PAGE_CHARACTERS: Final = 2_600_000
"""That all pictures may take; beyond it fewer frames are shown, at least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture of the page.

    Attributes:
        url: a data URL.
        title: what it shows.
        note: a figure that belongs to it.
        of: what it belongs to, said only where it is shown large and alone.
    """

    url: str
    title: str
    note: str = ""
    of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Two pictures, one above the other: a translation and its difference, for one; the lower one may be missing."""

    upper: Picture
    lower: Picture | None = None
    legend: bool = False
    """Whether the place of the lower one explains how differences are to be read."""


def picture_rows(
    artifacts: Sequence[Artifact], held_out: HeldOut, pictures: Mapping[str, Sequence[Frame]]
) -> list[list[Card]]:
    """A row of cards for each of the first frames: input and true picture, the original, and every artifact.

    Args:
        artifacts: those of which ``pictures`` holds something of the frames' size are shown, in this order.
        held_out: the frames.
        pictures: by name of artifact, its translations of the first frames, ``uint8 [H, W, 3]`` BGR.
    """
    shown = [
        (artifact, pictures[artifact.name])
        for artifact in artifacts
        if pictures.get(artifact.name) and pictures[artifact.name][0].shape == held_out.frames[0].shape
    ]
    rows: list[list[Card]] = []
    spent = 0
    for index in range(min([FRAMES, len(held_out.frames), *(len(made) for _, made in shown)])):
        cards = [
            *_given(held_out, index, legend=bool(shown)),
            *(_made(artifact, made[index], held_out.references[index]) for artifact, made in shown),
        ]
        size = sum(len(part.url) for card in cards for part in (card.upper, card.lower) if part)
        if rows and spent + size > PAGE_CHARACTERS:
            break
        spent += size
        rows.append(cards)
    return rows


def difference(translation: Frame, reference: Frame) -> Frame:
    """``translation`` minus ``reference``, amplified, around gray: ``uint8 [H, W, 3]``, what is too large clipped."""
    wide = translation.astype(np.int16) - reference.astype(np.int16)
    return np.clip(GRAY + AMPLIFICATION * wide, 0, 255).astype(np.uint8)


def _given(held_out: HeldOut, index: int, *, legend: bool) -> list[Card]:
    true = None if held_out.targets is None else _picture(held_out.targets[index], "true picture")
    return [
        Card(upper=_picture(held_out.frames[index], "input"), lower=true),
        Card(upper=_picture(held_out.references[index], "original network"), legend=legend),
    ]


def _made(artifact: Artifact, translation: Frame, reference: Frame) -> Card:
    largest = int(np.abs(translation.astype(np.int16) - reference.astype(np.int16)).max())
    note = f"up to {largest} step{'s' * (largest != 1)} here" if largest else "no difference here"
    seen = _middle(difference(translation, reference))
    return Card(
        upper=_picture(translation, title_of(artifact)),
        lower=Picture(
            url=exact_url(seen, up_to=DIFFERENCE_BYTES), title="difference", note=note, of=title_of(artifact)
        ),
    )


def _picture(frame: Frame, title: str) -> Picture:
    return Picture(url=exact_url(_middle(frame), up_to=PICTURE_BYTES), title=title)


def _middle(frame: Frame) -> Frame:
    """``frame``, or the middle of it that is shown."""
    height, width = (min(side, LARGEST_SIDE) for side in frame.shape[:2])
    top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
    return np.ascontiguousarray(frame[top : top + height, left : left + width])
