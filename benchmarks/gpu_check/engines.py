"""The exported generator in every engine that runs on the GPU: made, compared, timed."""

import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu_check.checks import Check, Figures, Need, Setting, installed, onnx_runtime_on_device, rtx_supports
from benchmarks.gpu_check.commands import command, error_of, surroundings
from benchmarks.gpu_check.networks import make_generator, make_run
from benchmarks.gpu_check.record import Facts, Section
from benchmarks.gpu_check.runners import TorchEngine
from benchmarks.gpu_check.timing import device_times, host_times, latency_figures, median
from core.errors import GateMissedError, UnavailableError
from core.export_record import Normalization
from core.formats import TARGETS
from core.machine import usable_cores
from core.manifest import MANIFEST_NAME, Artifact, Status, read_manifest
from core.precision import Precision
from export.deploy_graph import DeployGraph
from export.fidelity import fidelity_of
from runtime.benchmark import Candidate, measure, street_frames
from runtime.engines import Engine, EngineSettings, open_engine

RUNS: Final = 400
FRAMES: Final = 4
GRAPH_OFF: Final = "no CUDA graph"
CHANNELS_LAST: Final = "channels last"
STAND_INS: Final = ("onnx", "openvino")
"""Targets whose engines a CPU runs."""
EXPORT_NEEDS: Final = ("onnx", "onnxscript", "safetensors")
ON_GPU: Final = ("onnx", "tensorrt", "tensorrt_rtx")


def engine_name(target: str, precision: str, what: str = "") -> str:
    """The row of an artifact, or of another way (``what``) to run it."""
    return f"{TARGETS[target].title} {precision}" + (f", {what}" if what else "")


def torch_name(precision: str, what: str) -> str:
    """The row of a PyTorch baseline."""
    return f"PyTorch {precision}, {what}"


def bundle_name(target: str) -> str:
    """The row of what ``p2p-export`` makes for a target."""
    return f"{TARGETS[target].title}, made by p2p-export"


def bundle_folder(setting: Setting, target: str) -> Path:
    """Where that lies."""
    return setting.folder / f"bundle-{target}"


def export_bundle(setting: Setting, *, target: str) -> Figures:
    """What a user would type for a target; what came of each artifact.

    Raises:
        GateMissedError: if an artifact missed its gate; the others can be measured all the same.
        UnavailableError: if there is no bundle.
    """
    folder = bundle_folder(setting, target)
    # The normalization that the network was made for: to measure which suits best takes half of the time.
    options = ["--normalization", "running", "--no-sensitivity", "--frames", 16, "--size", setting.size]
    options += ["--target", target, "--out", folder, "--fp16"]
    export = command("export.command", make_run(setting), *options)
    run = partial(subprocess.run, capture_output=True, text=True, check=False, **surroundings(setting))
    refused: Figures = {}
    done = run([*export, "--int8"])
    if not (folder / MANIFEST_NAME).is_file():  # INT8 is what a library refuses most, and the others do without
        first = error_of(done)
        refused = {"without_int8": first}
        done = run(export)
        if not (folder / MANIFEST_NAME).is_file():
            again = error_of(done)
            raise UnavailableError(first if again == first else f"{first}; and without INT8: {again}")
    manifest = read_manifest(folder)
    missed = [f"{one.name}: {one.reason}" for one in manifest.artifacts if one.status is Status.FAILED]
    if missed:
        raise GateMissedError("; ".join(missed))
    return {
        "artifacts": {artifact.name: artifact.status.value for artifact in manifest.artifacts},
        "left_out": {f"{one.target} {one.precision}": one.reason for one in manifest.left_out},
        "normalization": manifest.normalization.value,
    } | refused


def find_artifact(setting: Setting, target: str, precision: Precision) -> tuple[Path, Artifact]:
    """The artifact that ``export_bundle`` made before, and its file.

    Raises:
        UnavailableError: if there is none, and why.
    """
    folder = bundle_folder(setting, target)
    if not (folder / MANIFEST_NAME).is_file():
        raise UnavailableError(f"there is no bundle: see {bundle_name(target)}")
    manifest = read_manifest(folder)
    for artifact in manifest.artifacts:
        if artifact.precision == precision:
            return folder / artifact.name, artifact
    reasons = [one.reason for one in manifest.left_out if one.precision in (precision, None)]
    raise UnavailableError("; ".join(reasons) or f"p2p-export made no {target} {precision}")


def time_artifact(setting: Setting, *, target: str, precision: Precision) -> Figures:
    """An artifact in this project's engine, on the device or not at all: from frames in memory to frames in memory."""
    path, artifact = find_artifact(setting, target, precision)
    opener = partial(open_engine, target, path, device=setting.device)
    return _timed(setting, opener) | _of_export(artifact)


def _of_export(artifact: Artifact) -> Figures:
    found: Figures = {"build_seconds": round(artifact.build_seconds, 3), "bytes": artifact.total_bytes}
    if artifact.fidelity is not None:
        found |= {"psnr_db": round(artifact.fidelity.psnr_db, 2), "max_abs": artifact.fidelity.max_abs}
    return found


def _timed(setting: Setting, opener: Callable[[], Engine]) -> Figures:
    """Latency and fidelity of what ``opener`` opens, and seconds until its first translation."""
    with opener() as engine:
        frames = street_frames(engine.size, engine.batch)
        fidelity = _fidelity(setting, engine.infer)
        graphs = getattr(engine, "graphs", None)
    timed = measure([Candidate(name="it", open=opener, frames=frames)], runs=setting.runs(RUNS), blocks=1)["it"]
    return (
        latency_figures(timed.raw_ms)
        | {
            "device": timed.device,
            "open_seconds": round(timed.load_seconds, 3),
            "psnr_db_here": fidelity,
        }
        | ({} if graphs is None else {"cuda_graph": graphs})
    )


def _fidelity(setting: Setting, translate: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> float:
    """PSNR in dB against the deploy graph in fp32 on the CPU, over a few frames of the built-in set."""
    from core.facades import facade_pair

    graph = DeployGraph(make_generator(setting), Normalization.RUNNING, Precision.FP32)
    frames = [facade_pair(i, size=setting.size).labels for i in range(FRAMES)]
    with torch.inference_mode():
        expected = [graph(torch.from_numpy(frame[np.newaxis])).numpy()[0] for frame in frames]
    return round(fidelity_of([translate(frame[np.newaxis])[0] for frame in frames], expected).psnr_db, 2)


def without_graph(setting: Setting, *, target: str, precision: Precision) -> Figures:
    """An artifact with its kernels launched one by one."""
    from runtime.engines.cuda_plan import CudaPlanEngine
    from runtime.engines.cuda_session import CudaSessionEngine

    path, _ = find_artifact(setting, target, precision)
    settings = EngineSettings(threads=usable_cores(), device=setting.device, graphs=False)
    if target == "onnx":
        return _timed(setting, partial(CudaSessionEngine, path, settings))
    return _timed(setting, partial(CudaPlanEngine, path, settings, flavour=target))


def channels_last(setting: Setting, *, precision: Precision) -> Figures:
    """ONNX Runtime with convolutions in the layout of tensor cores, which its CUDA provider does not choose itself."""
    from runtime.engines.cuda_session import CudaSessionEngine

    path, _ = find_artifact(setting, "onnx", precision)
    settings = EngineSettings(threads=usable_cores(), device=setting.device)
    return _timed(setting, partial(CudaSessionEngine, path, settings, cuda_options={"prefer_nhwc": "1"}))


def torch_baseline(setting: Setting, *, precision: Precision, graph: bool) -> Figures:
    """PyTorch, and the device's own time for the network without copies."""
    found = _timed(setting, partial(TorchEngine, setting, precision, graph=graph))
    if graph:
        return found
    engine = TorchEngine(setting, precision, graph=False)
    alone = device_times(engine.compute, device=setting.device, runs=setting.runs(RUNS))
    return found | {"network_alone_p50_ms": median(alone)}


def compiled_baseline(setting: Setting) -> Figures:
    """The deploy graph by ``torch.compile``, which fuses what is no convolution, and replays CUDA graphs."""
    graph = DeployGraph(make_generator(setting), Normalization.RUNNING, Precision.FP16).to(setting.device)
    graph = graph.to(memory_format=torch.channels_last)
    compiled = torch.compile(graph, mode="reduce-overhead")
    frames = torch.zeros((1, setting.size, setting.size, 3), dtype=torch.uint8, device=setting.device)

    @torch.inference_mode()
    def run() -> None:
        compiled(frames)

    times = host_times(run, device=setting.device, runs=setting.runs(RUNS))
    return latency_figures(times) | {"note": "frames stay on the GPU"}


def checks() -> list[Check]:
    """Those of this section, PyTorch's baselines first."""
    section = Section.ENGINES
    found = []
    for precision in (Precision.FP32, Precision.FP16):
        for what, graph in (("eager", False), ("CUDA graph", True)):
            run = partial(torch_baseline, precision=precision, graph=graph)
            cpu = precision is Precision.FP32 and not graph
            found.append(Check(section=section, name=torch_name(precision, what), run=run, on_cpu=cpu, priority=2))
    found.append(
        Check(
            section=section,
            name=torch_name("fp16", "compiled"),
            run=compiled_baseline,
            on_cpu=False,
            priority=8,
            limit_seconds=120,
        )
    )
    for target in dict.fromkeys((*ON_GPU, *STAND_INS)):
        made = Check(
            section=section,
            name=bundle_name(target),
            run=partial(export_bundle, target=target),
            needs=(engine_needs(target), installed(*TARGETS[target].build_modules, *EXPORT_NEEDS)),
            on_cpu=target in STAND_INS,
            limit_seconds=180,
            priority=3,
        )
        found.append(made)
        for precision in TARGETS[target].precisions:
            found += _of_artifact(target, precision)
    return found


def _of_artifact(target: str, precision: Precision) -> list[Check]:
    needs = (engine_needs(target), installed("onnx", "onnxscript"))
    common: dict[str, Any] = {"section": Section.ENGINES, "needs": needs, "priority": 3}
    plain = partial(time_artifact, target=target, precision=precision)
    found = [Check(name=engine_name(target, precision), run=plain, on_cpu=target in STAND_INS, **common)]
    if target in ON_GPU and (target, precision) != ("onnx", Precision.INT8):  # which has none anyhow
        run = partial(without_graph, target=target, precision=precision)
        found.append(Check(name=engine_name(target, precision, GRAPH_OFF), run=run, on_cpu=False, **common))
    if target == "onnx":
        run = partial(channels_last, precision=precision)
        found.append(Check(name=engine_name(target, precision, CHANNELS_LAST), run=run, on_cpu=False, **common))
    return found


def engine_needs(target: str) -> Need:
    """That the engine of ``target`` runs on the device."""

    def obstacle(facts: Facts) -> str | None:
        if target == "onnx":
            return onnx_runtime_on_device(facts)
        if target == "openvino" and facts.device == "cuda":
            return "OpenVINO runs on no NVIDIA GPU: its row is the CPU's in a rehearsal"
        if target == "tensorrt_rtx" and (reason := rtx_supports(facts)) is not None:
            return reason
        return installed(*TARGETS[target].modules)(facts)

    return obstacle
