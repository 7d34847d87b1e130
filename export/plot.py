"""Pictures of a bundle's figures, drawn by matplotlib."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.atomic import atomic_file
from core.errors import InvalidInputError, MissingDependencyError
from core.formats import is_installed
from export.tables import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#1c2a36"
RECOMMENDED = "#0a7d5a"
PASSED = "#5b8fb9"
FAILED = "#c0603f"
BASELINE = "#a9b3bb"


def check_plot(path: Path) -> None:
    """Refuse a plot that could not be drawn, before the work whose figures it is to show.

    Raises:
        MissingDependencyError: if matplotlib is not installed.
        InvalidInputError: for a suffix other than .png, .svg and .pdf.
    """
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise InvalidInputError(f"{path}: plots are written as .png, .svg or .pdf")
    if not is_installed("matplotlib"):
        raise MissingDependencyError("matplotlib", "plot", "drawing plots")


def latency_figure(rows: Sequence[Row], *, title: str) -> "Figure":
    """Median latency per row as bars, 90th percentile as a tick; rows that were not run are left out."""
    from matplotlib.figure import Figure

    timed = [(row, row.latency) for row in rows if row.latency is not None][::-1]
    figure = Figure(figsize=(8, 0.9 + 0.42 * len(timed)), layout="constrained")
    axes = figure.add_subplot()
    for place, (row, latency) in enumerate(timed):
        axes.barh(place, latency.p50, color=_colour(row), height=0.68)
        reach = latency.p50
        if latency.p90 is not None:
            axes.plot([latency.p90, latency.p90], [place - 0.34, place + 0.34], color=INK, linewidth=1.5)
            reach = max(reach, latency.p90)
        axes.annotate(
            f"{latency.p50:.1f} ms, {1000 / latency.p50:.0f} fps",
            (reach, place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            fontsize=9,
        )
    axes.set_yticks(range(len(timed)), [f"{row.title} {row.precision}".strip() for row, _ in timed], fontsize=9)
    axes.set_xlabel("milliseconds a frame: bar p50, tick p90 (shorter is better)", fontsize=9)
    axes.margins(x=0.22)
    axes.set_xlim(left=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_title(title, fontsize=10, loc="left", color=INK)
    return figure


def _colour(row: Row) -> str:
    if row.recommended:
        return RECOMMENDED
    return {"passed": PASSED, "failed": FAILED}.get(row.status, BASELINE)


def figure_svg(figure: "Figure") -> str:
    """``figure`` as an SVG element to be put into a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def save_figure(figure: "Figure", path: Path) -> None:
    """Write ``figure`` to ``path`` in the format of its suffix, which ``check_plot`` let through.

    Raises:
        InvalidInputError: for a folder that cannot be written to.
    """
    with atomic_file(path) as partial:
        figure.savefig(partial, dpi=150)
