"""What ``p2p-run`` does with the signals and the standard output that it was started with."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.runtime.stream_helpers import environment


def test_standard_output_that_is_closed_is_one_line(tiny_bundle: Path, tmp_path: Path) -> None:
    command = f"{sys.executable} -m runtime.command {tiny_bundle} --no-show --frames 1 --output - >&-"
    shell = ["sh", "-c", command]
    done = subprocess.run(shell, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --output - writes to standard output, and that is closed")
    assert done.stderr.count("\n") == 1


def test_where_ctrl_c_is_to_be_ignored_it_is(tiny_bundle: Path, tmp_path: Path) -> None:
    """As behind ``nohup``, or of a job that a script started in the background."""
    command = [sys.executable, "-m", "runtime.command", str(tiny_bundle), "--no-show", "--csv", "frames.csv", "--json"]
    ignoring = f"import os, signal; signal.signal(2, signal.SIG_IGN); os.execv({command[0]!r}, {command!r})"
    started = [sys.executable, "-c", ignoring]
    process = subprocess.Popen(started, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        seen = wait_for_lines(tmp_path / "frames.csv", 5)
        process.send_signal(signal.SIGINT)
        wait_for_lines(tmp_path / "frames.csv", seen + 20)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.communicate()


def wait_for_lines(path: Path, count: int) -> int:
    """Wait until ``path`` has so many lines; how many it has."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        lines = path.read_text().count("\n") if path.is_file() else 0
        if lines >= count:
            return lines
        time.sleep(0.01)
    raise AssertionError(f"{path} has no {count} lines")
