"""Which artifact of a bundle to run on this machine: measured, not guessed.

Where the bundle was made on this machine, its manifest knows. Elsewhere the artifacts are timed for about two seconds,
once: the figures are kept for this machine, bundle, device and engine versions.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from core.cache_folder import keep_cached, read_cached
from core.errors import EdgeError, MissingDependencyError, UnavailableError
from core.frames import Size
from core.machine import library_versions, this_machine, usable_cores
from core.manifest import Artifact
from core.precision import Precision
from runtime.bundle import Bundle, by_latency, recorded_latency
from runtime.engines import parse_device
from runtime.latency import NS_PER_MS, percentiles

PROBE_SECONDS: Final = 2.0
LIBRARIES: Final = ("onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "tensorrt-rtx-cu13")
"""Those of the engines: with another version, others may be the fastest."""
"""Of timed translations, shared by all artifacts; loading them comes on top."""
ROUNDS: Final = 2
"""In which all artifacts take turns, the second time in reverse: a shared machine's speed drifts."""
FEWEST: Final = 3
"""Translations of an artifact in a round, however slow it is."""
WARM_UP: Final = 2
HEADROOM: Final = 0.9
"""Share of a frame's time that the engine may take; capture, conversion and output need the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The artifact to run.

    Attributes:
        artifact: it.
        reason: why this one, for a line that people read.
        usable: all that could be run instead, the fastest first; ``artifact`` among them.
        holds: whether it holds the frame rate that was asked for; None if none was.
        device: what they are to run on; None: what each engine takes by itself.
    """

    artifact: Artifact
    reason: str
    usable: tuple[Artifact, ...]
    holds: bool | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of one translation."""

    p50: float
    p90: float


def choose_artifact(
    bundle: Bundle,
    *,
    target: str | None = None,
    precision: Precision | None = None,
    size: Size | None = None,
    threads: int | None = None,
    device: str | None = None,
    hold_fps: float | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Choice:
    """The fastest faithful artifact on this machine; with ``hold_fps`` the most faithful that is fast enough.

    Args:
        bundle: where it is from.
        target: only of this one.
        precision: only of this one.
        size: of the frames; default: the bundle's first.
        threads: CPU threads of the engine; default: all.
        device: where it is to run, as ``runtime.engines.open_engine`` takes it; only artifacts that can, and figures
            that were measured there, are considered.
        hold_fps: frames a second that are to be held; artifacts are then measured at every start.
        say: told when the start takes longer because something is measured.

    Raises:
        InvalidInputError: if the bundle has no such artifact, or ``device`` is no name of one.
        MissingDependencyError, UnavailableError: if none of them can be used here, or on ``device``.
    """
    device = parse_device(device)
    if target is not None and precision is not None:
        artifact = bundle.choose(target=target, precision=precision, size=size, device=device)
        if hold_fps is None:
            usable = (artifact, *_others(bundle, artifact, size, device))
            return Choice(artifact=artifact, reason="as asked", usable=usable, device=device)
        candidates = [artifact]
    else:
        candidates = bundle.usable(target=target, precision=precision, size=size, device=device)
    if hold_fps is not None:
        say(f"measuring {len(candidates)} artifact{'s' * (len(candidates) > 1)} for {hold_fps:g} fps")
        choice = _holding(candidates, _measure(bundle, candidates, threads, device, say), hold_fps)
    else:
        choice = _fastest(bundle, candidates, threads, device, say)
    return replace(choice, device=device)


def _others(bundle: Bundle, artifact: Artifact, size: Size | None, device: str | None) -> list[Artifact]:
    """What could be run instead of ``artifact``, which was asked for and need not be one of them."""
    try:
        return [other for other in bundle.usable(size=size, device=device) if other.name != artifact.name]
    except (MissingDependencyError, UnavailableError):
        return []


def _fastest(
    bundle: Bundle,
    candidates: list[Artifact],
    threads: int | None,
    device: str | None,
    say: Callable[[str], None],
) -> Choice:
    """By what the manifest says of this machine and device, or else by a probe."""
    if len(candidates) == 1:
        return Choice(artifact=candidates[0], reason="the only one that fits", usable=tuple(candidates))
    here = bundle.manifest.fingerprint == this_machine().fingerprint
    recorded = [recorded_latency(one, device) for one in candidates]
    if here and all(latency and latency.threads == (threads or usable_cores()) for latency in recorded):
        ranked = by_latency(candidates, device)
        return Choice(artifact=ranked[0], reason="the fastest when it was exported here", usable=tuple(ranked))
    return _probed(bundle, candidates, threads, device, say)


def _probed(
    bundle: Bundle,
    candidates: list[Artifact],
    threads: int | None,
    device: str | None,
    say: Callable[[str], None],
) -> Choice:
    """By what is remembered of this machine and device, or else by a probe that is then remembered."""
    name = _cache_name(bundle, candidates, threads, device)
    kept = _parse(read_cached(name))
    timings = {name: timing for name, timing in kept.items() if timing is not None}
    reason = "the fastest when it was measured here"
    if set(kept) != {candidate.name for candidate in candidates} or not timings:
        say(f"measuring {len(candidates)} artifacts on this machine for about {PROBE_SECONDS:g} s (remembered)")
        timings = _measure(bundle, candidates, threads, device, say)
        reason = "the fastest, measured just now"
        told = [(one.name, timings.get(one.name)) for one in candidates]  # those that cannot be loaded as well
        keep_cached(name, json.dumps({one: time and [time.p50, time.p90] for one, time in told}).encode())
    ranked = [one for one in sorted(candidates, key=lambda one: _p50(timings, one)) if one.name in timings]
    return Choice(artifact=ranked[0], reason=f"{reason}: {timings[ranked[0].name].p50:.1f} ms", usable=tuple(ranked))


def _holding(candidates: list[Artifact], timings: dict[str, Timing], fps: float) -> Choice:
    ranked = [one for one in sorted(candidates, key=lambda one: _p50(timings, one)) if one.name in timings]
    room = HEADROOM * 1000 / fps
    holding = [one for one in ranked if timings[one.name].p90 <= room]
    if not holding:
        best = ranked[0]
        made = HEADROOM * 1000 / timings[best.name].p90
        reason = f"none holds {fps:g} fps here; the fastest makes about {made:.0f}"
        return Choice(artifact=best, reason=reason, usable=tuple(ranked), holds=False)
    best = max(holding, key=lambda one: one.fidelity.psnr_db if one.fidelity else 0.0)
    reason = f"the most faithful that holds {fps:g} fps: {timings[best.name].p90:.1f} of {1000 / fps:.1f} ms"
    return Choice(artifact=best, reason=reason, usable=tuple(ranked), holds=True)


def _p50(timings: dict[str, Timing], artifact: Artifact) -> float:
    return timings[artifact.name].p50 if artifact.name in timings else float("inf")


def _measure(
    bundle: Bundle, candidates: list[Artifact], threads: int | None, device: str | None, say: Callable[[str], None]
) -> dict[str, Timing]:
    """Time all ``candidates``; those that cannot be loaded after all are missing, and ``say`` is told why.

    Raises:
        EdgeError: if none can be loaded: the first one's reason.
    """
    values: dict[str, list[float]] = {}
    failures: dict[str, EdgeError] = {}
    share = PROBE_SECONDS / ROUNDS / len(candidates)
    for order in (candidates, candidates[::-1])[:ROUNDS]:
        for candidate in order:
            try:
                values.setdefault(candidate.name, []).extend(_time(bundle, candidate, threads, device, share))
            except EdgeError as error:
                failures.setdefault(candidate.name, error)
    timings = {}
    for name, milliseconds in values.items():
        if milliseconds:
            p50 = percentiles(milliseconds, (50,))[0]
            assert p50 is not None, "several were timed"
            timings[name] = Timing(p50, percentiles(milliseconds, (90,))[0] or max(milliseconds))
    if not timings:
        raise next(iter(failures.values()), UnavailableError("nothing could be measured"))
    for name, failure in failures.items():
        say(f"{name} is left out: {failure}")
    return timings


def _time(bundle: Bundle, artifact: Artifact, threads: int | None, device: str | None, seconds: float) -> list[float]:
    noise = np.random.default_rng(0).integers(0, 256, (*artifact.size, 3), dtype=np.uint8)
    milliseconds: list[float] = []
    with bundle.open(artifact, threads=threads, device=device) as engine:
        for _ in range(WARM_UP):
            engine.translate(noise)
        end = time.perf_counter() + seconds
        while len(milliseconds) < FEWEST or time.perf_counter() < end:
            if len(milliseconds) > 1 and time.perf_counter() > end + PROBE_SECONDS:
                break  # so slow that two calls say enough
            start = time.perf_counter_ns()
            engine.translate(noise)
            milliseconds.append((time.perf_counter_ns() - start) / NS_PER_MS)
    return milliseconds


def _cache_name(bundle: Bundle, candidates: list[Artifact], threads: int | None, device: str | None) -> str:
    """Different for all that the figures depend on."""
    versions = {name: version for name, version in library_versions().items() if name in LIBRARIES}
    files = [(one.name, one.files[0].sha256, one.size) for one in candidates]
    parts = json.dumps([this_machine().fingerprint, files, threads, versions, device])
    return f"probe-{hashlib.sha256(parts.encode()).hexdigest()[:32]}.json"


def _parse(content: bytes) -> dict[str, Timing | None]:
    """What was kept, None for what could not be loaded; nothing if it is not what this module writes."""
    try:
        return {
            str(name): None if values is None else Timing(*map(float, values))
            for name, values in json.loads(content).items()
        }
    except (ValueError, AttributeError, TypeError):
        return {}
