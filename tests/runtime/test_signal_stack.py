"""Ctrl-C after OpenVINO was unloaded: its plugin must leave no signal stack behind that is gone."""

import subprocess
import sys
from pathlib import Path

import pytest

from core.frames import Size
from core.signal_stack import signal_stack
from runtime.engines import Engine, open_engine
from tests.runtime.test_compiled_model import write_inverting_model

CLOSED_IN_ORDER_OF_OPENING = """
import faulthandler, gc, signal, sys
from pathlib import Path
from core.frames import Size
from runtime.engines import open_engine

faulthandler.enable()  # a handler's stack of Python's own, which OpenVINO's takes the place of
signal.signal(signal.SIGINT, lambda *_: print("handled"))
engines = [open_engine("openvino", Path(sys.argv[1]), size=Size(16, 16)) for _ in range(2)]
while engines:
    engines.pop(0).close()
    gc.collect()
signal.raise_signal(signal.SIGINT)
"""


def test_an_interrupt_is_handled_after_engines_were_closed_in_any_order(tmp_path: Path) -> None:
    path = write_inverting_model(tmp_path / "model.xml")
    command = [sys.executable, "-c", CLOSED_IN_ORDER_OF_OPENING, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="OpenVINO sets a signal stack on Linux only")
def test_an_open_engine_leaves_the_signal_stack_as_it_is(tmp_path: Path) -> None:
    def place() -> tuple[int | None, int, int]:
        stack = signal_stack()
        return stack.address, stack.flags, stack.size

    def check(engine: Engine) -> None:
        with engine:
            assert place() == before

    before = place()
    check(open_engine("openvino", write_inverting_model(tmp_path / "model.xml"), size=Size(16, 16)))
    assert place() == before
