"""``python -m benchmarks.gpu_check`` without a GPU: it says so; rehearsed, the CPU's engines have their rows."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.gpu_check.pipeline import DEMO
from benchmarks.gpu_check.record import Section, Status, read_check
from benchmarks.gpu_check.report import DOCUMENT, RESULTS
from core.machine import this_machine
from tests.runtime.stream_helpers import environment


def gpu_check(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.gpu_check", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.skipif(this_machine().gpu is not None, reason="there is an NVIDIA GPU")
def test_without_cuda_everything_is_listed_as_not_run(tmp_path: Path) -> None:
    before = sorted(path.name for path in RESULTS.iterdir()), DOCUMENT.read_bytes()
    done = gpu_check("--no-docs", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no CUDA device" in done.stdout
    assert "training, not run: no CUDA device (one step against the CPU, fp32;" in done.stdout
    assert "p2p-run, 1080p clip, depth 2)" in done.stdout
    assert (sorted(path.name for path in RESULTS.iterdir()), DOCUMENT.read_bytes()) == before
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_rehearsal_measures_the_engines_of_the_cpu_and_the_stream(tmp_path: Path) -> None:
    sizes = ("--width", "4", "--size", "64", "--budget", "240")
    done = gpu_check("--device", "cpu", "--only", "engines,pipeline", *sizes, "--out", "found.json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    check = read_check(tmp_path / "found.json")
    assert {row.section for row in check.rows} == {Section.ENGINES, Section.PIPELINE}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found.json"], "what was measured so far is in it"
    assert not [row for row in check.rows if row.status is Status.FAILED]
    for name in ("ONNX Runtime fp32", "OpenVINO fp32", "PyTorch fp32, eager"):
        figures = check.figures(Section.ENGINES, name)
        assert figures["p50_ms"] > 0
        assert figures["device"] == "cpu"
        assert figures["psnr_db_here"] > 60, "the same pictures as PyTorch's"
    assert check.figures(Section.ENGINES, "ONNX Runtime int8")["psnr_db"] > 30
    stream = check.figures(Section.PIPELINE, f"{DEMO}, depth 1")
    assert stream["fps"] > 0
    assert stream["frames"] == 4
    assert "worth nothing" in done.stdout
    assert done.stdout.count("p50_ms") > 5, "figures are told as they come"
    assert "TensorRT fp16" in done.stdout, "as not run"


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    places = (("--out", name) for name in ("", str(tmp_path), "file/gpu.json", "x" * 300, "/proc/gpu.json"))
    for arguments in (("--only", "engine"), ("--size", "100"), ("--device", "tpu"), ("--budget", "1"), *places):
        done = gpu_check(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1


def test_whatever_ends_it_ends_what_it_has_started(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "benchmarks.gpu_check", "--device", "cpu", "--only", "engines", "--width", "4"]
    environ = environment() | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    for number, expected in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        command = [*line, "--size", "64", "--out", str(tmp_path / "found.json")]
        with subprocess.Popen(
            command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for said in process.stdout:
                if "made by p2p-export" in said:
                    break
            wait_until(lambda: exporting(tmp_path))
            process.send_signal(number)
            _, stderr = process.communicate(timeout=60)
        assert process.returncode == expected, stderr
        assert stderr == ("interrupted\n" if expected == 130 else "")
        wait_until(lambda: not exporting(tmp_path))
    assert read_check(tmp_path / "found.json.partial").rows[0].figures["p50_ms"] > 0
    assert read_check(tmp_path / "found.json").rows[-1].reason == "interrupted"


def exporting(folder: Path) -> bool:
    """Whether there is a process that exports into ``folder``."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            lines.append(path.read_bytes())
    return any(b"export.command" in line and str(folder).encode() in line for line in lines)


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)
