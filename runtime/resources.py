"""What this process takes of the machine."""

import sys
import time
from pathlib import Path


class CpuTime:
    """Cores kept busy since ``start``."""

    def __init__(self) -> None:
        """Begin now."""
        self.start()

    def start(self) -> None:
        """Begin anew."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def cores(self) -> float | None:
        """Processor time of all threads over the time that passed; None if none has."""
        wall = time.perf_counter() - self._wall
        return (time.process_time() - self._cpu) / wall if wall > 0 else None


def peak_memory_bytes() -> int | None:
    """The most memory that this process has held resident; None where that is not known.

    On Linux ``VmHWM`` of proc(5): ``getrusage(2)`` begins there with what the process held that started this one.
    """
    if sys.platform == "win32":
        return None
    if sys.platform == "linux":
        return _high_water_mark(Path("/proc/self/status"))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _high_water_mark(status: Path) -> int | None:
    """``VmHWM`` of ``status`` in bytes."""
    try:
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name == "VmHWM" and (kilobytes := value.split()[0]).isdecimal():
            return int(kilobytes) * 1024
    return None
