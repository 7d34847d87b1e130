"""All artifacts of a bundle, and the baseline people come from, timed in one run."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.complexity import generator_gflop
from core.configuration import GeneratorConfig
from core.errors import MissingDependencyError, UnavailableError
from core.export_record import Normalization
from core.facades import MAX_SIZE, MIN_SIZE, FacadeStream
from core.formats import TARGETS, is_installed
from core.frames import Size, fit
from core.machine import library_versions, this_machine, usable_cores
from core.manifest import Manifest, Status, verify_files
from export.tables import Row, artifact_row
from runtime.benchmark import BLOCKS, Candidate, Measured, matrix_rate_gflops, measure
from runtime.bundle import Bundle
from runtime.engines import Engine, open_engine

BASELINE = "PyTorch eager"
"""The table's name for the PyTorch generator run eagerly, NumPy pre- and post-processing around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkResult:
    """What was measured of a bundle."""

    rows: list[Row]
    measured: dict[str, Measured]
    """By artifact name, and ``BASELINE``."""
    gflop_per_frame: float | None
    """Of the generator; None for a graph that was made elsewhere."""
    ceiling_gflops: float
    """10^9 operations a second of an fp32 matrix product on this machine, measured in the same run."""

    @property
    def ceiling(self) -> str:
        """The machine's ceiling for one frame, in words."""
        if self.gflop_per_frame is None:
            return f"CPU ceiling: {self.ceiling_gflops:.0f} GFLOP/s (fp32 matrix product, same run)"
        milliseconds = 1000 * self.gflop_per_frame / self.ceiling_gflops
        return (
            f"CPU ceiling: {self.gflop_per_frame:.2f} GFLOP a frame at {self.ceiling_gflops:.0f} GFLOP/s "
            f"(fp32 matrix product, same run) takes {milliseconds:.1f} ms"
        )


def count_steps(bundle: Bundle) -> int:
    """How often ``time_bundle`` says what it does, at most."""
    return 1 + BLOCKS * (len(bundle.manifest.artifacts) + 1)


def time_bundle(
    bundle: Bundle, *, runs: int, threads: int | None = None, say: Callable[[str], None] = lambda _line: None
) -> BenchmarkResult:
    """Time every artifact of ``bundle`` that can run here, and the baseline, ``runs`` times each.

    Raises:
        BundleError: if a file is missing, damaged or another than was measured at export.
    """
    candidates: list[Candidate] = []
    reasons: dict[str, str] = {}
    for artifact in bundle.manifest.artifacts:
        verify_files(bundle.folder, artifact)
        path = bundle.folder / artifact.name
        size = artifact.size if artifact.dynamic else None
        opener = partial(open_engine, artifact.target, path, threads=threads, size=size)
        try:
            opener().close()
        except (MissingDependencyError, UnavailableError) as error:
            reasons[artifact.name] = str(error)
        else:
            candidates.append(Candidate(name=artifact.name, open=opener, frames=_frames(artifact.size, artifact.batch)))
    size = bundle.manifest.artifacts[0].size
    if bundle.manifest.generator is None:
        reasons[BASELINE] = "the original is an ONNX graph, not a PyTorch generator"
    elif is_installed("torch"):
        opener = partial(_baseline, bundle.manifest, bundle.manifest.generator, threads or usable_cores())
        candidates.append(Candidate(name=BASELINE, open=opener, frames=_frames(size, 1)))
    else:
        reasons[BASELINE] = "PyTorch is not installed: pip install 'pix2pix-edge[train]'"
    say("measuring the machine's ceiling")
    ceiling = matrix_rate_gflops()
    measured = measure(candidates, runs=runs, on_block=lambda name: say(f"timing {name}"))
    return BenchmarkResult(
        rows=_rows(bundle, measured, reasons),
        measured=measured,
        gflop_per_frame=generator_gflop(bundle.manifest.generator, size) if bundle.manifest.generator else None,
        ceiling_gflops=ceiling,
    )


def _frames(size: Size, batch: int) -> NDArray[np.uint8]:
    """``uint8 [batch, H, W, 3]`` BGR: label maps of the built-in street."""
    frame = fit(FacadeStream(size=min(max(*size, MIN_SIZE), MAX_SIZE)).labels(0), size)
    return np.repeat(frame[np.newaxis], batch, axis=0)


def _baseline(manifest: Manifest, generator: GeneratorConfig, threads: int) -> Engine:
    from export.baseline import untrained_engine

    batch = 1 if manifest.normalization is Normalization.INSTANCE else 2
    return untrained_engine(generator, manifest.artifacts[0].size, batch=batch, threads=threads)


def _rows(bundle: Bundle, measured: dict[str, Measured], reasons: dict[str, str]) -> list[Row]:
    rows = []
    for artifact in bundle.manifest.artifacts:
        if artifact.name in measured:
            row = artifact_row(artifact, bundle.manifest, latency=measured[artifact.name].entry())
        else:
            unrun = artifact.model_copy(
                update={"status": Status.NOT_RUN, "reason": reasons[artifact.name], "latency_ms": None}
            )
            row = artifact_row(unrun, bundle.manifest)
        rows.append(row)
    latency = measured[BASELINE].entry() if BASELINE in measured else None
    rows.append(
        Row(
            title=BASELINE,
            precision="fp32",
            total_bytes=None,
            fidelity=None,
            latency=latency,
            status="baseline" if latency else "not run",
            reason=reasons.get(
                BASELINE, "NumPy pre- and post-processing around it; initial weights, which are as fast as trained ones"
            ),
        )
    )
    return rows


def report(bundle: Bundle, result: BenchmarkResult) -> dict[str, Any]:
    """Everything that was measured, for scripts, raw milliseconds included."""
    machine = this_machine()
    names = [artifact.name for artifact in bundle.manifest.artifacts] + [BASELINE]
    titles = [TARGETS[artifact.target].name for artifact in bundle.manifest.artifacts] + ["pytorch"]
    return {
        "bundle": str(bundle.folder),
        "machine": machine.model_dump(mode="json"),
        "fingerprint": machine.fingerprint,
        "libraries": library_versions(),
        "gflop_per_frame": result.gflop_per_frame,
        "ceiling_gflops": result.ceiling_gflops,
        "artifacts": [
            {
                "name": name,
                "target": target,
                "precision": row.precision,
                "bytes": row.total_bytes,
                "fidelity": row.fidelity.model_dump() if row.fidelity else None,
                "latency_ms": row.latency.model_dump() if row.latency else None,
                "fps": round(row.fps, 2) if row.fps else None,
                "load_seconds": round(result.measured[name].load_seconds, 3) if name in result.measured else None,
                "raw_ms": [round(value, 4) for value in result.measured[name].raw_ms]
                if name in result.measured
                else None,
                "status": row.status,
                "reason": row.reason,
                "recommended": row.recommended,
            }
            for name, target, row in zip(names, titles, result.rows, strict=True)
        ],
    }
