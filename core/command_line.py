"""How every command of this project ends: one line for an error, and the exit codes 0, 1, 2 and 130."""

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.exceptions import TyperException

from core.errors import EdgeError

USAGE_ERROR = 2
INTERRUPTED = 130


def run_command(command: Callable[..., Any], *, name: str) -> NoReturn:
    """Run ``command`` as the program ``name`` on ``sys.argv``, and leave with its exit code.

    An ``EdgeError`` or a mistake in the options becomes one line on stderr. SIGTERM is handled as Ctrl-C is, so that
    both clean up.
    """
    app = typer.Typer(name=name, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = app(prog_name=name, standalone_mode=False)
    except EdgeError as error:
        fail(str(error), error.exit_code)
    except TyperException as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        fail(f"{message} (see {name} --help)", USAGE_ERROR)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)
    if code == INTERRUPTED:
        fail("interrupted", INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def fail(message: str, code: int) -> NoReturn:
    """Print ``message`` as one line on stderr and leave with ``code``."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
