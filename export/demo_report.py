"""The demo's report: one self-contained HTML page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cv2

from core.atomic import write_text
from core.checkpoint import read_info
from core.configuration import GENERATOR_FILE
from core.errors import SourceError
from core.formats import TARGETS
from core.frames import Frame, Size, check_frame
from core.manifest import Artifact, Manifest, read_manifest
from core.pairs import Split, open_pairs
from export.page import picture_url, plot, render_page
from export.plot import latency_figure
from export.tables import CAPTION, COLUMNS, artifact_row, cells, notes
from runtime.bundle import Bundle

SAMPLES: Final = 4
MOMENTS: Final = 6
"""Frames of the video shown on the page."""


def write_report(
    path: Path,
    *,
    run: Path,
    bundle: Path,
    video: Path,
    stream: Mapping[str, Any],
    commands: Sequence[Sequence[str]],
) -> Manifest:
    """Write the page to ``path``, whole or not at all.

    Args:
        path: of the page.
        run: folder of the training run.
        bundle: folder of the export.
        video: the translated stream.
        stream: what ``p2p-run --json`` printed.
        commands: what was typed, in order.

    Returns:
        The bundle's manifest.
    """
    opened = Bundle(bundle, read_manifest(bundle))
    manifest = opened.manifest
    shown = shown_artifact(manifest)
    rows = [artifact_row(artifact, manifest) for artifact in manifest.artifacts]
    page = render_page(
        "demo.html.jinja",
        manifest=manifest,
        shown=shown,
        shown_title=TARGETS[shown.target].title,
        samples=_samples(opened, shown, run),
        moments=[picture_url(frame) for frame in _video_frames(video, MOMENTS)],
        columns=COLUMNS,
        caption=CAPTION,
        rows=[(row, cells(row)) for row in rows],
        notes=notes(rows),
        plot=plot(latency_figure(rows, title=str(manifest.machine)), "latency"),
        stream=stream,
        commands=[" ".join(command) for command in commands],
    )
    write_text(path, page)
    return manifest


def shown_artifact(manifest: Manifest) -> Artifact:
    """The recommended artifact, else the first that was run."""
    run = [artifact for artifact in manifest.artifacts if artifact.fidelity is not None]
    return next((artifact for artifact in run if artifact.name == manifest.recommended), run[0])


def _samples(bundle: Bundle, artifact: Artifact, run: Path) -> list[tuple[str, str, str]]:
    """Held-out inputs, their translations by ``artifact``, and their targets, as data URLs."""
    pairs = open_pairs(read_info(run / GENERATOR_FILE).data, Split.VAL)
    samples = []
    with bundle.open(artifact) as engine:
        for index in range(SAMPLES):
            pair = pairs.read(index, Size(*artifact.size))
            translation = engine.translate(pair.input)
            samples.append((picture_url(pair.input), picture_url(translation), picture_url(pair.target)))
    return samples


def _video_frames(path: Path, count: int) -> list[Frame]:
    """``count`` frames of the video at ``path`` (all, if it has fewer), evenly spread.

    Raises:
        SourceError: if it cannot be read.
    """
    capture = cv2.VideoCapture(str(path))
    try:
        total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        wanted = {total * i // count for i in range(count)}
        frames = [check_frame(frame) for i in range(total) for ok, frame in [capture.read()] if ok and i in wanted]
    finally:
        capture.release()
    if not frames:
        raise SourceError(f"{path} holds no frames that can be read: run p2p-demo again")
    return frames
