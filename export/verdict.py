"""What a manifest's figures come to, in words: what to ship, how good and fast it is, and what an engineer should know.

Every sentence follows from figures of this very manifest; where they do not show a thing, nothing is said of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from core.formats import TARGETS
from core.manifest import Artifact, Manifest, Status
from core.precision import Precision

NOISE: Final = 0.03
"""Latencies that differ by less than this share of each other count as equal."""
MOSTLY: Final = 0.9
"""Share of the work that has to be done in a precision for an artifact to be called by its name."""
BASELINES: Final = ("onnx", "openvino")
"""Targets whose fp32 is what speed is counted against."""
LONGEST_REASON: Final = 200
"""Characters of a reason among the findings."""


class Tone(StrEnum):
    """How a line is meant."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure, large, and what it is."""

    value: str
    unit: str
    label: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something notable."""

    tone: Tone
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The head of a report.

    Attributes:
        tone: good if there is an artifact to ship, bad if those that ran are not faithful, a warning if none ran.
        headline: the answer in a few words.
        sentence: the same with what it rests on.
        tiles: the recommended artifact's figures.
        findings: what else is notable, the most important first.
    """

    tone: Tone
    headline: str
    sentence: str
    tiles: Sequence[Tile]
    findings: Sequence[Finding]


def find_verdict(manifest: Manifest) -> Verdict:
    """The verdict on a bundle, of the artifacts of its first size."""
    artifacts = [artifact for artifact in manifest.artifacts if artifact.primary]
    best = next((artifact for artifact in manifest.artifacts if artifact.name == manifest.recommended), None)
    findings = [
        *(Finding(Tone.WARNING, _sentence(note)) for note in manifest.notes),
        *_failures(artifacts, best),
        *_halves(artifacts),
        *_integers(artifacts, manifest),
        *_task(best, manifest),
        *_not_run(manifest.artifacts),
        *_other_sizes(manifest),
        *_left_out(manifest),
    ]
    if best is not None and best.latency_ms is not None and best.fidelity is not None:
        latency = best.latency_ms
        frames = f"{best.batch} frames of {best.size}" if best.batch > 1 else f"a {best.size} frame"
        device = "the CPU" if latency.device.lower() == "cpu" else latency.device
        threads = f"{latency.threads} thread" + "s" * (latency.threads > 1)
        sentence = (
            f"The fastest artifact here that is still faithful. {title_of(best)} translates {frames} in "
            f"{milliseconds(latency.p50)} ms on {device}: the median of {latency.runs} runs, {threads}."
        )
        return Verdict(
            tone=Tone.GOOD,
            headline=f"Ship {best.name}",
            sentence=sentence,
            tiles=_tiles(best, artifacts),
            findings=findings,
        )
    if any(artifact.fidelity is not None for artifact in artifacts):
        failed = any(artifact.status is Status.FAILED for artifact in artifacts)
        return Verdict(
            tone=Tone.BAD if failed else Tone.WARNING,
            headline="No artifact is faithful" if failed else "No artifact was timed",
            sentence="None that ran here makes the pictures that the trained network makes; what each lacks:"
            if failed
            else "What was made could be computed, but not timed by its own engine, so none is recommended.",
            tiles=(),
            findings=findings,
        )
    return Verdict(
        tone=Tone.WARNING,
        headline="Nothing was measured",
        sentence="No engine on this machine runs what was made, so none is recommended: run p2p-bench where one does.",
        tiles=(),
        findings=findings,
    )


def title_of(artifact: Artifact) -> str:
    """What people call it, e.g. ``ONNX Runtime int8``, with its size where that is not the bundle's first."""
    title = f"{TARGETS[artifact.target].title} {artifact.precision}"
    return title if artifact.primary else f"{title} {artifact.size}"


def milliseconds(value: float) -> str:
    """As tables print it."""
    return f"{value:.2f}" if value < 100 else f"{value:.1f}"


def shares(executes: dict[str, float]) -> str:
    """E.g. ``97 % int8, 3 % fp32``."""
    ranked = sorted(executes.items(), key=lambda item: -item[1])
    return ", ".join(f"{100 * share:.0f} % {kind}" for kind, share in ranked)


def shortened(reason: str) -> str:
    """``reason``, or the beginning of a long one, which the page has in full at its end."""
    if len(reason) <= LONGEST_REASON:
        return reason
    beginning = reason[:LONGEST_REASON].rsplit(" ", 1)[0]
    return f"{beginning} \N{HORIZONTAL ELLIPSIS} (in full at the end)"


def _sentence(note: str) -> str:
    """``note`` with a capital, unless it begins with a name, such as that of a file."""
    first = note.split(" ", 1)[0]
    return note[:1].upper() + note[1:] if first.isalpha() else note


def _tiles(best: Artifact, artifacts: Sequence[Artifact]) -> list[Tile]:
    fidelity, latency = best.fidelity, best.latency_ms
    assert latency is not None, "the recommended artifact was timed"
    assert fidelity is not None, "the recommended artifact was compared"
    rate = 1000 * best.batch / latency.p50
    tail = f", p99 {milliseconds(latency.p99)}" if latency.p99 else ""
    near = f"SSIM {fidelity.ssim:.3f}, up to {_steps(fidelity.max_abs)}, {fidelity.frames} held-out frames"
    tiles = [
        Tile(milliseconds(latency.p50), "ms", f"p50 a {'frame' if best.batch == 1 else 'call'}{tail}"),
        Tile(f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}", "fps", "at the median latency"),
        Tile(f"{fidelity.psnr_db:.1f}", "dB", f"PSNR to the original: {near}")
        if fidelity.max_abs
        else Tile("equal", "", f"every value of {fidelity.frames} held-out frames, to the original's"),
    ]
    for other in artifacts:
        timed, same = other.latency_ms, (other.size, other.batch) == (best.size, best.batch)
        if other.target in BASELINES and other.precision is Precision.FP32 and other is not best and timed and same:
            ratio = f"{timed.p50 / latency.p50:.2f}"
            tiles.append(
                Tile(ratio, "\N{MULTIPLICATION SIGN}", f"the speed of {title_of(other)} ({milliseconds(timed.p50)} ms)")
            )
    tiles.append(Tile(f"{best.total_bytes / 1e6:.1f}", "MB", "on disk"))
    return tiles


def _steps(count: int) -> str:
    return f"{count} of 255 steps"


def _failures(artifacts: Sequence[Artifact], best: Artifact | None) -> list[Finding]:
    findings = []
    for artifact in artifacts:
        if artifact.status is Status.FAILED:
            why, lure = shortened(artifact.reason or ""), ""
            if best and best.latency_ms and artifact.latency_ms and artifact.latency_ms.p50 < best.latency_ms.p50:
                lure = f" It would be faster: {milliseconds(artifact.latency_ms.p50)} ms."
            findings.append(Finding(Tone.BAD, f"{title_of(artifact)} missed its gate: {why}.{lure}"))
    return findings


def _fp32_of(artifact: Artifact, artifacts: Sequence[Artifact]) -> Artifact | None:
    """The fp32 artifact of the same target and shape, if both were timed."""
    for other in artifacts:
        same = (other.target, other.size, other.batch) == (artifact.target, artifact.size, artifact.batch)
        if same and other.precision is Precision.FP32 and other.latency_ms and artifact.latency_ms:
            return other
    return None


def _against(artifact: Artifact, fp32: Artifact) -> tuple[str, str]:
    """How the speed of ``artifact`` compares with that of its fp32, and the figures."""
    own, other = _median(artifact), _median(fp32)
    word = "slower than" if own > other * (1 + NOISE) else "faster than" if own < other * (1 - NOISE) else "as fast as"
    return word, f"{milliseconds(own)} against {milliseconds(other)} ms"


def _median(artifact: Artifact) -> float:
    assert artifact.latency_ms is not None, "asked of timed artifacts only"
    return artifact.latency_ms.p50


def _halves(artifacts: Sequence[Artifact]) -> list[Finding]:
    """FP16 that a CPU does not compute in: half the bytes, and no more than that."""
    findings = []
    for artifact in artifacts:
        fp32 = _fp32_of(artifact, artifacts)
        if artifact.precision is not Precision.FP16 or fp32 is None or artifact.latency_ms is None:
            continue
        if "cpu" not in artifact.latency_ms.device.lower():
            continue
        word, figures = _against(artifact, fp32)
        storage = artifact.executes is not None and not artifact.executes.get("fp16")
        if not storage and word == "faster than":
            continue
        size = f"{artifact.total_bytes / 1e6:.1f} against {fp32.total_bytes / 1e6:.1f} MB"
        why = f" The engine executes {shares(artifact.executes)}." if artifact.executes and storage else ""
        kind = "is storage only on this CPU" if storage else "brings no speed on this CPU"
        findings.append(
            Finding(Tone.NOTE, f"{title_of(artifact)} {kind}: {size}, and {word} its fp32 ({figures}).{why}")
        )
    return findings


def _integers(artifacts: Sequence[Artifact], manifest: Manifest) -> list[Finding]:
    """INT8 that is not faster, that is computed in something else in part, or that took some layers back."""
    findings = []
    for artifact in artifacts:
        if artifact.precision is not Precision.INT8:
            continue
        fp32 = _fp32_of(artifact, artifacts)
        partly = artifact.executes is not None and artifact.executes.get("int8", 0.0) < MOSTLY
        part = f" The engine executes {shares(artifact.executes)}." if artifact.executes and partly else ""
        if fp32 is not None and artifact.latency_ms is not None:
            word, figures = _against(artifact, fp32)
            on_cpu = "cpu" in artifact.latency_ms.device.lower()
            why = " This CPU has no VNNI." if on_cpu and manifest.machine.saturates_at_16_bits else ""
            if word != "faster than":
                text = f"{title_of(artifact)} is {word} its fp32: {figures}.{why}{part}"
                findings.append(Finding(Tone.WARNING, text))
            elif part:
                findings.append(Finding(Tone.NOTE, f"{title_of(artifact)} is {word} its fp32 ({figures}).{part}"))
        made = artifact.quantization
        if made is not None and made.kept_float:
            count = len(made.kept_float)
            layers = f"{count} layer{'s' * (count > 1)}"
            whose = "NNCF's accuracy control" if made.accuracy_control else "its gate"
            findings.append(
                Finding(
                    Tone.NOTE, f"{title_of(artifact)}: {layers} returned to float for {whose}, {made.layers} in INT8."
                )
            )
    return findings


def _task(best: Artifact | None, manifest: Manifest) -> list[Finding]:
    """What the recommended artifact loses of what the network is for."""
    reference = manifest.reference_quality
    if best is None or best.quality is None or reference is None:
        return []
    own = best.quality
    text = (
        f"Against the true pictures {title_of(best)} has an L1 of {own.l1:.4f} (the original {reference.l1:.4f}), "
        f"{own.psnr_db:.2f} dB ({reference.psnr_db:.2f}) and SSIM {own.ssim:.3f} ({reference.ssim:.3f})."
    )
    return [Finding(Tone.NOTE, text)]


def _not_run(artifacts: Sequence[Artifact]) -> list[Finding]:
    shared: dict[str, list[str]] = {}
    for artifact in artifacts:
        if artifact.status is Status.NOT_RUN:
            shared.setdefault(artifact.reason or "", []).append(title_of(artifact))
    lines = [f"{', '.join(names)}: {shortened(reason)}" for reason, names in shared.items()]
    return [Finding(Tone.NOTE, f"Built, not run: {line}") for line in lines]


def _other_sizes(manifest: Manifest) -> list[Finding]:
    others = [artifact for artifact in manifest.artifacts if not artifact.primary]
    failed = [f"{title_of(one)}: {shortened(one.reason or '')}" for one in others if one.status is Status.FAILED]
    return [Finding(Tone.BAD, f"Of further sizes these missed their gates: {'; '.join(failed)}.")] if failed else []


def _left_out(manifest: Manifest) -> list[Finding]:
    names = [" ".join(filter(None, (TARGETS[row.target].title, row.precision))) for row in manifest.left_out]
    return [Finding(Tone.NOTE, f"Not made: {', '.join(names)}; the reasons are at the end.")] if names else []
