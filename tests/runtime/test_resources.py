"""Memory is this process's own, whoever started it."""

import subprocess
import sys

import pytest

from runtime.resources import peak_memory_bytes

SMALL = "from runtime.resources import peak_memory_bytes; print(peak_memory_bytes())"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell")
def test_what_was_held_is_counted_and_not_given_back() -> None:
    before = peak_memory_bytes()
    assert before is not None
    held = bytearray(b"x") * (before + (64 << 20))
    during = peak_memory_bytes()
    assert during is not None
    assert during >= before + len(held) // 2
    del held
    after = peak_memory_bytes()
    assert after is not None
    assert after >= 0.99 * during, "the kernel counts in batches"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system's own figure is taken")
def test_a_child_does_not_begin_with_what_its_parent_held() -> None:
    held = bytearray(b"x") * (512 << 20)
    child = subprocess.run([sys.executable, "-c", SMALL], capture_output=True, text=True, check=True, timeout=60)
    assert int(child.stdout) < len(held) // 2
