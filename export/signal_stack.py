"""The stack that signal handlers run on, kept as it is around libraries that leave a bad one behind."""

import ctypes
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
    """Put back, at the end of the block, the signal stack that was in force before it.

    NNCF 3.4's accuracy control leaves one behind whose memory is gone. Python's handlers run there, so that the next
    Ctrl-C would end the process with a segmentation fault instead of cleaning up.
    """
    before = signal_stack()
    try:
        yield
    finally:
        ctypes.CDLL(None).sigaltstack(ctypes.byref(before), None)
