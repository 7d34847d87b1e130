"""All artifacts of a bundle, and the baselines people come from, timed in one run."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from core.complexity import generator_gflop
from core.configuration import GeneratorConfig
from core.errors import MissingDependencyError, UnavailableError
from core.export_record import Normalization
from core.formats import is_installed
from core.frames import Size
from core.manifest import Manifest, Status, verify_files
from export.naive import ENGINES, open_naive, write_naive_graph
from export.tables import Row, artifact_row
from runtime.benchmark import Candidate, Measured, matrix_rate_gflops, measure, street_frames
from runtime.bundle import Bundle
from runtime.engines import Engine, open_engine

EAGER: Final = "PyTorch eager"
"""The table's name for the PyTorch generator run eagerly, NumPy pre- and post-processing around it."""

NAIVE: Final = {"onnx": "naive ONNX", "openvino": "naive OpenVINO"}
"""The table's names for the bare generator as ONNX, with the same around it, by the target whose engine runs it."""

BASELINES: Final = {EAGER: "pytorch"} | {name: target for target, name in NAIVE.items()}
"""The baselines and what runs them."""

BLOCKS: Final = 6
"""Enough to see how much the same thing differs from itself on a machine that does other work as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkSettings:
    """How a bundle is timed."""

    runs: int
    """Calls of each artifact and baseline, in all blocks together."""
    threads: int
    """CPU threads of each engine."""
    depth: int = 1
    """Calls under way at a time: one for latency, several for throughput. Baselines always have one."""
    baselines: bool = True

    @property
    def blocks(self) -> int:
        """Blocks that the calls are divided into."""
        return min(BLOCKS, self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkResult:
    """What was measured of a bundle."""

    settings: BenchmarkSettings
    rows: dict[str, Row]
    """By name of artifact or baseline, in the table's order."""
    measured: dict[str, Measured]
    """By the same names; those that could not be run are missing."""
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


def count_steps(bundle: Bundle, settings: BenchmarkSettings) -> int:
    """How often ``time_bundle`` says what it does, at most."""
    timed = len(bundle.manifest.artifacts) + (len(BASELINES) if settings.baselines else 0)
    return 1 + settings.baselines + settings.blocks * timed


def time_bundle(
    bundle: Bundle, settings: BenchmarkSettings, *, say: Callable[[str], None] = lambda _line: None
) -> BenchmarkResult:
    """Time every artifact of ``bundle`` that can run here, and the baselines.

    Raises:
        BundleError: if a file is missing, damaged or another than was measured at export.
    """
    manifest = bundle.manifest
    reasons: dict[str, str] = {}
    candidates = _artifacts(bundle, settings, reasons)
    with tempfile.TemporaryDirectory(prefix="p2p-bench-") as folder:
        if settings.baselines:
            say("making the baselines")
            candidates += _baselines(manifest, settings, Path(folder), reasons)
        say("measuring the machine's ceiling")
        ceiling = matrix_rate_gflops()
        measured = measure(
            candidates, runs=settings.runs, blocks=settings.blocks, on_block=lambda name: say(f"timing {name}")
        )
    return BenchmarkResult(
        settings=settings,
        rows=_rows(manifest, settings, measured, reasons),
        measured=measured,
        gflop_per_frame=generator_gflop(manifest.generator, manifest.artifacts[0].size) if manifest.generator else None,
        ceiling_gflops=ceiling,
    )


def _artifacts(bundle: Bundle, settings: BenchmarkSettings, reasons: dict[str, str]) -> list[Candidate]:
    """The artifacts that can run here; why others cannot is put into ``reasons``."""
    candidates = []
    for artifact in bundle.manifest.artifacts:
        verify_files(bundle.folder, artifact)
        opener = partial(
            open_engine,
            artifact.target,
            bundle.folder / artifact.name,
            threads=settings.threads,
            size=artifact.size if artifact.dynamic else None,
            depth=settings.depth,
        )
        try:
            opener().close()
        except (MissingDependencyError, UnavailableError) as error:
            reasons[artifact.name] = str(error)
        else:
            frames = street_frames(artifact.size, artifact.batch)
            candidates.append(Candidate(name=artifact.name, open=opener, frames=frames, depth=settings.depth))
    return candidates


def _baselines(
    manifest: Manifest, settings: BenchmarkSettings, folder: Path, reasons: dict[str, str]
) -> list[Candidate]:
    """The baselines that can run here, graphs written to ``folder``; why others cannot is put into ``reasons``."""
    if manifest.generator is None:
        reasons |= dict.fromkeys(BASELINES, "the original is an ONNX graph, not a PyTorch generator")
        return []
    if not is_installed("torch"):
        reasons |= dict.fromkeys(BASELINES, "PyTorch is not installed: pip install 'pix2pix-edge[train]'")
        return []
    config, size, threads = manifest.generator, manifest.artifacts[0].size, settings.threads
    frames = street_frames(size)
    candidates = [Candidate(name=EAGER, open=partial(_eager, manifest, config, size, threads), frames=frames)]
    missing = [module for module in ("onnx", "onnxscript") if not is_installed(module)]
    for target, name in NAIVE.items():
        lacking = [*missing, *(module for module in (ENGINES[target],) if not is_installed(module))]
        if lacking:
            reasons[name] = f"{' and '.join(lacking)} not installed: pip install 'pix2pix-edge[all]'"
        else:
            graph = folder / "naive.onnx"
            opener = partial(open_naive, target, graph, config, size, threads=threads)
            candidates.append(Candidate(name=name, open=opener, frames=frames))
    if len(candidates) > 1:
        from core.networks import build_generator

        write_naive_graph(graph, build_generator(config), manifest.normalization, size)
    return candidates


def _eager(manifest: Manifest, config: GeneratorConfig, size: Size, threads: int) -> Engine:
    from export.baseline import untrained_engine

    batch = 1 if manifest.normalization is Normalization.INSTANCE else 2
    return untrained_engine(config, size, batch=batch, threads=threads)


def _rows(
    manifest: Manifest, settings: BenchmarkSettings, measured: dict[str, Measured], reasons: dict[str, str]
) -> dict[str, Row]:
    rows = {}
    for artifact in manifest.artifacts:
        if artifact.name in measured:
            timed = measured[artifact.name]
            fps = timed.calls_per_second * artifact.batch if settings.depth > 1 else None
            rows[artifact.name] = artifact_row(artifact, manifest, latency=timed.entry(), measured_fps=fps)
        else:
            unrun = artifact.model_copy(
                update={"status": Status.NOT_RUN, "reason": reasons[artifact.name], "latency_ms": None}
            )
            rows[artifact.name] = artifact_row(unrun, manifest)
    return rows | ({name: _baseline_row(name, measured, reasons) for name in BASELINES} if settings.baselines else {})


def _baseline_row(name: str, measured: dict[str, Measured], reasons: dict[str, str]) -> Row:
    return Row(
        title=name,
        precision="fp32",
        total_bytes=None,
        fidelity=None,
        latency=measured[name].entry() if name in measured else None,
        status="baseline" if name in measured else "not run",
        reason=reasons.get(name),
    )
