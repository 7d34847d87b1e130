"""Figures of a stream while it runs: a line per frame in a file, and what Prometheus reads."""

import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from core.errors import InvalidInputError, MissingDependencyError
from core.frames import is_special
from runtime.closing import Closing
from runtime.latency import NS_PER_MS, NS_PER_S
from runtime.sources import VideoSource
from runtime.stages import STAGES, FrameTimes
from runtime.translator import Translator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client import Metric

COLUMNS: Final = ("frame", "captured_s", *(f"{stage}_ms" for stage in STAGES), "end_to_end_ms", "reused")
BUCKETS_S: Final = (0.002, 0.005, 0.01, 0.02, 0.033, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Upper bounds of the histograms in seconds: 500 frames a second to one in two seconds."""
LOOPBACK: Final = "127.0.0.1"


class FrameLog(Closing):
    """A CSV file with a line for each frame that was put out, whole lines at any time."""

    def __init__(self, path: Path) -> None:
        """Begin the file anew with the first frame; ``InvalidInputError`` if it cannot be written."""
        if is_special(path):
            raise InvalidInputError(f"cannot write {path}: it is a folder, a pipe or a device; choose another --csv")
        self._made = not path.exists()
        try:
            self._file: TextIO = path.open("a", encoding="utf-8", newline="")
        except OSError as error:
            raise InvalidInputError(f"cannot write {path}: {error.strerror}; choose another --csv") from error
        if not _claim(self._file):
            self._file.close()
            raise InvalidInputError(f"{path} is being written by another p2p-run: choose another --csv")
        self._path = path
        self._first_ns: int | None = None

    def frame_done(self, index: int, times: FrameTimes) -> None:
        """Add the line of frame ``index``; it reaches the file at once, as there may be no other one for hours."""
        if self._first_ns is None:
            self._first_ns = times.captured_ns
            self._file.truncate(0)
            self._write(",".join(COLUMNS))
        durations = [getattr(times, stage) for stage in STAGES]
        self._write(
            f"{index},{(times.captured_ns - self._first_ns) / NS_PER_S:.6f},"
            + ",".join(f"{value / NS_PER_MS:.3f}" for value in (*durations, times.end_to_end))
            + f",{int(times.reused)}"
        )

    def _write(self, line: str) -> None:
        try:
            self._file.write(f"{line}\n")
            self._file.flush()
        except OSError as error:
            raise InvalidInputError(f"cannot write --csv {self._file.name}: {error.strerror}") from error

    def close(self) -> None:
        """Close the file; one that was made for nothing is removed."""
        with suppress(OSError):  # what could not be written has been said
            self._file.close()
        if self._made and self._first_ns is None:
            self._path.unlink(missing_ok=True)


def _claim(file: TextIO) -> bool:
    """Keep ``file`` to this process until it is closed; whether nobody else has it."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system that knows no locks
        return True
    return True


class MetricsServer(Closing):
    """Serves counters and latencies over HTTP in Prometheus' text format, at ``/metrics``."""

    def __init__(self, place: str, *, source: VideoSource, translator: Translator) -> None:
        """Listen at ``place``, a port of loopback or ``ADDRESS:PORT``.

        Raises:
            InvalidInputError: if ``place`` is no such thing, or it cannot be listened at.
            MissingDependencyError: without prometheus_client.
        """
        address, port = parse_place(place)
        try:
            import prometheus_client as client
        except ModuleNotFoundError as error:
            raise MissingDependencyError("prometheus-client", "metrics", "--metrics") from error
        registry = client.CollectorRegistry()
        self._frames = client.Counter("p2p_frames", "Frames put out", ["artifact"], registry=registry)
        self._reused = client.Counter("p2p_frames_reused", "Frames that were still", registry=registry)
        self._stages = client.Histogram(
            "p2p_stage_seconds", "Time of one frame in a stage", ["stage"], buckets=BUCKETS_S, registry=registry
        )
        self._end_to_end = client.Histogram(
            "p2p_end_to_end_seconds",
            "From a frame's capture until it was put out",
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._collected = _Source(source)
        registry.register(self._collected)
        self._translator = translator
        try:
            self._server, self._thread = client.start_http_server(port, addr=address, registry=registry)
        except OSError as error:
            raise InvalidInputError(
                f"cannot serve --metrics at {address}:{port}: {error.strerror or error}; choose another port"
            ) from error

    @property
    def port(self) -> int:
        """Where it listens; one that the system chose if 0 was asked for."""
        return int(self._server.server_port)

    def count_drops(self, dropped: "Callable[[], dict[str, int]]") -> None:
        """Serve what ``dropped`` tells."""
        self._collected.dropped = dropped

    def frame_done(self, _index: int, times: FrameTimes) -> None:
        """Count a frame."""
        self._frames.labels(self._translator.label).inc()
        self._reused.inc(int(times.reused))
        for stage in STAGES:
            if not (times.reused and stage == "infer"):
                self._stages.labels(stage).observe(getattr(times, stage) / NS_PER_S)
        self._end_to_end.observe(times.end_to_end / NS_PER_S)

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


class _Source:
    """Whether the source is there and what is dropped, asked when somebody reads the figures."""

    def __init__(self, source: VideoSource) -> None:
        self._source = source
        self.dropped: Callable[[], dict[str, int]] = dict

    def collect(self) -> "Iterable[Metric]":
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        up = GaugeMetricFamily("p2p_source_up", "1 while the source delivers, 0 while it is lost")
        up.add_metric([], 0.0 if self._source.lost_since_ns is not None else 1.0)
        outages = CounterMetricFamily("p2p_source_outages", "How often the source was lost and came back")
        outages.add_metric([], len(self._source.outages))
        drops = CounterMetricFamily(
            "p2p_frames_dropped", "Frames that a newer one replaced, by what they waited for", labels=["waiting_for"]
        )
        for cause, count in self.dropped().items():
            drops.add_metric([cause], count)
        return [up, outages, drops]


def parse_place(text: str) -> tuple[str, int]:
    """``"9100"`` or ``"0.0.0.0:9100"`` as address and port.

    Raises:
        InvalidInputError: for anything else.
    """
    found = re.fullmatch(r"(?:([\w.\-]+):)?([0-9]{1,5})", text)
    if found is None or int(found[2]) > 65535:
        raise InvalidInputError(f"--metrics {text[:40]!r} is not understood: give a port such as 9100, or ADDRESS:PORT")
    return found[1] or LOOPBACK, int(found[2])
