"""The report beside a bundle's manifest: one self-contained page, the verdict first, every figure from the manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from markupsafe import Markup

from core.atomic import write_text
from core.configuration import Architecture, GeneratorConfig
from core.fidelity import Gate, TaskQuality
from core.formats import TARGETS
from core.frames import Frame
from core.manifest import REPORT_NAME, Artifact, Manifest
from core.precision import Precision
from export.fidelity import HeldOut
from export.page import plot, render_page
from export.plot import latency_figure, sensitivity_figure, trade_off_figure
from export.report_pictures import AMPLIFICATION, LARGEST_SIDE, picture_rows
from export.tables import CAPTION, COLUMNS, artifact_row, cells
from export.verdict import find_verdict, milliseconds, shares, shortened, title_of

RANKED: Final = 24
"""Layers in the plot of their sensitivity; the table has all."""
LOSSES: Final = ("L1 lost", "PSNR lost", "SSIM lost")
"""Columns there are where the held-out frames have true pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A line of the table of artifacts."""

    cells: Sequence[str]
    recommended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Int8:
    """How an INT8 artifact was made, as the page shows it."""

    artifact: Artifact
    title: str
    plot: Markup | None
    plotted: int


def write_report(folder: Path, manifest: Manifest, held_out: HeldOut, pictures: Mapping[str, Sequence[Frame]]) -> None:
    """Write ``report.html`` into ``folder``, whole or not at all.

    Args:
        folder: the bundle's, or the one that will become it.
        manifest: whose figures are shown.
        held_out: the frames artifacts were compared on, all of the bundle's first size, ``uint8 [H, W, 3]`` BGR.
        pictures: translations of the first of them by artifact, named by its main file; those of another size are not
            shown.

    Raises:
        InvalidInputError: if the folder cannot be written to.
    """
    rows = [artifact_row(artifact, manifest) for artifact in manifest.artifacts]
    precisions = {artifact.precision for artifact in manifest.artifacts}
    first = [row for row, artifact in zip(rows, manifest.artifacts, strict=True) if artifact.primary]
    with_quality = manifest.reference_quality is not None and any(one.quality for one in manifest.artifacts)
    page = render_page(
        "report.html.jinja",
        manifest=manifest,
        network=_network(manifest.generator),
        primary=next((one for one in manifest.artifacts if one.primary), manifest.artifacts[0]),
        verdict=find_verdict(manifest),
        columns=_with_losses(COLUMNS, LOSSES) if with_quality else COLUMNS,
        lines=[_line(artifact, manifest, with_quality=with_quality) for artifact in manifest.artifacts],
        with_quality=with_quality,
        caption=CAPTION,
        gates=[
            (precision, gate_words(manifest.gates[precision]))
            for precision in Precision
            if precision in manifest.gates and precision in precisions
        ],
        latency=plot(latency_figure(rows), "latency") if any(row.latency for row in rows) else None,
        trade_off=plot(trade_off_figure(first, manifest.gates), "trade-off")
        if sum(row.latency is not None and row.fidelity is not None for row in first) > 1
        else None,
        only_first=len(first) < len(rows),
        picture_rows=picture_rows(manifest.artifacts, held_out, pictures),
        amplification=AMPLIFICATION,
        is_cut=max(held_out.frames[0].shape[:2]) > LARGEST_SIDE,
        largest_side=LARGEST_SIDE,
        compared=[(title_of(one), one.fidelity) for one in manifest.artifacts if one.fidelity and one.primary],
        executing=[(title_of(one), one.executes, shares(one.executes)) for one in manifest.artifacts if one.executes],
        int8=[_int8(artifact, i) for i, artifact in enumerate(manifest.artifacts) if artifact.quantization],
        long_reasons=[
            (title_of(one), one.reason)
            for one in manifest.artifacts
            if one.reason is not None and shortened(one.reason) != one.reason
        ],
        left_out=[
            (TARGETS[row.target].title, row.precision or "every precision", row.reason) for row in manifest.left_out
        ],
        milliseconds=milliseconds,
    )
    write_text(folder / REPORT_NAME, page)


def gate_words(gate: Gate) -> str:
    """What ``gate`` asks for, in words."""
    limits = (
        (gate.max_abs, "no value further than {:g} of 255 steps from the original's"),
        (gate.psnr_db, "PSNR of at least {:g} dB"),
        (gate.ssim, "SSIM of at least {:g}"),
    )
    words = [text.format(limit) for limit, text in limits if limit is not None]
    losses = ((gate.l1_loss, "L1 {:g}"), (gate.psnr_loss, "PSNR {:g} dB"), (gate.ssim_loss, "SSIM {:g}"))
    lost = [text.format(limit) for limit, text in losses if limit is not None]
    if lost:
        words.append(f"against true pictures, where there are any, at most {', '.join(lost)} lost")
    return "; ".join(words) or "nothing asked for"


def _line(artifact: Artifact, manifest: Manifest, *, with_quality: bool) -> _Line:
    row = artifact_row(artifact, manifest)
    texts: Sequence[str] = cells(row)
    if with_quality:
        # The original's quality is known of the first size only.
        quality = artifact.quality if artifact.primary else None
        texts = _with_losses(texts, _losses(quality, manifest.reference_quality))
    return _Line(cells=texts, recommended=row.recommended)


def _with_losses(texts: Sequence[str], losses: Sequence[str]) -> tuple[str, ...]:
    """``texts`` of a line with those of its losses behind the fidelity."""
    place = COLUMNS.index("step") + 1
    return (*texts[:place], *losses, *texts[place:])


def _losses(quality: TaskQuality | None, reference: TaskQuality | None) -> tuple[str, ...]:
    if quality is None or reference is None:
        return ("",) * len(LOSSES)
    lost = (
        f"{quality.l1 - reference.l1:.4f}",
        f"{reference.psnr_db - quality.psnr_db:.2f}",
        f"{reference.ssim - quality.ssim:.4f}",
    )
    return tuple(text if text.strip("-0.") else text.removeprefix("-") for text in lost)


def _network(generator: GeneratorConfig | None) -> str:
    if generator is None:
        return "a graph made elsewhere"
    if generator.architecture is Architecture.RESNET:
        return f"residual generator, width {generator.width}, {generator.blocks} blocks"
    return f"U-Net, width {generator.width}, {generator.levels} levels, {generator.decoder.value} decoder"


def _int8(artifact: Artifact, number: int) -> _Int8:
    made = artifact.quantization
    assert made is not None, "asked of quantized artifacts only"
    ranked = made.sensitivity[:RANKED]
    figure = plot(sensitivity_figure(ranked, returned=made.kept_float), f"layers{number}") if ranked else None
    return _Int8(
        artifact=artifact,
        title=title_of(artifact),
        plot=figure,
        plotted=len(ranked),
    )
