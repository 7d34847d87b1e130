"""The contact sheet of an evaluation: input, output and target of some pairs, under headings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from core.frames import Frame, Size, resize

FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
INK: Final = (54, 42, 28)
FAINT: Final = (130, 120, 112)
WHITE: Final = 255
THUMBNAIL: Final = 192
"""Longest side of a picture on the sheet, in pixels; smaller ones are enlarged to it."""
GAP: Final = 4
"""Between the pictures of a pair."""
MARGIN: Final = 20
"""Around the sheet, and between pairs."""
LINE: Final = 22
"""Height of a line of text."""
PAIRS_ACROSS: Final = 3
TITLES: Final = ("input", "output", "target")


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """One pair on the sheet: three frames of equal size, and what is written under them."""

    input: Frame
    output: Frame
    target: Frame
    caption: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """Exhibits under a heading."""

    heading: str
    exhibits: Sequence[Exhibit]


def draw_sheet(title: str, sections: Sequence[Section]) -> Frame:
    """A white sheet with ``sections`` one under another below ``title``, ``PAIRS_ACROSS`` pairs in a row.

    All frames are equally large; each pair is input, output and target, left to right, as each section's first line
    says.
    """
    cell = thumbnail_size(Size(*sections[0].exhibits[0].input.shape[:2]))
    across = min(PAIRS_ACROSS, max(len(section.exhibits) for section in sections))
    block = 3 * cell.width + 2 * GAP
    width = across * (block + MARGIN) + MARGIN
    row = cell.height + LINE + MARGIN // 2
    rows = [math.ceil(len(section.exhibits) / across) for section in sections]
    height = 2 * MARGIN + LINE + sum(2 * LINE + MARGIN // 2 + count * row for count in rows)
    sheet = np.full((height, width, 3), WHITE, dtype=np.uint8)
    _write(sheet, title, MARGIN, MARGIN // 2, width - 2 * MARGIN)
    top = MARGIN + LINE
    for section, count in zip(sections, rows, strict=True):
        _write(sheet, section.heading, MARGIN, top, width - 2 * MARGIN, bold=True)
        for i in range(min(across, len(section.exhibits))):
            for j, title in enumerate(TITLES):
                left = MARGIN + i * (block + MARGIN) + j * (cell.width + GAP)
                _write(sheet, title, left, top + LINE, cell.width, colour=FAINT)
        top += 2 * LINE
        for i, exhibit in enumerate(section.exhibits):
            left, upper = MARGIN + i % across * (block + MARGIN), top + i // across * row
            for j, frame in enumerate((exhibit.input, exhibit.output, exhibit.target)):
                at = left + j * (cell.width + GAP)
                sheet[upper : upper + cell.height, at : at + cell.width] = resize(frame, cell)
            _write(sheet, exhibit.caption, left, upper + cell.height, block)
        top += count * row + MARGIN // 2
    return sheet


def thumbnail_size(size: Size) -> Size:
    """``size`` in proportion, with a longest side of ``THUMBNAIL``."""
    return Size(*(max(1, round(side * THUMBNAIL / max(size))) for side in size))


def _write(
    sheet: Frame, text: str, left: int, top: int, room: int, *, bold: bool = False, colour: tuple[int, ...] = INK
) -> None:
    """One line of ``text``, shortened to ``room`` pixels."""
    scale, thickness = (0.55, 2) if bold else (0.45, 1)
    text = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text)

    def extent(shown: str) -> int:
        return int(cv2.getTextSize(shown, FONT, scale, thickness)[0][0])

    shown = text
    while text and extent(shown) > room:
        text = text[:-1]
        shown = text + "..."
    cv2.putText(sheet, shown, (left, top + LINE - 7), FONT, scale, colour, thickness, cv2.LINE_AA)
