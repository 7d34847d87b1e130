"""What the device can do at most, measured on the spot: the rates that all other figures are compared with."""

from functools import partial
from typing import Final

import torch

from benchmarks.gpu_check.checks import Check, Figures, Setting, hardware_bf16
from benchmarks.gpu_check.record import Section
from benchmarks.gpu_check.timing import device_times, host_times, latency_figures, median

SIDES: Final = {"cuda": 8192, "cpu": 512}
"""Of the square matrices that are multiplied."""
COPIED_BYTES: Final = {"cuda": 1 << 31, "cpu": 1 << 24}
"""Far more than any cache holds."""
TYPES: Final = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
BANDWIDTH: Final = "memory bandwidth"
COPIES: Final = "a frame to the GPU and back"
WORK: Final = "work of one frame"


def matrix_name(precision: str) -> str:
    """The row that holds the rate of ``precision``."""
    return f"matrix product, {precision}"


def matrix_rate(setting: Setting, *, precision: str) -> Figures:
    """10^12 operations a second of a large matrix product on random data: the median of several."""
    side = SIDES[setting.device]
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    try:
        # Random, because zeros are multiplied faster: fewer bits change, and the clock stays higher.
        generator = torch.Generator(setting.device).manual_seed(0)
        one, two = (
            torch.randn(side, side, generator=generator, device=setting.device).to(TYPES[precision]) for _ in range(2)
        )
        out = torch.empty_like(one)
        times = device_times(lambda: torch.mm(one, two, out=out), device=setting.device, runs=setting.runs(20))
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    return {"tflops": round(2 * side**3 / median(times) / 1e9, 3), "side": side, "runs": len(times)}


def bandwidth(setting: Setting) -> Figures:
    """10^9 bytes a second of a copy within the device's memory, bytes read and bytes written both counted."""
    count = COPIED_BYTES[setting.device]
    if setting.device == "cuda":
        count = min(count, torch.cuda.mem_get_info()[0] // 4)
    source = torch.ones(count, dtype=torch.uint8, device=setting.device)
    target = torch.empty_like(source)
    times = device_times(lambda: target.copy_(source), device=setting.device, runs=setting.runs(20))
    return {"gb_per_s": round(2 * count / median(times) / 1e6, 2), "bytes": count, "runs": len(times)}


def copies(setting: Setting) -> Figures:
    """One frame from pinned memory to the GPU, and one back, each waited for by the host."""
    shape = (1, setting.size, setting.size, 3)
    host = torch.zeros(shape, dtype=torch.uint8).pin_memory()
    device = torch.zeros(shape, dtype=torch.uint8, device=setting.device)
    found: Figures = {"bytes": host.numel()}
    for name, work in (
        ("up", lambda: device.copy_(host, non_blocking=True)),
        ("down", lambda: host.copy_(device, non_blocking=True)),
    ):
        on_host = host_times(work, device=setting.device, runs=setting.runs(500))
        on_device = device_times(work, device=setting.device, runs=setting.runs(500))
        found |= {f"{name}_{key}": value for key, value in latency_figures(on_host).items()}
        found[f"{name}_device_p50_ms"] = median(on_device)
    return found


def frame_work(setting: Setting) -> Figures:
    """What the generator has to do for one frame: operations, weights, and values between its layers.

    Counted on the deploy graph's convolutions, each taking its input from memory once and putting its output there
    once, as if normalization and activation cost nothing: no engine that runs them one after the other moves less,
    but for what stays in the cache.
    """
    from torch import nn
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks.gpu_check.networks import make_generator
    from export.sub_pixel import with_sub_pixel_convolutions

    generator = with_sub_pixel_convolutions(make_generator(setting).eval())
    moved: list[int] = []

    def note(_module: nn.Module, given: tuple[torch.Tensor, ...], made: torch.Tensor) -> None:
        moved.append(given[0].numel() + made.numel())

    for module in generator.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(note)
    image = torch.zeros(1, 3, setting.size, setting.size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        generator(image)
    return {
        "gflop": round(counter.get_total_flops() / 1e9, 4),
        "weights": sum(parameter.numel() for parameter in generator.parameters()),
        "activations": sum(moved),
        "layers": len(moved),
    }


def checks() -> list[Check]:
    """Those of this section; everything else is compared with them, so they come first."""
    rates = [
        Check(
            section=Section.CEILINGS,
            name=matrix_name(precision),
            run=partial(matrix_rate, precision=precision),
            needs=(hardware_bf16,) if precision == "bf16" else (),
            on_cpu=precision in ("fp32", "bf16"),
            priority=0,
        )
        for precision in TYPES
    ]
    return [
        *rates,
        Check(section=Section.CEILINGS, name=BANDWIDTH, run=bandwidth, priority=0),
        Check(section=Section.CEILINGS, name=COPIES, run=copies, on_cpu=False, priority=0),
        Check(section=Section.CEILINGS, name=WORK, run=frame_work, priority=0),
    ]
