"""The whole stream on the GPU: ``p2p-run`` as a user types it."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.gpu_check.checks import Check, Figures, Setting, installed
from benchmarks.gpu_check.commands import command, error_of, surroundings
from benchmarks.gpu_check.engines import bundle_folder, engine_needs
from benchmarks.gpu_check.record import Facts, Section
from core.errors import UnavailableError
from core.frames import Size
from core.manifest import MANIFEST_NAME, read_manifest
from core.manifest import Status as ArtifactStatus

DEMO: Final = "p2p-run, demo stream"
CLIP: Final = "p2p-run, 1080p clip"
FRAMES: Final = 3000
CLIP_FRAMES: Final = 300
PREFERRED: Final = ("tensorrt", "tensorrt_rtx", "openvino", "onnx")
"""Whose bundle is taken, of those that were made."""
CLIP_SIZE: Final = Size(1080, 1920)
EVERY_MS: Final = 100
SAMPLER: Final = (
    "nvidia-smi",
    "--id=0",
    "--query-gpu=utilization.gpu",
    "--format=csv,noheader,nounits",
    f"--loop-ms={EVERY_MS}",
)
KEPT: Final = ("artifact", "device", "depth", "frames", "fps", "first_frame_seconds", "peak_memory_mib", "cpu_cores")


def parse_utilization(lines: Iterable[str]) -> list[float]:
    """Percent of each line of ``nvidia-smi``; a driver that does not know says ``[N/A]`` or ``[Not Supported]``."""
    found = []
    for line in lines:
        text = line.strip().removesuffix("%").strip()
        if text.replace(".", "", 1).isdigit() and 0 <= float(text) <= 100:
            found.append(float(text))
    return found


def idle_share(samples: list[float]) -> float | None:
    """Share of the time in which no kernel ran, by the driver's own samples; None without any.

    Counted from the first in which one ran to the last: the process starts before, and ends after.
    """
    busy = [place for place, sample in enumerate(samples) if sample > 0]
    kept = samples[busy[0] : busy[-1] + 1] if busy else []
    return 1 - sum(kept) / len(kept) / 100 if kept else None


def sampled(work: Callable[[], None], *, sampler: tuple[str, ...] = SAMPLER) -> list[float]:
    """The GPU's utilization while ``work`` is done; nothing where there is no ``nvidia-smi``."""
    try:
        process = subprocess.Popen(sampler, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        work()
        return []
    assert process.stdout is not None
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
    reader.start()
    try:
        work()
    finally:
        process.terminate()
        process.wait()
        reader.join(timeout=5)
    return parse_utilization(lines)


def stream(setting: Setting, *, clip: bool, depth: int) -> Figures:
    """One stream of the fastest faithful artifact on the device, without a window or a file."""
    bundles = [bundle_folder(setting, target) for target in PREFERRED]
    bundle = next((folder for folder in bundles if _has_faithful(folder)), None)
    if bundle is None:
        raise UnavailableError("there is no bundle: see the engines")
    frames = setting.runs(CLIP_FRAMES if clip else FRAMES)
    source = str(_clip(setting)) if clip else "demo"
    options = ["--source", source, "--frames", frames, "--no-show", "--json", "--device", setting.device]
    line = command("runtime.command", bundle, *options, "--depth", depth)
    ended: list[subprocess.CompletedProcess[str]] = []

    def run() -> None:
        ended.append(subprocess.run(line, capture_output=True, text=True, check=False, **surroundings(setting)))

    samples = sampled(run)
    done = ended[0]
    if done.returncode:
        raise UnavailableError(error_of(done))
    summary = json.loads(done.stdout)
    found: Figures = {name: summary[name] for name in KEPT}
    for name, stage in summary["latency_ms"].items():
        found |= {f"{name}_{key}_ms": stage[key] for key in ("p50", "p99") if stage[key] is not None}
    idle = idle_share(samples)
    return found | ({} if idle is None else {"gpu_idle_share": round(idle, 4), "samples": len(samples)})


def _has_faithful(bundle: Path) -> bool:
    if not (bundle / MANIFEST_NAME).is_file():
        return False
    return any(artifact.status is ArtifactStatus.PASSED for artifact in read_manifest(bundle).artifacts)


def an_engine_of_the_device(facts: Facts) -> str | None:
    """That something of what ``p2p-export`` makes runs on the device."""
    reasons = [engine_needs(target)(facts) for target in PREFERRED]
    return "; ".join(filter(None, reasons)) if all(reasons) else None


def _clip(setting: Setting) -> Path:
    from benchmarks.runtime import write_clip

    path = setting.folder / "clip.mp4"
    if not path.is_file():
        size = Size(144, 256) if setting.brief else CLIP_SIZE
        write_clip(path, size, setting.runs(CLIP_FRAMES))
    return path


def checks() -> list[Check]:
    """Those of this section: each source with one frame under way, for latency, and with two, for the rate."""
    return [
        Check(
            section=Section.PIPELINE,
            name=f"{name}, depth {depth}",
            run=partial(stream, clip=clip, depth=depth),
            needs=(installed("cv2", "onnx", "onnxscript"), an_engine_of_the_device),
            limit_seconds=60,
            priority=3,
        )
        for name, clip in ((DEMO, False), (CLIP, True))
        for depth in (1, 2)
    ]
