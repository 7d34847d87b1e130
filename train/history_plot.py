"""The picture of a run's history: losses, scores, quality and learning rate over the steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from core.atomic import atomic_file
from core.errors import MissingDependencyError
from core.formats import is_installed
from train.history import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK: Final = "#1c2a36"
GREEN: Final = "#0a7d5a"
BLUE: Final = "#2f6fa7"
RED: Final = "#c0603f"
GRID: Final = "#e3e8ec"
SMOOTHED_PARTS: Final = 16
"""The smoothed line is a moving mean over a sixteenth of the rows; fewer rows than twice that are not smoothed."""
MARKED_POINTS: Final = 60
"""Up to so many points are marked, not only joined."""
COLUMNS_OF_PANELS: Final = 2

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """One diagram: its title, and column, label and colour of each line."""

    title: str
    lines: tuple[tuple[str, str, str], ...]
    noisy: bool = True
    """Whether there is anything to smooth."""


PANELS: Final = (
    Panel(
        "adversarial losses",
        (
            ("discriminator_real", "discriminator, real", BLUE),
            ("discriminator_fake", "discriminator, translated", RED),
            ("generator_gan", "generator", GREEN),
        ),
    ),
    Panel(
        "discriminator's mean score",
        (("score_real", "of targets", BLUE), ("score_fake", "of translations", RED)),
    ),
    Panel(
        "distance to the target", (("generator_distance", "training", BLUE), ("validation_l1", "validation L1", RED))
    ),
    Panel("validation PSNR, dB", (("validation_psnr_db", "", GREEN),)),
    Panel("validation SSIM", (("validation_ssim", "", GREEN),)),
    Panel("learning rate", (("learning_rate", "", INK),), noisy=False),
)


def check_plotting() -> None:
    """Refuse to go on without matplotlib, before the work it is to draw (``MissingDependencyError``)."""
    if not is_installed("matplotlib"):
        raise MissingDependencyError("matplotlib", "train", "drawing the plot of a run")


def plot_history(rows: Sequence[Row], path: Path, *, steps: int) -> None:
    """Draw ``rows`` over ``steps`` steps into the PNG ``path``, whole or not at all.

    Each measure that has a value has a panel; values that are not finite are left out. Without any, nothing is written.

    Raises:
        MissingDependencyError: without matplotlib.
        InvalidInputError: if the file cannot be written.
    """
    check_plotting()
    from matplotlib.figure import Figure  # without pyplot: no global state, and no window system

    lines = {name: _line(rows, name) for panel in PANELS for name, _, _ in panel.lines}
    panels = [panel for panel in PANELS if any(len(lines[name][0]) for name, _, _ in panel.lines)]
    if not panels:
        return
    height = -(-len(panels) // COLUMNS_OF_PANELS)
    figure = Figure(figsize=(11, 0.5 + 2.5 * height), layout="constrained")
    for place, panel in enumerate(panels):
        axes = figure.add_subplot(height, COLUMNS_OF_PANELS, place + 1)
        for name, label, colour in panel.lines:
            _draw(axes, *lines[name], label=label, colour=colour, noisy=panel.noisy)
        _dress(axes, panel, steps=steps, lowest=place >= len(panels) - COLUMNS_OF_PANELS)
    with atomic_file(path) as partial:
        figure.savefig(partial, dpi=120)


def _line(rows: Sequence[Row], name: str) -> tuple[Values, Values]:
    """Steps and values of one column."""
    points = np.array([(row["step"], row[name]) for row in rows if name in row], dtype=np.float64).reshape(-1, 2)
    points = points[np.isfinite(points[:, 1])]
    return points[:, 0], points[:, 1]


def _draw(axes: "Axes", steps: Values, values: Values, *, label: str, colour: str, noisy: bool) -> None:
    if not len(steps):
        return
    window = len(steps) // SMOOTHED_PARTS
    if window < 2 or not noisy:
        marker = "o" if len(steps) <= MARKED_POINTS else ""
        axes.plot(steps, values, color=colour, linewidth=1.5, marker=marker, markersize=3.5, label=label)
        return
    axes.plot(steps, values, color=colour, linewidth=0.7, alpha=0.2)
    axes.plot(steps, smoothed(values, window | 1), color=colour, linewidth=1.7, label=label)


def smoothed(values: Values, window: int) -> Values:
    """The mean of each value and its neighbours within ``window`` values; at the ends, of those that there are."""
    ones = np.ones(min(window, len(values)))
    sums = np.convolve(values, ones, mode="same")
    return np.asarray(sums / np.convolve(np.ones(len(values)), ones, mode="same"), dtype=np.float64)


def _dress(axes: "Axes", panel: Panel, *, steps: int, lowest: bool) -> None:
    axes.set_title(panel.title, fontsize=10, loc="left", color=INK)
    axes.set_xlim(0, max(1, steps))
    axes.locator_params(axis="x", integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#9aa7b1")
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=INK)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 5), useOffset=False)
    axes.yaxis.get_offset_text().set_fontsize(8)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    if lowest:
        axes.set_xlabel("step", fontsize=9, color=INK)
    if len(panel.lines) > 1:
        axes.legend(fontsize=8, frameon=False, labelcolor=INK)
