"""How every command of this project ends: one line for an error, and the exit codes 0, 1, 2 and 130."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, NoReturn

import typer
from typer.exceptions import TyperException

from core.errors import EdgeError

ENDING: Final = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
"""Signals that ask a command to clean up and end: Ctrl-C, a service manager, a terminal that was closed."""
USAGE_ERROR = 2
INTERRUPTED = 130


def run_command(command: Callable[..., Any], *, name: str) -> NoReturn:
    """Run ``command`` as the program ``name`` on ``sys.argv``, and leave with its exit code.

    An ``EdgeError`` or a mistake in the options becomes one line on stderr. SIGTERM is handled as Ctrl-C is, so that
    both clean up.
    """
    app = typer.Typer(name=name, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    interrupts = _Interrupts()
    if sys.stdout is None:  # closed by whoever started this; ``sys.__stdout__`` still tells
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    try:
        code = app(prog_name=name, standalone_mode=False)
        sys.stdout.flush()
    except EdgeError as error:
        fail(str(error), error.exit_code)
    except TyperException as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        fail(f"{message} (see {name} --help)", USAGE_ERROR)
    except KeyboardInterrupt:
        _say_interrupted()
    except BrokenPipeError:  # whoever read our output has enough of it
        _discard_output()
        sys.exit(0)
    except OSError as error:
        _discard_output()
        place = f" ({error.filename})" if error.filename else ""
        fail(f"{error.strerror or error}{place}: check the path, its permissions and the space left there", USAGE_ERROR)
    except Exception:
        if interrupts.seen:  # a library was interrupted half-way, and ended in a way of its own
            _say_interrupted()
        raise
    if code == INTERRUPTED:
        _say_interrupted()
    _end_quietly()
    sys.exit(code if isinstance(code, int) else 0)


@contextmanager
def unread_is_fine() -> Iterator[None]:
    """What the block prints may find nobody who reads it; the work goes on."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
    except SystemExit:  # how rich ends where nobody reads, after it has discarded what is left
        return


def fail(message: str, code: int) -> NoReturn:
    """Print ``message`` as one line on stderr and leave with ``code``."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    _end_quietly()
    sys.exit(code)


def _say_interrupted() -> NoReturn:
    """Leave as who was asked to, which is no error."""
    print("interrupted", file=sys.stderr)
    _end_quietly()
    sys.exit(INTERRUPTED)


def _end_quietly() -> None:
    """All is said and cleaned up: a signal from now on may end the process, and not with a traceback of its own."""
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _discard_output() -> None:
    """Let the interpreter's last flush of a standard output that cannot be written to go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


class _Interrupts:
    """The signals of ``ENDING`` as ``KeyboardInterrupt``, remembered; those that are to be ignored stay so."""

    def __init__(self) -> None:
        self.seen = False
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._interrupt)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> NoReturn:
        self.seen = True
        raise KeyboardInterrupt
