"""From a checkpoint to a bundle: make every artifact, run each as it will be run, compare, time, and write it down."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from calibration.frames import calibration_frames, spread
from core.atomic import atomic_folder, point_latest
from core.checkpoint import load_generator
from core.configuration import CheckpointInfo
from core.errors import InvalidInputError, MissingDependencyError, UnavailableError
from core.frames import Frame, Size
from core.machine import library_versions, this_machine
from core.manifest import (
    Artifact,
    Manifest,
    Normalization,
    Source,
    Status,
    describe_file,
    file_sha256,
    write_manifest,
)
from core.networks import Generator
from core.networks.inference_mode import infers_with_instance_statistics
from core.pairs import Split, open_pairs
from core.precision import Precision
from export.builder import ArtifactBuilder
from export.deploy_graph import choose_normalization
from export.fidelity import GATES, compare, reference_translations
from export.plan import LeftOut, Planned, check_replaceable
from runtime.benchmark import BLOCKS, Candidate, Measured, measure
from runtime.bundle import EXPORTS
from runtime.engines import open_engine

CALIBRATION_FRAMES: Final = 48
HELD_OUT_FRAMES: Final = 16
LATENCY_RUNS: Final = 102
"""Runs per artifact: enough for a 99th percentile, in equal blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What is to be exported, to what."""

    checkpoint: Path
    planned: Sequence[Planned]
    left_out: Sequence[LeftOut] = ()
    """Targets that cannot be made here: rows with a reason."""
    named: bool = False
    """Whether the user named the targets: what turns out to be impossible is then an error, not another such row."""
    out: Path | None = None
    """The bundle's folder; default: ``exports/<name of the run>``."""
    size: Size | None = None
    """Default: the size it was trained at."""
    data: Path | None = None
    """Where the run's data lies now, if it moved."""
    runs: int = LATENCY_RUNS


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """The bundle that was written, and what could not be made."""

    folder: Path
    manifest: Manifest
    left_out: Sequence[LeftOut]

    @property
    def failed(self) -> list[Artifact]:
        """Artifacts that missed their gate."""
        return [artifact for artifact in self.manifest.artifacts if artifact.status is Status.FAILED]


@dataclass(slots=True)
class _Built:
    """An artifact on its way into the manifest."""

    planned: Planned
    paths: list[Path]
    seconds: float
    reason: str | None = None
    measured: Measured = field(default_factory=Measured)


Say = Callable[[str], None]


def count_steps(request: ExportRequest) -> int:
    """How often ``export_bundle`` says what it does: building, comparing and timing in blocks, for every artifact."""
    return 2 + (2 + BLOCKS) * len(request.planned)


def export_bundle(request: ExportRequest, *, say: Say = lambda _line: None) -> ExportResult:
    """Make, measure and write a bundle; it is whole or absent.

    Args:
        request: what to make.
        say: told, in a few words, what is being done.

    Raises:
        InvalidInputError, CheckpointError: for input that cannot be used.
        UnavailableError: for a named target whose library refuses the graph.
    """
    say("reading the checkpoint")
    generator, info = load_generator(request.checkpoint)
    if request.data is not None:
        moved = info.data.model_copy(update={"source": str(request.data.resolve())})
        info = info.model_copy(update={"data": moved})
    size = request.size or Size(info.data.height, info.data.width)
    info = info.model_copy(update={"data": info.data.model_copy(update={"height": size.height, "width": size.width})})
    try:
        info.generator.check_frames()
    except InvalidInputError as error:
        raise InvalidInputError(f"{request.checkpoint} cannot be exported: {error}") from error
    generator.check_size(size)
    held_out = spread(open_pairs(info.data, Split.VAL), size, HELD_OUT_FRAMES)
    needs_ranges = any(row.precision is Precision.INT8 for row in request.planned)
    calibration = calibration_frames(info.data, count=CALIBRATION_FRAMES) if needs_ranges else []
    normalization = choose_normalization(
        info.generator.norm, instance_statistics=infers_with_instance_statistics(info.generator, info.batch)
    )
    out = request.out or EXPORTS / info.name
    check_replaceable(out)
    with atomic_folder(out) as folder, tempfile.TemporaryDirectory() as workshop:
        builder = ArtifactBuilder(
            generator=generator,
            normalization=normalization,
            size=size,
            folder=folder,
            workshop=Path(workshop),
            calibration=calibration,
        )
        built, refused = _build_all(builder, request.planned, named=request.named, say=say)
        artifacts = _measure_all(built, generator, info, held_out, runs=request.runs, say=say)
        manifest = _describe(request.checkpoint, info, normalization, artifacts)
        write_manifest(folder, manifest)
    point_latest(out, EXPORTS / "latest")
    return ExportResult(folder=out, manifest=manifest, left_out=[*request.left_out, *refused])


def _build_all(
    builder: ArtifactBuilder, planned: Sequence[Planned], *, named: bool, say: Say
) -> tuple[list[_Built], list[LeftOut]]:
    built, refused = [], []
    for row in planned:
        say(f"building {row.target.title} {row.precision}")
        begin = time.perf_counter()
        try:
            paths = builder.build(row)
        except UnavailableError as error:
            if named:
                raise
            refused.append(LeftOut(row.target, f"{row.precision}: {error}"))
            continue
        built.append(_Built(row, paths, round(time.perf_counter() - begin, 2)))
    return built, refused


def _measure_all(
    built: Sequence[_Built],
    generator: Generator,
    info: CheckpointInfo,
    held_out: Sequence[Frame],
    *,
    runs: int,
    say: Say,
) -> list[Artifact]:
    say(f"translating {len(held_out)} held-out frames with the trained generator")
    references = reference_translations(generator, held_out, batch=info.batch)
    fidelities = {}
    for row in built:
        say(f"comparing {row.paths[0].name}")
        try:
            with open_engine(row.planned.target.name, row.paths[0]) as engine:
                fidelities[row.paths[0].name] = compare(engine, held_out, references)
        except (MissingDependencyError, UnavailableError) as error:
            row.reason = str(error)
    runnable = [row for row in built if row.reason is None]
    candidates = [
        Candidate(name=row.paths[0].name, open=partial(open_engine, row.planned.target.name, row.paths[0]))
        for row in runnable
    ]
    measured = measure(candidates, held_out[0], runs=runs, on_block=lambda name: say(f"timing {name}"))
    artifacts = []
    for row in built:
        name = row.paths[0].name
        fidelity = fidelities.get(name)
        complaint = GATES[row.planned.precision].complaint(fidelity) if fidelity else None
        status = Status.NOT_RUN if fidelity is None else Status.FAILED if complaint else Status.PASSED
        artifacts.append(
            Artifact(
                target=row.planned.target.name,
                precision=row.planned.precision,
                files=tuple(describe_file(path) for path in row.paths),
                height=info.data.height,
                width=info.data.width,
                fidelity=fidelity,
                latency_ms=measured[name].entry() if name in measured else None,
                status=status,
                reason=row.reason or complaint,
                build_seconds=row.seconds,
            )
        )
    return artifacts


def _describe(
    checkpoint: Path, info: CheckpointInfo, normalization: Normalization, artifacts: Sequence[Artifact]
) -> Manifest:
    machine = this_machine()
    passed = [
        artifact for artifact in artifacts if artifact.status is Status.PASSED and artifact.latency_ms is not None
    ]
    fastest = min(passed, key=lambda row: row.latency_ms.p50 if row.latency_ms else 0.0, default=None)
    return Manifest(
        source=Source(name=info.name, sha256=file_sha256(checkpoint), step=info.step),
        generator=info.generator,
        condition=info.data.condition,
        direction=info.data.direction,
        normalization=normalization,
        machine=machine,
        fingerprint=machine.fingerprint,
        libraries=library_versions(),
        artifacts=tuple(artifacts),
        recommended=fastest.name if fastest else None,
    )
