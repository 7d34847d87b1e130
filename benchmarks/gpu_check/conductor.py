"""Running checks within a budget, in a process that may crash, hang or run out of memory without taking them along."""

import gc
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from typing import Any, Final, Protocol

from benchmarks.gpu_check.checks import Check, Figures, Setting
from benchmarks.gpu_check.facts import ENDING_SECONDS, interrupts_are_ours
from benchmarks.gpu_check.record import Facts, Row, Status
from core.errors import EdgeError, GateMissedError

LEAST_SECONDS: Final = 3.0
"""With less left of the budget, nothing more is begun."""
LONGEST_REASON: Final = 300


class Worker(Protocol):
    """What runs checks."""

    def run(self, name: tuple[str, str], seconds: float) -> "Answer":
        """Run the check of this section and name, for no longer than so many seconds."""

    def close(self) -> None:
        """End it."""


class Answer:
    """What came of a check: figures, or a reason; whether it took too long; and whether the worker can go on."""

    def __init__(
        self, figures: Figures | None, reason: str | None = None, *, late: bool = False, alive: bool = True
    ) -> None:
        self.figures = figures
        self.reason = reason
        self.late = late
        self.alive = alive


def conduct(
    checks: Sequence[Check],
    facts: Facts,
    open_worker: Callable[[], Worker],
    *,
    budget_seconds: float,
    say: Callable[[str], None] = lambda _line: None,
    done: Callable[[Sequence[Row]], None] = lambda _rows: None,
    clock: Callable[[], float] = time.monotonic,
) -> list[Row]:
    """Run ``checks``, those of a lower ``priority`` first, and give their rows in the order of ``checks``.

    A check that crashes its process is a failed row, and the next one is given a new process. Ctrl-C leaves the rest
    unrun: what was measured is not lost.

    Args:
        checks: what to run.
        facts: of the device, which decide what can be run.
        open_worker: makes what runs them.
        budget_seconds: for all of them.
        say: told what is begun.
        done: given all rows that there are so far, the newest last, after each check that was run.
        clock: of the budget, in seconds.
    """
    deadline = clock() + budget_seconds
    rows: dict[int, Row] = {}
    worker: Worker | None = None
    interrupted = False
    try:
        for number in sorted(range(len(checks)), key=lambda i: checks[i].priority):
            check = checks[number]
            left = deadline - clock()
            obstacle = check.obstacle(facts)
            if obstacle is None and interrupted:
                obstacle = "interrupted"
            if obstacle is None and left < LEAST_SECONDS:
                obstacle = f"no time left of the {budget_seconds:g} s"
            if obstacle is not None:
                rows[number] = _row(check, Status.NOT_RUN, reason=obstacle)
                continue
            say(f"{check.section.value}: {check.name} ({left:.0f} s left)")
            began = clock()
            try:
                worker = worker or open_worker()
                answer = worker.run((check.section.value, check.name), min(check.limit_seconds, left))
            except KeyboardInterrupt:
                interrupted, answer = True, Answer(None, "interrupted", alive=False)
            if not answer.alive and worker is not None:
                worker.close()
                worker = None
            status, reason = Status.MEASURED if answer.figures else Status.FAILED, answer.reason
            if answer.late and left < check.limit_seconds:  # the budget's fault, not its own
                status, reason = Status.NOT_RUN, f"no time left of the {budget_seconds:g} s to end it"
            rows[number] = _row(check, status, answer.figures, reason, seconds=clock() - began)
            try:
                done(tuple(rows.values()))
            except KeyboardInterrupt:
                interrupted = True
    finally:
        if worker is not None:
            worker.close()
    return [rows[number] for number in range(len(checks))]


def _row(
    check: Check, status: Status, figures: Figures | None = None, reason: str | None = None, seconds: float = 0.0
) -> Row:
    if status is Status.FAILED and reason is None:
        reason = "it gave no figures"
    return Row(
        section=check.section,
        name=check.name,
        status=status,
        reason=None if reason is None else " ".join(reason.split())[:LONGEST_REASON],
        seconds=round(seconds, 2),
        figures=figures or {},
    )


class WorkerProcess:
    """A process that runs checks one after the other; what they load and make on the GPU stays from one to the next."""

    def __init__(self, setting: Setting) -> None:
        context = get_context("spawn")
        self._ours, theirs = context.Pipe()
        # Not a daemon: these may have no children, and some checks do.
        self._process = context.Process(target=_serve, args=(setting, theirs), daemon=False)
        with interrupts_are_ours():
            self._process.start()
        theirs.close()

    def run(self, name: tuple[str, str], seconds: float) -> Answer:
        """Run the check of this section and name, for no longer than so many seconds."""
        try:
            self._ours.send(name)
            if not self._ours.poll(seconds):
                return Answer(None, f"given up after {seconds:.0f} s", late=True, alive=False)
            figures, reason, usable = self._ours.recv()
        except (EOFError, OSError):
            self._process.join(ENDING_SECONDS)
            return Answer(None, f"its process ended with code {self._process.exitcode}", alive=False)
        return Answer(figures, reason, alive=usable)

    def close(self) -> None:
        """End it, and whatever it has started."""
        self._ours.close()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid or 0, signal.SIGKILL)  # it leads a group of its own
        self._process.kill()
        self._process.join(ENDING_SECONDS)


def _serve(setting: Setting, parent: Connection) -> None:
    os.setsid()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from benchmarks.gpu_check.plan import all_checks

    known = {(check.section.value, check.name): check for check in all_checks()}
    with suppress(EOFError, ConnectionError):
        while True:
            parent.send(_answer(known[parent.recv()], setting))


def _end_with_parent() -> None:
    """Whatever ends the process that started this one ends this one too, with all that it has started."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.killpg(0, signal.SIGKILL)


def _answer(check: Check, setting: Setting) -> tuple[Figures | None, str | None, bool]:
    """Figures, or why there are none; and whether the process can go on."""
    import torch

    figures: Figures | None = None
    reason = None
    try:
        figures = plain(check.run(setting))
    except EdgeError as error:
        reason = str(error)
    except torch.OutOfMemoryError:
        reason = "the GPU has too little memory"
    except Exception as error:  # a kernel, a compiler or a library that cannot: its row says so
        reason = f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"
    torch.compiler.reset()
    gc.collect()
    if setting.device == "cuda":
        with suppress(RuntimeError):
            torch.cuda.empty_cache()
    return figures, reason, reason is None or still_works(setting.device)


def plain(value: Any, name: str = "it") -> Any:
    """``value`` as JSON can hold it: NumPy's and PyTorch's numbers as Python's.

    Raises:
        GateMissedError: if a number is infinite or none, as nothing that was measured is.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, name) for each in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise GateMissedError(f"{name} is {value}, which is no measurement")
    return value if isinstance(value, str | int | float | None) else str(value)


def still_works(device: str) -> bool:
    """Whether this process can use the device after an error.

    Not after all: an illegal access in a kernel is answered to every later call, and a capture that failed may leave
    the random numbers and the stream in its hands.
    """
    import torch

    try:
        torch.rand(1, device=device)
        if device == "cuda":
            torch.cuda.synchronize()
    except RuntimeError:
        return False
    return True
