"""The training step on a GPU: is it right, how fast is it, and what of the GPU does it use?"""

import itertools
import statistics
import time
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

import torch
from rich.console import Console
from torch import Tensor

from benchmarks.gpu_check.checks import Check, Figures, Need, Setting, hardware_bf16, installed
from benchmarks.gpu_check.killing import kill_and_resume
from benchmarks.gpu_check.networks import make_batches, make_trainer
from benchmarks.gpu_check.profile import profile_step
from benchmarks.gpu_check.record import Section
from benchmarks.gpu_check.timing import median, synchronize
from core.errors import GateMissedError
from train.history import MEASURES
from train.trainer import Trainer

LOSS_TOLERANCE: Final = 1e-3
"""Relative, of every loss of one step in fp32, GPU against CPU: sums of a million products in another order."""
GRADIENT_TOLERANCE: Final = 1e-2
"""Relative, of the gradient of each network as one vector (Euclidean norm)."""
CURVE_STEPS: Final = 200
CURVE_POINT: Final = 10
"""Steps that are averaged for one point of a curve."""
CURVE_TOLERANCE: Final = 0.1
"""Relative, of the mean distance of the last fifty steps against eager fp32's."""
LAST_STEPS: Final = 50
PAIRS: Final = 400
"""As many as the facades set has: the plain loop starts its workers anew after every pass over them."""

BATCHES: Final = (1, 4, 16, 64)
PRECISIONS: Final = ("fp32", "tf32", "bf16")
MODES: Final[dict[str, dict[str, Any]]] = {
    "eager": {},
    "CUDA graph": {"cuda_graph": True},
    "compiled": {"compile": True},
    "compiled, CUDA graph": {"compile": True, "cuda_graph": True},
}
VARIANTS: Final[dict[str, dict[str, Any]]] = {
    "fp32, eager": {},
    "bf16, eager": {"precision": "bf16"},
    "fp16, eager": {"precision": "fp16"},
    "fp32, compiled": {"compile": True},
    "bf16, CUDA graph": {"precision": "bf16", "cuda_graph": True},
    "bf16, compiled, CUDA graph": {"precision": "bf16", "compile": True, "cuda_graph": True},
}
REFERENCE_VARIANT: Final = "fp32, eager"
PARITY: Final = "one step against the CPU, fp32"
WORK: Final = "work of one step"
REFERENCE: Final = "the plain reference loop, batch 1"
RESUME: Final = "killed and resumed"


def curve_name(variant: str) -> str:
    """The row of a loss curve."""
    return f"{CURVE_STEPS} steps, {variant}"


def step_name(batch: int, precision: str, mode: str) -> str:
    """The row of a step's time."""
    return f"step, batch {batch}, {precision}, {mode}"


def profile_name(mode: str) -> str:
    """The row of a profile."""
    return f"profile, batch 1, bf16, {mode}"


def parity(setting: Setting) -> Figures:
    """One step of two trainers with the same weights on the same batch, on the CPU and on the device.

    Compared are the losses, and the gradients rather than the weights: Adam's first step is as long for a gradient of
    1e-9 as for one of 1, so that rounding alone turns some of its signs.

    Raises:
        GateMissedError: if they are further apart than the tolerances.
    """
    on_cpu = make_trainer(setting, device="cpu", dropout=False)
    batch = make_batches(setting, batch=2, device="cpu")[0]
    on_device = make_trainer(setting, dropout=False)
    # Copied, as its tensors are updated in place, and nobody else's are to be.
    on_device.restore(_copied(on_cpu.state()))
    told = on_cpu.step(batch)
    answered = on_device.step(type(batch)(*(frames.to(setting.device) for frames in batch))).cpu()
    apart = ((answered - told).abs() / told.abs().clamp_min(1e-6)).tolist()
    found: Figures = {f"{name}_apart": float(f"{value:.3g}") for name, value in zip(MEASURES, apart, strict=True)}
    for name in ("generator", "discriminator"):
        expected, given = _gradient(getattr(on_cpu, name)), _gradient(getattr(on_device, name))
        found[f"{name}_gradient_apart"] = float(f"{float((given - expected).norm() / expected.norm()):.3g}")
    found |= {"loss_tolerance": LOSS_TOLERANCE, "gradient_tolerance": GRADIENT_TOLERANCE}
    missed = [
        f"{name} {value:.3g}" for name, value in found.items() if name.endswith("_apart") and not value <= _bound(name)
    ]
    if missed:
        raise GateMissedError(f"further from the CPU than allowed ({_bounds()}): {', '.join(missed)}")
    return found


def _bound(name: str) -> float:
    return GRADIENT_TOLERANCE if name.endswith("gradient_apart") else LOSS_TOLERANCE


def _bounds() -> str:
    return f"losses {LOSS_TOLERANCE:g}, gradients {GRADIENT_TOLERANCE:g}, relative"


def _gradient(network: torch.nn.Module) -> Tensor:
    return torch.cat([p.grad.detach().flatten().cpu() for p in network.parameters() if p.grad is not None])


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value


def curve(setting: Setting, *, options: dict[str, Any]) -> Figures:
    """The distance of the translation to the target over ``CURVE_STEPS`` steps on ``PAIRS`` pairs in turn.

    Raises:
        GateMissedError: if it became infinite, or not a number.
    """
    steps = CURVE_STEPS if not setting.brief else 2 * CURVE_POINT
    trainer = make_trainer(setting, **options)
    batches = itertools.cycle(make_batches(setting, batch=1))
    told = torch.stack([trainer.step(next(batches)) for _ in range(steps)]).cpu()
    if not bool(told.isfinite().all()):
        raise GateMissedError("a loss became infinite or not a number")
    distances = told[:, MEASURES.index("generator_distance")].tolist()
    points = [median([statistics.fmean(distances[i : i + CURVE_POINT])]) for i in range(0, steps, CURVE_POINT)]
    return {"steps": steps, "last_distance": median([statistics.fmean(distances[-LAST_STEPS:])]), "curve": points}


def step_time(setting: Setting, *, batch: int, options: dict[str, Any]) -> Figures:
    """Milliseconds a step, of batches that lie in the device's memory already; of blocks, each of them waited for."""
    began = time.perf_counter()
    if setting.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    trainer = make_trainer(setting, **options)
    batches = itertools.cycle(make_batches(setting, batch=batch))
    _run(trainer, batches, setting.runs(8))  # a CUDA graph is captured in the fourth
    synchronize(setting.device)
    started = time.perf_counter() - began
    once = _timed(trainer, batches, setting.runs(5), setting.device)
    steps = max(3, min(100, int(0.5 / once))) if not setting.brief else 1
    blocks = [1000 * _timed(trainer, batches, steps, setting.device) for _ in range(setting.runs(5))]
    memory = torch.cuda.max_memory_allocated() / 2**30 if setting.device == "cuda" else None
    return {
        "step_ms": median(blocks),
        "step_ms_least": round(min(blocks), 4),
        "step_ms_most": round(max(blocks), 4),
        "images_per_second": round(1000 * batch / median(blocks), 2),
        "steps": steps * len(blocks),
        "start_seconds": round(started, 2),
    } | ({} if memory is None else {"memory_gib": round(memory, 3)})


def _run(trainer: Trainer, batches: Iterable[Any], steps: int) -> None:
    for batch in itertools.islice(batches, steps):
        trainer.step(batch)


def _timed(trainer: Trainer, batches: Iterable[Any], steps: int, device: str) -> float:
    """Seconds a step."""
    synchronize(device)
    start = time.perf_counter()
    _run(trainer, batches, steps)
    synchronize(device)
    return (time.perf_counter() - start) / steps


def step_work(setting: Setting) -> Figures:
    """Floating-point operations of one step on one pair: both networks, forward and backward, counted as it runs."""
    from torch.utils.flop_counter import FlopCounterMode

    trainer, batch = make_trainer(setting), make_batches(setting, batch=1)[0]
    trainer.step(batch)
    with FlopCounterMode(display=False) as counter:
        trainer.step(batch)
    return {"gflop": round(counter.get_total_flops() / 1e9, 4)}


def beside_reference(setting: Setting) -> Figures:
    """``p2p-train``'s step and feed beside the public repositories' plain loop, in rounds of turns, at batch 1."""
    from benchmarks.training import measure, opened_data
    from benchmarks.training_candidates import Candidate
    from benchmarks.training_report import speed_up

    graphed = setting.device == "cuda"
    fastest: dict[str, Any] = {"precision": "bf16", "cuda_graph": graphed}
    kinds = {"reference": None, "ours": {"precision": "fp32"}, "ours_fastest": fastest}
    with opened_data(None, pairs=PAIRS if not setting.brief else PAIRS // 8, size=setting.size) as folder:
        tried = [
            Candidate(
                name=name,
                width=setting.width,
                batch=1,
                size=setting.size,
                device="cuda" if graphed else "cpu",
                data=folder,
                reference=options is None,
                options=options or {},
            )
            for name, options in kinds.items()
        ]
        quiet = Console(quiet=True)
        rows = measure(tried, steps=setting.runs(50), blocks=setting.runs(4), warm_up=setting.runs(10), console=quiet)
    failed = [f"{row.candidate.name}: {row.reason}" for row in rows if row.reason]
    if failed:
        raise GateMissedError("; ".join(failed))
    found: Figures = {"rounds": len(rows[0].blocks), "steps_a_round": setting.runs(50), "ours_fastest": str(fastest)}
    for row in rows:
        found[f"{row.candidate.name}_step_ms"] = round(1000 * statistics.median(row.steps), 4)
        spread = speed_up(row, rows[0])
        if row is not rows[0] and spread is not None:
            found |= {f"{row.candidate.name}_speed_up{key}": round(value, 3) for key, value in _parts(spread)}
    return found


def _parts(spread: Any) -> list[tuple[str, float]]:
    return [("", spread.median), ("_least", spread.low), ("_most", spread.high)]


def checks() -> list[Check]:
    """Those of this section: what was asked for first is measured first, and what takes a compiler long is last."""
    section = Section.TRAINING
    found = [
        # The first to load the libraries of the GPU, and the one with a step on the CPU.
        Check(section=section, name=PARITY, run=parity, priority=1, limit_seconds=120),
        Check(section=section, name=WORK, run=step_work, priority=1),
    ]
    for variant, options in VARIANTS.items():
        compiled = "compile" in options
        found.append(
            Check(
                section=section,
                name=curve_name(variant),
                run=partial(curve, options=options),
                needs=_needs(options.get("precision", "fp32")),
                on_cpu="fp16" not in variant and "graph" not in variant,
                priority=8 if compiled else 4,
                limit_seconds=120 if compiled else 60,
            )
        )
    for batch, precision, mode in itertools.product(BATCHES, PRECISIONS, MODES):
        options = MODES[mode] | {"precision": precision}
        if precision != "bf16" and "compile" in options and "cuda_graph" in options:
            continue  # the fastest there is, and asked only of the fastest precision
        priority = _priority(batch, precision, mode)
        found.append(
            Check(
                section=section,
                name=step_name(batch, precision, mode),
                run=partial(step_time, batch=batch, options=options),
                needs=_needs(precision),
                on_cpu="graph" not in mode and precision != "tf32",
                priority=priority,
                limit_seconds=60 if priority < 7 else 120,
            )
        )
    pictures = installed("torchvision")
    found.append(
        Check(section=section, name=REFERENCE, run=beside_reference, needs=(pictures,), priority=2, limit_seconds=120)
    )
    found.append(Check(section=section, name=RESUME, run=kill_and_resume, priority=5, limit_seconds=150))
    for mode in ("eager", "CUDA graph"):
        run = partial(profile_step, options=MODES[mode] | {"precision": "bf16"})
        # After the times of other steps, which the profiler's library may slow once it is loaded.
        found.append(
            Check(
                section=section,
                name=profile_name(mode),
                run=run,
                needs=(hardware_bf16,),
                on_cpu=mode == "eager",
                priority=7,
            )
        )
    return found


def _priority(batch: int, precision: str, mode: str) -> int:
    if "compiled" in mode:
        return 8 if precision == "bf16" else 9
    if precision == "bf16":
        return 1
    return 7 if batch == max(BATCHES) else 6


def _needs(precision: str) -> tuple[Need, ...]:
    return (hardware_bf16,) if precision == "bf16" else ()
