"""The stack that signal handlers run on, kept as it is around libraries that leave a bad one behind."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class SignalStack(ctypes.Structure):
    """``stack_t`` of ``<signal.h>``: where this thread's signal handlers run, if not on its own stack."""

    _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def signal_stack() -> SignalStack:
    """The one in force in this thread."""
    stack = SignalStack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack))
    return stack


@contextmanager
def signal_stack_kept() -> Iterator[None]:
    """Put back, at the end of the block, the signal stack that was in force in this thread before it.

    OpenVINO's CPU plugin sets one when it is loaded (it wants room for AMX registers, which Python's own has), and
    frees it when it is unloaded. It takes it out of force only if that happens in the same thread and in reverse order
    of loading; otherwise Python's signal handlers go on to run in memory that is gone, and the next Ctrl-C ends the
    process with a segmentation fault instead of cleaning up. Load it within this.
    """
    if sys.platform != "linux":
        yield
        return
    before = signal_stack()
    try:
        yield
    finally:
        ctypes.CDLL(None).sigaltstack(ctypes.byref(before), None)
