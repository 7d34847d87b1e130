"""Artifacts run as they will be run: compared with the original, timed, and described for the manifest."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from core.errors import MissingDependencyError, UnavailableError
from core.export_record import Quantization
from core.fidelity import Fidelity, Gate, TaskQuality
from core.frames import Frame
from core.manifest import Artifact, Status, describe_file
from core.precision import Precision
from export.builder import ShapeFrames
from export.execution import executed_share
from export.fidelity import translate_all
from export.plan import Planned
from runtime.benchmark import BLOCKS, Candidate, measure
from runtime.engines import Engine, open_engine

STEPS: Final = 1 + BLOCKS
"""How often ``measure_artifacts`` says what it does for each artifact that can run here."""
PICTURES: Final = 4
"""Translations kept of every artifact, to be looked at in the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An artifact that was made: what of, of which frames, how, and how long it took."""

    planned: Planned
    frames: ShapeFrames
    paths: Sequence[Path]
    quantization: Quantization | None
    seconds: float
    operations: Mapping[str, int]
    """Of each layer, by name."""

    @property
    def name(self) -> str:
        """Its main file's."""
        return self.paths[0].name

    def open(self, target: str | None = None) -> Engine:
        """Load it, with the engine of ``target`` (default: its own)."""
        return open_engine(target or self.planned.target.name, self.paths[0], size=self.frames.shape.size)


@dataclass(slots=True, kw_only=True)
class _Judged:
    """What an artifact makes of the held-out frames."""

    fidelity: Fidelity | None = None
    quality: TaskQuality | None = None
    executes: dict[str, float] | None = None
    not_run: str | None = None
    """Why its own engine cannot run it here."""


def measure_artifacts(
    built: Sequence[Built], gates: Mapping[Precision, Gate], *, runs: int, say: Callable[[str], None]
) -> tuple[list[Artifact], dict[str, list[Frame]]]:
    """The manifest's entries of what was ``built``, and some translations of each that can be computed here, by name.

    All are timed in one run, in blocks of rotating order, so that ratios hold.
    """
    pictures: dict[str, list[Frame]] = {}
    judged = {}
    for row in built:
        say(f"comparing {row.name}")
        judged[row.name] = _judge(row, pictures)
    candidates = [
        Candidate(
            name=row.name,
            open=row.open,
            frames=np.repeat(row.frames.held_out.frames[0][np.newaxis], row.frames.shape.batch, axis=0),
        )
        for row in built
        if judged[row.name].not_run is None
    ]
    measured = measure(candidates, runs=runs, on_block=lambda name: say(f"timing {name}"))
    artifacts = []
    for row in built:
        one, gate = judged[row.name], gates[row.planned.precision]
        complaint = None
        if one.fidelity is not None:
            complaint = gate.complaint(one.fidelity, one.quality, row.frames.held_out.reference_quality)
        status = Status.FAILED if complaint else Status.NOT_RUN if one.not_run else Status.PASSED
        artifacts.append(
            Artifact(
                target=row.planned.target.name,
                precision=row.planned.precision,
                files=tuple(describe_file(path) for path in row.paths),
                height=row.frames.shape.size.height,
                width=row.frames.shape.size.width,
                batch=row.frames.shape.batch,
                dynamic=row.frames.shape.dynamic,
                fidelity=one.fidelity,
                quality=one.quality,
                latency_ms=measured[row.name].entry() if row.name in measured else None,
                status=status,
                reason=complaint or one.not_run,
                build_seconds=row.seconds,
                quantization=row.quantization,
                executes=one.executes,
            )
        )
    return artifacts, pictures


def _judge(row: Built, pictures: dict[str, list[Frame]]) -> _Judged:
    target = row.planned.target
    held_out = row.frames.held_out
    try:
        with row.open(target.checked_by) as engine:
            translations = translate_all(engine, held_out.frames)
            executes = None if target.checked_by else executed_share(engine, row.planned, row.paths[0], row.operations)
    except (MissingDependencyError, UnavailableError) as error:
        return _Judged(not_run=str(error))
    pictures[row.name] = translations[:PICTURES]
    fidelity, quality = held_out.judge(translations)
    return _Judged(fidelity=fidelity, quality=quality, executes=executes, not_run=target.run_elsewhere)
