"""Ctrl-C between two steps instead of in the middle of one."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from core.command_line import ENDING

ECHO_SECONDS: Final = 2.0


@contextmanager
def interrupts_held() -> Iterator[threading.Event]:
    """Note the first signal of ``ENDING`` in the event that is yielded, for the block to see; a later one interrupts.

    What follows within ECHO_SECONDS is the same wish: ``torchrun`` and other wrappers pass on what a terminal has sent
    to all of its processes already. Outside of the main thread signals cannot be caught: the event is then never set.
    """
    interrupted = threading.Event()
    first = 0.0

    def note(_signal: int, _frame: FrameType | None) -> None:
        nonlocal first
        if not interrupted.is_set():
            first = time.monotonic()
            interrupted.set()
        elif time.monotonic() - first > ECHO_SECONDS:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    numbers = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
