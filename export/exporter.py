"""From a checkpoint to a bundle: make every artifact, run each as it will be run, compare, time, and write it down."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from core.atomic import atomic_folder, point_latest
from core.errors import UnavailableError
from core.export_record import LeftOut, Normalization, NormalizationTrial
from core.fidelity import GATES, Gate
from core.formats import InputShape
from core.frames import Size
from core.machine import library_versions, this_machine
from core.manifest import Artifact, Manifest, Source, Status, file_sha256, write_manifest
from core.precision import Precision
from export.builder import ArtifactBuilder, ShapeFrames
from export.frames import FrameOptions, Gathered, gather_frames
from export.graphs import DeployGraphs
from export.int8 import Int8Options
from export.measuring import STEPS, Built, measure_artifacts
from export.normalization import check_normalization, choose_normalization
from export.original import Original
from export.plan import Planned, check_replaceable
from runtime.bundle import EXPORTS

LATENCY_RUNS: Final = 102
"""Runs per artifact: enough for a 99th percentile, in equal blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What is to be exported, to what.

    Attributes:
        original: the network.
        planned: the artifacts, each made in every size.
        left_out: targets that cannot be made here: rows with a reason.
        named: whether the user named the targets: what turns out to be impossible is then an error, not another row.
        out: the bundle's folder; default: ``exports/<name of the run>``.
        sizes: of the frames; default: the size it was trained at.
        batch: frames at a time.
        dynamic: whether artifacts take other sizes as well.
        normalization: None: choose by measurement.
        frames: which frames are calibrated and compared on.
        int8: what is asked of INT8 artifacts.
        gates: what artifacts must reach.
        saturates: whether the CPU they are for adds pairs of 8-bit products in 16 bits; default: as this one does.
        capabilities: compute capabilities of the GPUs that TensorRT-RTX engines are for; default: its target's.
        runs: timed translations per artifact.
    """

    original: Original
    planned: Sequence[Planned]
    left_out: Sequence[LeftOut] = ()
    named: bool = False
    out: Path | None = None
    sizes: Sequence[Size] = ()
    batch: int = 1
    dynamic: bool = False
    normalization: Normalization | None = None
    frames: FrameOptions = field(default_factory=FrameOptions)
    int8: Int8Options = field(default_factory=lambda: Int8Options(gate=GATES[Precision.INT8]))
    gates: dict[Precision, Gate] = field(default_factory=lambda: dict(GATES))
    saturates: bool | None = None
    capabilities: Sequence[str] = ()
    runs: int = LATENCY_RUNS

    @property
    def shapes(self) -> list[InputShape]:
        """The inputs that artifacts are made for, the one that the bundle is for in the first place first."""
        sizes = self.sizes or [Size(self.original.data.height, self.original.data.width)]
        return [
            InputShape(size=size, batch=self.batch, dynamic=self.dynamic, primary=i == 0)
            for i, size in enumerate(sizes)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """The bundle that was written."""

    folder: Path
    manifest: Manifest

    @property
    def failed(self) -> list[Artifact]:
        """Artifacts that missed their gate."""
        return [artifact for artifact in self.manifest.artifacts if artifact.status is Status.FAILED]


Say = Callable[[str], None]


def export_bundle(request: ExportRequest, *, say: Say = lambda _line: None) -> ExportResult:
    """Make, measure and write a bundle; it is whole or absent.

    Args:
        request: what to make.
        say: told, in a few words, what is being done.

    Raises:
        InvalidInputError, SourceError: for input that cannot be used.
        UnavailableError: for a named target whose library refuses the graph.
    """
    original = request.original
    check_normalization(original, request.normalization)
    for shape in request.shapes:
        original.check_size(shape.size)
    out = request.out or EXPORTS / original.name
    check_replaceable(out)
    needs_calibration = any(row.precision is Precision.INT8 for row in request.planned) or (
        Normalization.RECALIBRATED in original.normalizations
        and request.normalization in (None, Normalization.RECALIBRATED)
    )
    gathered = [
        gather_frames(original, shape, request.frames, calibrate=needs_calibration, say=say) for shape in request.shapes
    ]
    frames = [one.frames for one in gathered]
    with atomic_folder(out) as folder, tempfile.TemporaryDirectory() as temporary:
        workshop = Path(temporary)
        graphs = DeployGraphs(original, workshop)
        normalization, trials = choose_normalization(
            original,
            request.normalization,
            held_out=frames[0].held_out,
            calibration=frames[0].calibration,
            gate=request.gates[Precision.FP32],
            graphs=graphs,
            shape=frames[0].shape,
            say=say,
        )
        built, refused = _build_all(request, frames, graphs, normalization, folder=folder, say=say)
        artifacts, pictures = measure_artifacts(built, request.gates, runs=request.runs, say=say)
        notes = [note for one in gathered for note in one.notes]
        manifest = _describe(request, normalization, trials, gathered[0], notes, artifacts, refused)
        write_manifest(folder, manifest)
        from export.report import write_report

        say("writing the report")
        write_report(folder, manifest, frames[0].held_out, pictures)
    point_latest(out, EXPORTS / "latest")
    return ExportResult(folder=out, manifest=manifest)


def _build_all(
    request: ExportRequest,
    frames: Sequence[ShapeFrames],
    graphs: DeployGraphs,
    normalization: Normalization,
    *,
    folder: Path,
    say: Say,
) -> tuple[list[Built], list[LeftOut]]:
    built, refused = [], []
    for shape_frames in frames:
        builder = ArtifactBuilder(  # a new one for each size, as it keeps what was measured for that size
            graphs=graphs,
            normalization=normalization,
            folder=folder,
            workshop=graphs.folder,
            int8=request.int8,
            saturates=this_machine().saturates_at_16_bits if request.saturates is None else request.saturates,
            capabilities=request.capabilities,
            say=say,
        )
        operations = builder.operations(shape_frames.shape)
        for row in request.planned:
            say(f"building {row.target.title} {row.precision}")
            begin = time.perf_counter()
            try:
                paths, quantization = builder.build(row, shape_frames)
            except UnavailableError as error:
                if request.named:
                    raise
                reason = str(error) if shape_frames.shape.primary else f"{shape_frames.shape.size}: {error}"
                refused.append(LeftOut(target=row.target.name, precision=row.precision, reason=reason))
                continue
            seconds = round(time.perf_counter() - begin, 2)
            built.append(
                Built(
                    planned=row,
                    frames=shape_frames,
                    paths=paths,
                    quantization=quantization,
                    seconds=seconds,
                    operations=operations,
                )
            )
    return built, refused


def _describe(
    request: ExportRequest,
    normalization: Normalization,
    trials: tuple[NormalizationTrial, ...],
    gathered: Gathered,
    notes: Sequence[str],
    artifacts: Sequence[Artifact],
    refused: Sequence[LeftOut],
) -> Manifest:
    original, machine = request.original, this_machine()
    candidates = [
        artifact
        for artifact in artifacts
        if artifact.primary and artifact.status is Status.PASSED and artifact.latency_ms is not None
    ]
    fastest = min(candidates, key=lambda row: row.latency_ms.p50 if row.latency_ms else 0.0, default=None)
    return Manifest(
        source=Source(
            name=original.name,
            sha256=file_sha256(original.path),
            step=original.step,
            batch=original.batch,
            origin=original.origin,
        ),
        generator=original.generator,
        condition=original.data.condition,
        direction=original.data.direction,
        normalization=normalization,
        machine=machine,
        fingerprint=machine.fingerprint,
        libraries=library_versions(),
        gates=request.gates,
        reference_quality=gathered.frames.held_out.reference_quality,
        normalizations=trials,
        calibration=gathered.calibration.record if gathered.calibration else None,
        artifacts=tuple(artifacts),
        left_out=(*request.left_out, *refused),
        notes=tuple(dict.fromkeys((*original.notes, *notes))),
        recommended=fastest.name if fastest else None,
    )


def count_steps(request: ExportRequest) -> int:
    """About how often ``export_bundle`` says what it does: choices by measurement add to it."""
    sizes = len(request.shapes)
    choosing = 2 * (request.normalization is None and len(request.original.normalizations) > 1)
    return 1 + 2 * sizes + choosing + (1 + STEPS) * sizes * len(request.planned)
