"""``benchmarks.gpu_check`` without a GPU: what is run when, why not, and what the page says of it."""

import math
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.gpu_check import ceilings, conductor, training
from benchmarks.gpu_check.checks import Check, Figures, Setting, hardware_bf16, installed, rtx_supports
from benchmarks.gpu_check.command import in_one_line, parse_sections
from benchmarks.gpu_check.commands import error_of
from benchmarks.gpu_check.conductor import Answer, WorkerProcess, conduct
from benchmarks.gpu_check.facts import read_facts
from benchmarks.gpu_check.pipeline import idle_share, parse_utilization, sampled
from benchmarks.gpu_check.plan import all_checks
from benchmarks.gpu_check.profile import Interval, busy_share, longest
from benchmarks.gpu_check.record import Facts, Row, Section, Status
from core.errors import InvalidInputError
from core.precision import Precision

GPU = Facts(device="cuda", gpu="NVIDIA Test 9000", capability="9.0", modules=("onnxruntime", "cv2"))


def check(name: str, *, section: Section = Section.ENGINES, **values: Any) -> Check:
    return Check(section=section, name=name, run=values.pop("run", lambda _setting: {"it": 1}), **values)


class Workers:
    """Workers that answer at once; names in ``deadly`` end them. Counts what is opened and closed."""

    def __init__(self, clock: Callable[[], float] | None = None, *, deadly: tuple[str, ...] = ()) -> None:
        self.ran: list[str] = []
        self.limits: list[float] = []
        self.opened = self.closed = 0
        self.deadly = deadly
        self.interrupts: tuple[str, ...] = ()

    def __call__(self) -> "Workers":
        self.opened += 1
        return self

    def run(self, name: tuple[str, str], seconds: float) -> Answer:
        self.ran.append(name[1])
        self.limits.append(seconds)
        if name[1] in self.interrupts:
            raise KeyboardInterrupt
        if name[1] in self.deadly:
            return Answer(None, "its process ended with code -11", alive=False)
        return Answer({"name": name[1]})

    def close(self) -> None:
        self.closed += 1


def test_what_matters_most_runs_first_and_rows_keep_their_order() -> None:
    workers = Workers()
    checks = [check("late", priority=8), check("first", priority=0), check("middle", priority=3)]
    rows = conduct(checks, GPU, workers, budget_seconds=100)
    assert workers.ran == ["first", "middle", "late"]
    assert [row.name for row in rows] == ["late", "first", "middle"]
    assert all(row.status is Status.MEASURED for row in rows)
    assert (workers.opened, workers.closed) == (1, 1)


def test_a_check_that_kills_its_process_takes_no_other_along() -> None:
    workers = Workers(deadly=("b",))
    rows = conduct([check("a"), check("b"), check("c")], GPU, workers, budget_seconds=100)
    assert [row.status for row in rows] == [Status.MEASURED, Status.FAILED, Status.MEASURED]
    assert rows[1].reason == "its process ended with code -11"
    assert (workers.opened, workers.closed) == (2, 2)


def test_nothing_is_begun_when_the_time_is_over() -> None:
    seconds = iter(range(0, 1000, 20))  # every look at the clock is 20 seconds later
    workers = Workers()
    rows = conduct(
        [check(str(i), limit_seconds=500) for i in range(5)],
        GPU,
        workers,
        budget_seconds=100,
        clock=lambda: float(next(seconds)),
    )
    assert workers.ran == ["0", "1"]
    assert workers.limits == [80.0, 20.0], "no longer than what is left"
    assert [row.status for row in rows[2:]] == [Status.NOT_RUN] * 3
    assert rows[2].reason == "no time left of the 100 s"


def test_what_the_budget_cut_short_has_not_failed() -> None:
    class Slow(Workers):
        def run(self, name: tuple[str, str], seconds: float) -> Answer:
            super().run(name, seconds)
            return Answer(None, f"given up after {seconds:.0f} s", late=True, alive=False)

    (cut,) = conduct([check("a", limit_seconds=60)], GPU, Slow(), budget_seconds=30)
    (hung,) = conduct([check("a", limit_seconds=10)], GPU, Slow(), budget_seconds=30)
    assert (cut.status, cut.reason) == (Status.NOT_RUN, "no time left of the 30 s to end it")
    assert (hung.status, hung.reason) == (Status.FAILED, "given up after 10 s")


def test_rows_are_told_as_they_come() -> None:
    told: list[list[str]] = []
    checks = [check("late", priority=8), check("out", needs=(installed("tensorrt"),)), check("first", priority=0)]
    conduct(checks, GPU, Workers(), budget_seconds=100, done=lambda rows: told.append([row.name for row in rows]))
    assert told == [["first"], ["first", "out", "late"]], "what was not run is no news of its own"

    def interrupt(_rows: object) -> None:
        raise KeyboardInterrupt

    rows = conduct([check("a"), check("b")], GPU, Workers(), budget_seconds=100, done=interrupt)
    assert [(row.status, row.reason) for row in rows] == [(Status.MEASURED, None), (Status.NOT_RUN, "interrupted")]


def test_a_device_that_an_error_left_unusable_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_setting: Setting) -> Figures:
        raise RuntimeError("an illegal memory access")

    assert conductor._answer(check("a"), setting(tmp_path)) == ({"it": 1}, None, True)
    _, reason, usable = conductor._answer(check("a", run=fail), setting(tmp_path))
    assert (reason, usable) == ("RuntimeError: an illegal memory access", True)
    monkeypatch.setattr(torch, "rand", lambda *_, **__: fail(setting(tmp_path)))
    assert conductor._answer(check("a", run=fail), setting(tmp_path))[2] is False


def test_whatever_a_check_measured_can_be_kept(tmp_path: Path) -> None:
    odd = {"a": np.float32(1.5), "b": None, "c": (np.int64(2), 3.5), "d": {Precision.FP16: tmp_path}}
    figures, _, _ = conductor._answer(check("a", run=lambda _setting: odd), setting(tmp_path))
    assert figures == {"a": 1.5, "b": None, "c": [2, 3.5], "d": {"fp16": str(tmp_path)}}
    (row,) = conduct([check("a")], GPU, lambda: Giving(figures), budget_seconds=10)
    assert row.figures["c"] == [2, 3.5]
    for none in (float("inf"), math.nan, np.float32("nan")):
        broken = check("a", run=lambda _setting, none=none: {"p50_ms": none})
        figures, reason, _ = conductor._answer(broken, setting(tmp_path))
        assert figures is None
        assert (reason or "").startswith("p50_ms is ")


class Giving(Workers):
    def __init__(self, figures: Figures | None) -> None:
        super().__init__()
        self.figures = figures

    def run(self, name: tuple[str, str], seconds: float) -> Answer:
        return Answer(self.figures)


def test_errors_of_commands_are_told_from_what_libraries_print() -> None:
    def ended(stderr: str) -> str:
        return error_of(subprocess.CompletedProcess([], 2, "", stderr))

    assert ended("[W:onnxruntime] no plugin\nerror: there is no bundle\n") == "there is no bundle"
    assert ended("Traceback\nRuntimeError: it broke\n") == "RuntimeError: it broke"
    assert ended("") == "it ended with code 2"


def test_a_row_in_one_line() -> None:
    figures = {"p50_ms": 0.123456, "longest": []}
    row = Row(section=Section.ENGINES, name="a", status=Status.MEASURED, seconds=2, figures=figures)
    assert in_one_line(row) == "  p50_ms 0.1235 (2.0 s)"
    failed = Row(section=Section.ENGINES, name="a", status=Status.FAILED, reason="it broke", seconds=1)
    assert in_one_line(failed) == "  it broke (1.0 s)"


def test_ctrl_c_keeps_what_was_measured() -> None:
    workers = Workers()
    workers.interrupts = ("b",)
    rows = conduct([check("a"), check("b"), check("c")], GPU, workers, budget_seconds=100)
    assert [(row.status, row.reason) for row in rows] == [
        (Status.MEASURED, None),
        (Status.FAILED, "interrupted"),
        (Status.NOT_RUN, "interrupted"),
    ]


def test_what_stands_in_the_way_is_said() -> None:
    assert check("a", needs=(installed("onnxruntime", "tensorrt"),)).obstacle(GPU) == "tensorrt not installed"
    assert check("a", needs=(installed("cv2"),)).obstacle(GPU) is None
    assert check("a", on_cpu=False).obstacle(Facts(device="cpu")) == "only a GPU shows this"
    assert check("a").obstacle(Facts(device="cuda", why_not="no CUDA device")) == "no CUDA device"
    assert "this GPU has 9.0" in (rtx_supports(GPU) or "")
    assert rtx_supports(GPU.model_copy(update={"capability": "8.9"})) is None
    assert hardware_bf16(GPU.model_copy(update={"bf16": False})) == "NVIDIA Test 9000 has no bf16"
    assert "CUDAExecutionProvider" in (by_name("ONNX Runtime fp16").obstacle(with_all(GPU)) or "")
    cuda = with_all(GPU).model_copy(update={"providers": ("CUDAExecutionProvider",)})
    assert by_name("ONNX Runtime fp16").obstacle(cuda) is None
    broken = cuda.model_copy(update={"onnxruntime_broken": "ImportError: libfoo.so"})
    assert by_name("ONNX Runtime fp16").obstacle(broken) == "onnxruntime cannot be imported (ImportError: libfoo.so)"
    stream = by_name("p2p-run, demo stream, depth 1")
    assert stream.obstacle(cuda.model_copy(update={"modules": (*cuda.modules, "cv2")})) is None
    assert "no CUDAExecutionProvider" in (stream.obstacle(with_all(GPU)) or "")
    assert "OpenVINO runs on no NVIDIA GPU" in (by_name("OpenVINO fp16").obstacle(with_all(GPU)) or "")


def by_name(name: str) -> Check:
    (found,) = [one for one in all_checks() if one.name == name]
    return found


def with_all(facts: Facts) -> Facts:
    return facts.model_copy(update={"modules": ("onnx", "onnxscript", "onnxruntime", "openvino", "cv2")})


def test_every_row_has_a_name_of_its_own_and_what_was_asked_for_is_there() -> None:
    names = [(one.section, one.name) for one in all_checks()]
    assert len(names) == len(set(names))
    steps = [name for section, name in names if section is Section.TRAINING and name.startswith("step, ")]
    assert len(steps) == 4 * 3 * 3 + 4, "batches, precisions, modes; with bf16 also compiled and captured"
    for target in ("ONNX Runtime", "TensorRT", "TensorRT-RTX"):
        assert {f"{target} {precision}" for precision in ("fp32", "fp16", "int8")} <= {name for _, name in names}


def setting(folder: Path) -> Setting:
    return Setting(device="cpu", width=4, size=64, folder=folder, brief=True)


def test_a_real_process_measures_and_what_hangs_is_given_up(tmp_path: Path) -> None:
    wanted = [one for one in all_checks() if one.name in (ceilings.WORK, ceilings.matrix_name("fp32"))]
    rows = conduct(wanted, read_facts("cpu"), lambda: WorkerProcess(setting(tmp_path)), budget_seconds=120)
    assert [row.status for row in rows] == [Status.MEASURED] * 2
    assert rows[0].figures["tflops"] > 0
    assert rows[1].figures["layers"] == 12, "six levels, down and up"
    worker = WorkerProcess(setting(tmp_path))
    try:
        answer = worker.run((Section.TRAINING.value, training.REFERENCE), 0.05)
        assert (answer.reason, answer.alive) == ("given up after 0 s", False)
    finally:
        worker.close()
    assert not worker._process.is_alive()


def test_a_process_that_ended_is_told_from_one_that_is_slow(tmp_path: Path) -> None:
    worker = WorkerProcess(setting(tmp_path))
    worker._process.kill()
    answer = worker.run((Section.CEILINGS.value, ceilings.WORK), 60)
    worker.close()
    assert (answer.reason, answer.alive) == ("its process ended with code -9", False)


def test_facts_without_a_gpu() -> None:
    facts = read_facts("cuda")
    if facts.gpu is None:
        assert facts.why_not == "no CUDA device"
    assert {"onnx", "onnxruntime", "openvino"} <= set(facts.modules)
    assert read_facts("cpu").why_not is None


def test_sections_are_understood_or_refused() -> None:
    assert parse_sections(None) == tuple(Section)
    assert parse_sections("engines, ceilings") == (Section.CEILINGS, Section.ENGINES)
    for text in ("", "enginse", ","):
        with pytest.raises(InvalidInputError, match="choose from ceilings, training, engines, pipeline"):
            parse_sections(text)


def test_utilization_is_read_from_whatever_the_driver_says() -> None:
    assert parse_utilization(["0\n", " 57 \n", "100 %\n", "[N/A]\n", "[Not Supported]", "", "-3", "400"]) == [
        0,
        57,
        100,
    ]
    assert idle_share([]) is None
    assert idle_share([0.0, 0.0]) is None
    assert idle_share([0.0, 0.0, 80.0, 0.0, 40.0, 0.0]) == pytest.approx(0.6), "it starts before, and ends after"


def test_the_sampler_ends_with_the_work_and_may_be_missing() -> None:
    done: list[str] = []
    samples = sampled(
        lambda: (time.sleep(0.5), done.append("work"))[1],
        sampler=("sh", "-c", "while true; do echo 50; sleep 0.05; done"),
    )
    assert done == ["work"]
    assert samples
    assert set(samples) == {50.0}
    assert sampled(lambda: done.append("again"), sampler=("no-such-program",)) == []
    assert done == ["work", "again"]


def test_gaps_between_kernels_are_idle_and_overlaps_count_once() -> None:
    kernels = [Interval("a", 0, 10), Interval("b", 5, 12), Interval("a", 20, 25), Interval("c", 21, 22)]
    assert busy_share(kernels) == pytest.approx(17 / 25)
    assert busy_share([]) is None
    assert busy_share([Interval("a", 3, 3)]) is None
    ranked = longest(kernels, steps=2)
    assert [one["kernel"] for one in ranked] == ["a", "b", "c"]
    assert ranked[0] == {"kernel": "a", "share": round(15 / 23, 4), "calls_a_step": 1.0, "us_a_step": 7.5}
    assert len(longest([Interval("x" * 500, 0, 1)], steps=1)[0]["kernel"]) == 90
