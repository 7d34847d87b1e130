"""The table of artifacts that people read, at export and in the benchmark."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table

from core.export_record import LeftOut
from core.fidelity import Fidelity
from core.formats import TARGETS
from core.manifest import Artifact, Latency, Manifest, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line: an artifact or a baseline, with what is known of it."""

    title: str
    precision: str
    total_bytes: int | None
    fidelity: Fidelity | None
    latency: Latency | None
    status: str
    batch: int = 1
    reason: str | None = None
    recommended: bool = False
    measured_fps: float | None = None
    """Frames a second that were counted with several calls under way, where they were."""

    @property
    def fps(self) -> float | None:
        """Frames a second: those that were counted, else those of the median latency."""
        if self.measured_fps is not None:
            return self.measured_fps
        return None if self.latency is None else 1000 * self.batch / self.latency.p50


def artifact_row(
    artifact: Artifact, manifest: Manifest, *, latency: Latency | None = None, measured_fps: float | None = None
) -> Row:
    """The line of ``artifact``, with ``latency`` in the place of the manifest's if one was measured since."""
    return Row(
        title=" ".join([TARGETS[artifact.target].title, *_shape_words(artifact)]),
        precision=artifact.precision,
        total_bytes=artifact.total_bytes,
        fidelity=artifact.fidelity,
        latency=latency or artifact.latency_ms,
        status=artifact.status,
        batch=artifact.batch,
        reason=artifact.reason,
        recommended=artifact.name == manifest.recommended,
        measured_fps=measured_fps,
    )


def _shape_words(artifact: Artifact) -> list[str]:
    """What is not as in most bundles: further sizes, several frames at a time, any size."""
    words = [] if artifact.primary else [str(artifact.size)]
    if artifact.batch > 1:
        words.append(f"x {artifact.batch}")
    return [*words, "dynamic"] if artifact.dynamic else words


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
        "" if row.fps is None else f"{row.fps:.0f}",
        "not run" if row.status == Status.NOT_RUN else row.status,
    )


COLUMNS = ("format", "type", "MB", "PSNR", "SSIM", "step", "p50", "p90", "p99", "fps", "status")
LEFT_COLUMNS = (0, 1, len(COLUMNS) - 1)
"""Those of words; figures stand on the right."""
CAPTION = "PSNR in dB, step: largest difference of 255, both against the original; p50 to p99 in milliseconds a call"


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
        left, last = i in LEFT_COLUMNS, i == len(COLUMNS) - 1
        table.add_column(column, justify="left" if left else "right", no_wrap=True, min_width=7 if last else None)
    for row in rows:
        table.add_row(*cells(row), style="bold green" if row.recommended else None)
    return table


def markdown_table(rows: Sequence[Row]) -> str:
    """The same in Markdown, the recommended line in bold."""
    kinds = ["---" if i in LEFT_COLUMNS else "---:" for i in range(len(COLUMNS))]
    lines = [COLUMNS, kinds]
    for row in rows:
        texts = [text.replace("|", "\\|") for text in cells(row)]
        lines.append([f"**{text}**" if row.recommended and text else text for text in texts])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def notes(rows: Sequence[Row], left_out: Sequence[LeftOut] = ()) -> list[str]:
    """The reasons behind the table's lines: one line for all that share one."""
    shared: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        if row.reason:
            shared.setdefault((row.title, row.status, row.reason), []).append(row.precision)
    reasons = [f"{title} {', '.join(kinds)}: {status}: {reason}" for (title, status, reason), kinds in shared.items()]
    missing: dict[tuple[str, str], list[str]] = {}
    for left in left_out:
        missing.setdefault((left.target, left.reason), []).append(left.precision or "")
    for (target, reason), precisions in missing.items():
        what = " ".join([TARGETS[target].title, ", ".join(precisions)]).strip()
        reasons.append(f"{what}: not made: {reason}")
    return reasons


def normalization_table(manifest: Manifest) -> Table:
    """The ways to normalize that were measured, against the one the network was meant for."""
    with_quality = any(trial.quality for trial in manifest.normalizations)
    columns = ["normalization", "PSNR", "SSIM", "step", "ORT p50", "gate"]
    if with_quality:
        columns.insert(4, "true L1")
    table = Table(
        title=f"normalization: {manifest.normalization} is shipped",
        title_justify="left",
        title_style="bold",
        caption="against the network as it was meant to be used"
        + "; true L1: against the true pictures, in [-1, 1]" * with_quality,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i in (0, len(columns) - 1) else "right", no_wrap=True)
    for trial in manifest.normalizations:
        texts = [
            trial.normalization.value,
            f"{trial.fidelity.psnr_db:.1f}",
            f"{trial.fidelity.ssim:.3f}",
            str(trial.fidelity.max_abs),
            "" if trial.p50_ms is None else f"{trial.p50_ms:.2f}",
            "passed" if trial.passed else "failed",
        ]
        if with_quality:
            texts.insert(4, f"{trial.quality.l1:.3f}" if trial.quality else "")
        table.add_row(*texts, style="bold green" if trial.normalization is manifest.normalization else None)
    return table


def quantization_notes(artifacts: Sequence[Artifact]) -> list[str]:
    """How INT8 artifacts came about, where there is something to say."""
    lines = []
    for artifact in artifacts:
        made, words = artifact.quantization, []
        if made is None:
            continue
        if made.tried:
            others = ", ".join(f"{trial.method} {trial.psnr_db:.1f} dB" for trial in made.tried)
            words.append(f"ranges by {made.method} ({others} on calibration frames)")
        if made.kept_float:
            why = "NNCF's accuracy control" if made.accuracy_control else "the gate"
            words.append(f"back in float for {why}: {', '.join(made.kept_float)}; {made.layers} layers in INT8")
        if artifact.executes:
            words.append("executes " + ", ".join(f"{100 * share:.0f} % {kind}" for kind, share in _by_share(artifact)))
        if words:
            lines.append(f"{artifact.name}: {'; '.join(words)}")
    return lines


def _by_share(artifact: Artifact) -> list[tuple[str, float]]:
    return sorted((artifact.executes or {}).items(), key=lambda item: -item[1])
