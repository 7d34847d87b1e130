"""What ``p2p-run`` does with the signals and the standard output that it was started with."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.runtime.stream_helpers import environment, numbered_frame, read_clip, read_number, write_clip


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


def test_a_reader_who_goes_away_at_once_does_not_end_the_job(tiny_bundle: Path, tmp_path: Path) -> None:
    arguments = "--no-show --frames 20 --output q.mp4"
    shell = ["sh", "-c", f"({sys.executable} -m runtime.command {tiny_bundle} {arguments}; echo $? > code) | true"]
    subprocess.run(shell, cwd=tmp_path, env=environment(), check=False, timeout=60)
    assert (tmp_path / "code").read_text().strip() == "0"
    assert len(read_clip(tmp_path / "q.mp4")) == 20


def test_closed_standard_output_is_nothing_to_fail_for(tiny_bundle: Path, tmp_path: Path) -> None:
    command = f"{sys.executable} -m runtime.command {tiny_bundle} --no-show --frames 3 --output q.mp4 >&-"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(read_clip(tmp_path / "q.mp4")) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_one_signal_ends_it_though_the_reader_of_raw_frames_stands_still(
    number: signal.Signals, tiny_bundle: Path, tmp_path: Path
) -> None:
    arguments = ["--no-show", "--output", "k.mp4", "--output", "-", "--csv", "frames.csv"]
    command = [sys.executable, "-m", "runtime.command", str(tiny_bundle), *arguments]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        seen = wait_for_lines(tmp_path / "frames.csv", 4)  # then the pipe is full
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(20) == 130
        assert len(read_clip(tmp_path / "k.mp4")) >= seen - 1
        assert not list(tmp_path.glob(".k.*"))
    finally:
        process.kill()
        process.communicate()


def test_a_command_that_fails_leaves_the_figures_that_were_there(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "keep.csv").write_text("mine")
    base = [sys.executable, "-m", "runtime.command", str(tiny_bundle), "--no-show", "--frames", "1"]
    for name in ("keep.csv", "new.csv"):
        command = [*base, "--csv", name, "--metrics", "1.2.3.4:5"]
        done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, check=False)
        assert done.returncode == 2
    assert (tmp_path / "keep.csv").read_text() == "mine"
    assert not (tmp_path / "new.csv").exists()


def test_a_colon_in_a_name_is_part_of_it(tiny_bundle: Path, tmp_path: Path) -> None:
    write_clip(tmp_path / "a:b.mp4", [numbered_frame(number) for number in range(5)])
    command = [sys.executable, "-m", "runtime.command", str(tiny_bundle), "--no-show", "--source", "a:b.mp4"]
    done = subprocess.run(
        [*command, "--output", "c:d.mp4"], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [255 - read_number(frame) for frame in read_clip(tmp_path / "c:d.mp4")] == list(range(5))
