"""What this process takes of the machine."""

import sys
import time


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
    """The most memory that this process has held resident (``getrusage(2)``); None where that is not known."""
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
