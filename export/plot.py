"""Pictures of a bundle's figures, drawn by matplotlib."""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.atomic import atomic_file, check_creatable
from core.errors import InvalidInputError, MissingDependencyError
from core.export_record import LayerDamage
from core.fidelity import Gate
from core.formats import is_installed
from core.metrics import PEAK
from core.precision import Precision
from export.tables import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

INK = "#1c2a36"
SOFT = "#5d6b76"
GRID = "#e4e9ed"
RECOMMENDED = "#0a7d5a"
PASSED = "#5b8fb9"
FAILED = "#c0603f"
BASELINE = "#a9b3bb"
MARKERS: Final = "os^DvPX"
NEAR: Final = 9
"""Points from a mark to its label, where there is room."""
LONGEST_NAME: Final = 44
"""Characters of a layer's name in a plot; of a longer one the end is shown, where layers differ."""


def check_plot(path: Path) -> None:
    """Refuse a plot that could not be drawn, before the work whose figures it is to show.

    Raises:
        MissingDependencyError: if matplotlib is not installed.
        InvalidInputError: for a suffix other than .png, .svg and .pdf, or a place that cannot be written to.
    """
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise InvalidInputError(f"{path}: plots are written as .png, .svg or .pdf")
    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder: give the plot another name")
    check_creatable(path)
    if not is_installed("matplotlib"):
        raise MissingDependencyError("matplotlib", "plot", "drawing plots")


def latency_figure(rows: Sequence[Row], *, title: str | None = None) -> "Figure":
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
            f"{latency.p50:.1f} ms, {row.fps:.0f} fps",
            (reach, place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            fontsize=9,
        )
    _name_bars(axes, [f"{row.title} {row.precision}".strip() for row, _ in timed])
    unit = "frame" if all(row.batch == 1 for row, _ in timed) else "call"
    axes.set_xlabel(f"milliseconds a {unit}: bar p50, tick p90 (shorter is better)", fontsize=9)
    axes.margins(x=0.22)
    axes.set_xlim(left=0)
    if title is not None:
        axes.set_title(title, fontsize=10, loc="left", color=INK, parse_math=False)
    return figure


def trade_off_figure(rows: Sequence[Row], gates: Mapping[Precision, Gate]) -> "Figure":
    """PSNR against the original over median latency: a mark per row that has both, and the front of the best.

    A mark's shape is its target, its colour its status. Rows on the front (the Pareto front) have no other row that is
    both faster and closer to the original. Dashed lines are the gates' PSNR, where they ask for one.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    points = [(row, row.latency.p50, row.fidelity.psnr_db) for row in rows if row.latency and row.fidelity]
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.add_subplot()
    titles = list(dict.fromkeys(row.title for row, _, _ in points))
    shapes = {title: MARKERS[i % len(MARKERS)] for i, title in enumerate(titles)}
    front = pareto_front([(x, y) for _, x, y in points])
    axes.step(*zip(*front, strict=True), where="post", color=BASELINE, linewidth=1.2, zorder=1)
    for row, x, y in points:
        axes.plot(x, y, shapes[row.title], color=_colour(row), markersize=8, markeredgecolor="white", zorder=3)
    axes.margins(y=0.14)
    axes.set_xlim(0, 1.12 * max(x for _, x, _ in points))
    axes.set_xlabel("p50 in milliseconds (further left is faster)", fontsize=9)
    axes.set_ylabel("PSNR against the original in dB", fontsize=9)
    axes.tick_params(labelsize=9, color=GRID)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(BASELINE)
    lines = [_gate_line(axes, level, kinds) for level, kinds in _gate_levels(gates, [row for row, _, _ in points])]
    colours = dict.fromkeys((_colour(row), "recommended" if row.recommended else row.status) for row, _, _ in points)
    marks = [(title, shape, SOFT) for title, shape in shapes.items()]
    marks += [(status, "o", colour) for colour, status in sorted(colours, key=lambda item: item[1], reverse=True)]
    handles = [
        Line2D([], [], marker=shape, color=colour, linestyle="", markersize=7, markeredgecolor="white", label=label)
        for label, shape, colour in marks
    ]
    handles.append(Line2D([], [], color=BASELINE, linewidth=1.2, label="Pareto front"))
    figure.legend(handles=handles, loc="outside upper left", ncols=4, fontsize=9, frameon=False, handletextpad=0.4)
    _label_points(figure, axes, [(x, y, str(row.precision)) for row, x, y in points], lines)
    return figure


def pareto_front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of ``(cost, worth)``, those that no other betters in both, the cheapest first."""
    front: list[tuple[float, float]] = []
    for cost, worth in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or worth > front[-1][1]:
            front.append((cost, worth))
    return front


def sensitivity_figure(damages: Sequence[LayerDamage], *, returned: Sequence[str] = ()) -> "Figure":
    """What the picture loses to each layer in INT8 alone, as bars, the most harmful on top.

    A bar is the root mean square error in 8-bit steps, which follows from the PSNR (``255 / 10 ** (PSNR / 20)``), so
    that the longest is the most harmful; ``returned`` names the layers that were left in float for it.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    ranked = list(damages)[::-1]
    figure = Figure(figsize=(8, 0.9 + 0.3 * len(ranked)), layout="constrained")
    axes = figure.add_subplot()
    for place, damage in enumerate(ranked):
        error = PEAK / 10 ** (damage.psnr_db / 20)
        axes.barh(place, error, color=FAILED if damage.layer in returned else PASSED, height=0.7)
        axes.annotate(
            f"{damage.psnr_db:.1f} dB",
            (error, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            fontsize=8.5,
        )
    _name_bars(axes, [_end_of(damage.layer) for damage in ranked])
    axes.set_ylim(-0.6, len(ranked) - 0.4)
    axes.margins(x=0.16)
    axes.set_xlim(left=0)
    axes.set_xlabel("root mean square error in 8-bit steps (longer is worse)", fontsize=9)
    if set(returned) & {damage.layer for damage in ranked}:
        handles = [Patch(color=FAILED, label="returned to float"), Patch(color=PASSED, label="quantized")]
        axes.legend(handles=handles, loc="lower right", fontsize=9, frameon=False)
    return figure


def _name_bars(axes: "Axes", names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=9, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=9, color=BASELINE)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(BASELINE)


def _end_of(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else "…" + name[1 - LONGEST_NAME :]


def _gate_levels(gates: Mapping[Precision, Gate], rows: Sequence[Row]) -> list[tuple[float, list[str]]]:
    """PSNR that gates ask of ``rows``, and the precisions that each is asked of."""
    levels: dict[float, list[str]] = {}
    for precision, gate in gates.items():
        if gate.psnr_db is not None and any(row.precision == precision for row in rows):
            levels.setdefault(gate.psnr_db, []).append(precision)
    return list(levels.items())


def _gate_line(axes: "Axes", level: float, precisions: Sequence[str]) -> "Text":
    axes.axhline(level, color=FAILED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    return axes.annotate(
        f"{', '.join(precisions)} gate: {level:g} dB",
        (1, level),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 3),
        textcoords="offset points",
        ha="right",
        color=FAILED,
        fontsize=8.5,
    )


def _label_points(
    figure: "Figure", axes: "Axes", points: Sequence[tuple[float, float, str]], others: Sequence["Text"]
) -> None:
    """Write a label beside each point, where it covers no mark, no other label and none of the ``others``."""
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()  # places the axes
    inside, pixels = axes.get_window_extent(), figure.dpi / 72
    places = [axes.transData.transform((x, y)) for x, y, _ in points]
    taken = [Bbox.from_extents(x - 6 * pixels, y - 6 * pixels, x + 6 * pixels, y + 6 * pixels) for x, y in places]
    taken += [text.get_window_extent() for text in others]
    sides = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
    offsets = [(radius * right, radius * up) for radius in (NEAR, 18, 28, 40, 54) for right, up in sides]
    for (x, y, label), (left, bottom) in zip(points, places, strict=True):
        text = axes.annotate(label, (x, y), xytext=(0, 0), textcoords="offset points", fontsize=9, color=INK, zorder=4)
        text.set_in_layout(False)
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5})
        size = text.get_window_extent()
        best, least = None, float("inf")
        for right, up in offsets:
            x0 = left + right * pixels - size.width * (1 - _sign(right)) / 2
            y0 = bottom + up * pixels - size.height * (1 - _sign(up)) / 2
            box = Bbox.from_bounds(x0, y0, size.width, size.height)
            outside = not (inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1))
            overlaps = 2 * outside + sum(box.overlaps(other) for other in taken)
            if overlaps < least:
                best, least = (right, up, box), overlaps
        assert best is not None, "there are offsets"
        right, up, box = best
        text.set_position((right, up))
        text.set_horizontalalignment(("right", "center", "left")[_sign(right) + 1])
        text.set_verticalalignment(("top", "center", "bottom")[_sign(up) + 1])
        taken.append(box)
        if max(abs(right), abs(up)) > NEAR:
            line = {"arrowstyle": "-", "color": BASELINE, "linewidth": 0.8}
            axes.annotate("", (x, y), xytext=(right, up), textcoords="offset points", arrowprops=line, zorder=2)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _colour(row: Row) -> str:
    if row.recommended:
        return RECOMMENDED
    return {"passed": PASSED, "failed": FAILED}.get(row.status, BASELINE)


def figure_svg(figure: "Figure", *, name: str = "plot") -> str:
    """``figure`` as an SVG element to be put into a page; ``name`` keeps its ids apart from those of other plots."""
    import matplotlib

    buffer = io.StringIO()
    nothing = dict.fromkeys(("Format", "Type", "Creator", "Date"))
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for before in (' id="', 'href="#', "url(#"):
        text = text.replace(before, f"{before}{name}-")
    return text


def save_figure(figure: "Figure", path: Path) -> None:
    """Write ``figure`` to ``path`` in the format of its suffix, which ``check_plot`` let through.

    Raises:
        InvalidInputError: for a folder that cannot be written to.
    """
    with atomic_file(path) as partial:
        figure.savefig(partial, dpi=150)
