"""What an evaluation found: the figures of every pair, their summary, and how people read them."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from rich import box
from rich.table import Table

from core.atomic import write_text
from core.frames import IMAGE_SUFFIXES


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One translation against its target."""

    name: str
    """Of the pair."""
    l1: float
    """Mean absolute difference in [-1, 1]."""
    psnr_db: float
    ssim: float
    lpips: float | None = None
    """None where it could not be measured."""


@dataclass(frozen=True)
class Measure:
    """How a figure is shown."""

    field: str
    title: str
    digits: int
    higher_is_better: bool


MEASURES: Final = (
    Measure("l1", "L1", 4, higher_is_better=False),
    Measure("psnr_db", "PSNR, dB", 2, higher_is_better=True),
    Measure("ssim", "SSIM", 4, higher_is_better=True),
    Measure("lpips", "LPIPS", 4, higher_is_better=False),
)


def measures_of(measured: Sequence[Measured]) -> list[Measure]:
    """The measures that were taken."""
    return [measure for measure in MEASURES if getattr(measured[0], measure.field) is not None]


def values(measured: Sequence[Measured], measure: Measure) -> list[float]:
    """One figure of every pair."""
    return [float(getattr(one, measure.field)) for one in measured]


def means(measured: Sequence[Measured]) -> dict[str, float]:
    """The mean over the pairs of every measure that was taken; that of PSNR is the mean of the pairs' own."""
    return {measure.field: float(np.mean(values(measured, measure))) for measure in measures_of(measured)}


def write_metrics(path: Path, measured: Sequence[Measured]) -> None:
    """Write a table of all pairs as CSV; its last row holds the means, and a measure that was not taken no column."""
    fields = [measure.field for measure in measures_of(measured)]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["name", *fields])
    for one in measured:
        table.writerow([one.name, *(getattr(one, field) for field in fields)])
    table.writerow(["mean", *means(measured).values()])
    write_text(path, text.getvalue())


def metrics_table(measured: Sequence[Measured]) -> Table:
    """A terminal table: a row for every measure."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("")
    for column in ("mean", "median", "best", "worst"):
        table.add_column(column, justify="right", no_wrap=True)
    for measure in measures_of(measured):
        figures = values(measured, measure)
        best, worst = (max, min) if measure.higher_is_better else (min, max)
        shown = (np.mean(figures), np.median(figures), best(figures), worst(figures))
        table.add_row(measure.title, *(f"{figure:.{measure.digits}f}" for figure in shown))
    return table


def file_names(names: Sequence[str]) -> list[str]:
    """Names of PNG files for pairs of these ``names``, which may be paths: plain, and no two alike."""
    taken: set[str] = set()
    files = []
    for name in names:
        stem = name[: name.rindex(".")] if Path(name).suffix.lower() in IMAGE_SUFFIXES else name
        plain = "".join(letter if letter.isprintable() and letter not in '/\\:*?"<>|' else "_" for letter in stem)
        plain = plain.lstrip(".")[:120] or "_"
        number, file = 1, f"{plain}.png"
        while file.casefold() in taken:
            number += 1
            file = f"{plain}-{number}.png"
        taken.add(file.casefold())
        files.append(file)
    return files
