"""What the machine has, found out in a process of its own."""

import importlib.util
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Final

from benchmarks.gpu_check.checks import MODULES
from benchmarks.gpu_check.record import Facts

FACTS_SECONDS: Final = 120.0
"""In which PyTorch must have been loaded and have found the GPU."""
ENDING_SECONDS: Final = 20.0
"""In which a process that was killed must be gone: one that waits for a driver may not be."""


def read_facts(device: str) -> Facts:
    """What is to be known of the device and the installation, found out in a process that ends: CUDA takes memory."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_tell_facts, args=(device, theirs))
    with interrupts_are_ours():
        process.start()
    theirs.close()
    try:
        if not ours.poll(FACTS_SECONDS):
            return Facts(device=device, why_not=f"PyTorch did not find out about a GPU within {FACTS_SECONDS:g} s")
        return Facts.model_validate(ours.recv())
    except EOFError:
        return Facts(device=device, why_not="PyTorch could not be asked for a GPU: its process ended")
    finally:
        process.join(1)  # it has said all it had to
        process.kill()


@contextmanager
def interrupts_are_ours() -> Iterator[None]:
    """A process that is started in the block ignores Ctrl-C, from its first moment on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _tell_facts(device: str, parent: Connection) -> None:
    import torch

    found: dict[str, Any] = {
        "device": device,
        "driver_cuda": torch.version.cuda,
        "modules": tuple(module for module in MODULES if _is_there(module)),
    }
    if "onnxruntime" in found["modules"]:
        try:
            import onnxruntime

            found["providers"] = tuple(onnxruntime.get_available_providers())
        except Exception as error:  # whatever a broken library raises: its own rows say so, and no others
            found["onnxruntime_broken"] = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if device == "cuda":
        if torch.cuda.is_available():
            properties = torch.cuda.get_device_properties(0)
            found |= {
                "gpu": properties.name,
                "capability": f"{properties.major}.{properties.minor}",
                "memory_gib": round(properties.total_memory / 2**30, 1),
                "bf16": torch.cuda.is_bf16_supported(including_emulation=False),
            }
        else:
            found["why_not"] = "no CUDA device"
    parent.send(found)


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
