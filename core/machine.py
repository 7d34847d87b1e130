"""What machine this is: the fingerprint that figures are kept with."""

import hashlib
import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

from core.configuration import Settings

LIBRARIES: Final = (
    "numpy",
    "opencv-python",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "tensorrt",
    "tensorrt-rtx-cu13",
    "torch",
    "onnx",
    "nncf",
)


class Machine(Settings):
    """A machine, as far as it matters for speed."""

    cpu: str
    architecture: str
    """As Python names it, such as x86_64 or aarch64."""
    cores: int
    """Cores this process may use."""
    instructions: tuple[str, ...]
    """Vector instruction sets of the CPU that engines use, such as avx2 or avx512_vnni."""
    memory_gib: float
    gpu: str | None
    system: str
    python: str

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits; equal on machines whose latencies can be compared."""
        parts = (self.cpu, str(self.cores), ",".join(self.instructions), str(self.gpu))
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]

    @property
    def saturates_at_16_bits(self) -> bool:
        """Whether pairs of 8-bit products are added in 16 bits, which overflows: x86 without VNNI (VPMADDUBSW)."""
        return self.architecture in ("x86_64", "AMD64") and not any("vnni" in name for name in self.instructions)

    def __str__(self) -> str:
        gpu = self.gpu or "no GPU"
        vectors = "+".join(self.instructions) or "no vector extensions known"
        cores = f"{self.cores} core{'s' * (self.cores > 1)}"
        return f"{self.cpu}, {cores}, {vectors}, {self.memory_gib:.0f} GiB, {gpu}"


def usable_cores() -> int:
    """Cores this process may run on: the number of threads worth giving an engine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def this_machine() -> Machine:
    """The machine this process runs on."""
    cpu, flags = _cpu()
    wanted = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "amx_bf16", "asimddp", "i8mm")
    return Machine(
        cpu=cpu,
        architecture=platform.machine(),
        cores=usable_cores(),
        instructions=tuple(name for name in wanted if name in flags),
        memory_gib=round(_memory_bytes() / 2**30, 1),
        gpu=_gpu(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )


def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide what comes out and how fast, as far as they are installed."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _cpu() -> tuple[str, frozenset[str]]:
    name, flags = platform.processor() or platform.machine(), frozenset[str]()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return name, flags
    for line in lines:
        key, _, value = line.partition(":")
        match key.strip():
            case "model name":
                name = value.strip()
            case "flags" | "Features":
                flags = frozenset(value.split())
    return name, flags


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _gpu() -> str | None:
    """Name and driver of the first NVIDIA GPU; None where there is no driver, or none that ``nvidia-smi`` knows."""
    try:
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        lines = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    return lines[0].strip() if lines else None
