"""The table of artifacts that people read, at export and in the benchmark."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table

from core.formats import TARGETS
from core.manifest import Artifact, Fidelity, Latency, Manifest, Status
from export.plan import LeftOut


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line: an artifact or a baseline, with what is known of it."""

    title: str
    precision: str
    total_bytes: int | None
    fidelity: Fidelity | None
    latency: Latency | None
    status: str
    reason: str | None = None
    recommended: bool = False


def artifact_row(artifact: Artifact, manifest: Manifest, *, latency: Latency | None = None) -> Row:
    """The line of ``artifact``, with ``latency`` in the place of the manifest's if one was measured since."""
    return Row(
        title=TARGETS[artifact.target].title,
        precision=artifact.precision,
        total_bytes=artifact.total_bytes,
        fidelity=artifact.fidelity,
        latency=latency or artifact.latency_ms,
        status=artifact.status,
        reason=artifact.reason,
        recommended=artifact.name == manifest.recommended,
    )


def cells(row: Row) -> tuple[str, ...]:
    """The line as text: format, precision, MB, PSNR, SSIM, largest step, p50, p90, p99, frames a second, status."""
    fidelity = row.fidelity
    latency = row.latency
    return (
        row.title,
        row.precision,
        "" if row.total_bytes is None else f"{row.total_bytes / 1e6:.1f}",
        f"{fidelity.psnr_db:.1f}" if fidelity else "",
        f"{fidelity.ssim:.3f}" if fidelity else "",
        str(fidelity.max_abs) if fidelity else "",
        *(
            "" if value is None else f"{value:.2f}" if value < 100 else f"{value:.1f}"
            for value in ((latency.p50, latency.p90, latency.p99) if latency else (None, None, None))
        ),
        f"{1000 / latency.p50:.0f}" if latency else "",
        "not run" if row.status == Status.NOT_RUN else row.status,
    )


COLUMNS = ("format", "type", "MB", "PSNR", "SSIM", "step", "p50", "p90", "p99", "fps", "status")
CAPTION = "PSNR in dB, step: largest difference of 255, both against PyTorch; p50 to p99 in milliseconds a frame"


def artifact_table(rows: Sequence[Row], *, title: str) -> Table:
    """A terminal table of ``rows``, the recommended one marked."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption=CAPTION,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    for i, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if i in (0, 1, len(COLUMNS) - 1) else "right", no_wrap=True)
    for row in rows:
        table.add_row(*cells(row), style="bold green" if row.recommended else None)
    return table


def notes(rows: Sequence[Row], left_out: Sequence[LeftOut] = ()) -> list[str]:
    """The reasons behind the table's lines: one line for all that share one."""
    shared: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        if row.reason:
            shared.setdefault((row.title, row.status, row.reason), []).append(row.precision)
    reasons = [f"{title} {', '.join(kinds)}: {status}: {reason}" for (title, status, reason), kinds in shared.items()]
    return reasons + [f"{row.target.title}: not made: {row.reason}" for row in left_out]
