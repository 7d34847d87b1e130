"""What ``benchmarks.gpu_check`` makes of its rows: shares, verdicts, the page, and files that are read again."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu_check import ceilings, engines, pipeline, training
from benchmarks.gpu_check.derive import curve_apart, doubt, floor_ms, never_measured, peak_share, verdicts
from benchmarks.gpu_check.plan import all_checks
from benchmarks.gpu_check.record import Facts, GpuCheck, Row, Section, Status, read_check, read_checks, write_check
from benchmarks.gpu_check.report import DOCUMENT, RESULTS, render
from core.errors import InvalidInputError
from core.machine import library_versions, this_machine

GPU = Facts(device="cuda", gpu="NVIDIA Test 9000", capability="9.0", modules=("onnxruntime", "cv2"))


def row(section: Section, name: str, **figures: Any) -> Row:
    return Row(section=section, name=name, status=Status.MEASURED, figures=figures)


def measured(**changes: Any) -> GpuCheck:
    """A made-up check: 100 TFLOP/s in bf16, 50 in fp16, 1000 GB/s, and a generator of 10 GFLOP."""
    rows = (
        row(Section.CEILINGS, ceilings.matrix_name("bf16"), tflops=100.0),
        row(Section.CEILINGS, ceilings.matrix_name("fp16"), tflops=50.0),
        row(Section.CEILINGS, ceilings.BANDWIDTH, gb_per_s=1000.0),
        row(Section.CEILINGS, ceilings.WORK, gflop=10.0, weights=50_000_000, activations=100_000_000, layers=16),
        row(Section.TRAINING, training.WORK, gflop=80.0),
        row(Section.TRAINING, training.step_name(16, "bf16", "eager"), images_per_second=625.0, step_ms=25.6),
        row(Section.TRAINING, training.step_name(1, "bf16", "eager"), images_per_second=90.0, step_ms=11.1),
        row(Section.TRAINING, training.curve_name("fp32, eager"), last_distance=0.2, steps=200),
        row(Section.TRAINING, training.curve_name("bf16, eager"), last_distance=0.21, steps=200),
        row(Section.TRAINING, training.curve_name("fp16, eager"), last_distance=0.25, steps=200),
        row(Section.TRAINING, training.REFERENCE, ours_fastest_speed_up=2.5),
        row(Section.ENGINES, engines.torch_name("fp16", "CUDA graph"), p50_ms=0.1, psnr_db_here=60.0),
        row(Section.ENGINES, engines.engine_name("tensorrt", "fp16"), p50_ms=0.4, p99_ms=0.5, psnr_db_here=60.0),
        row(Section.ENGINES, engines.engine_name("onnx", "fp16"), p50_ms=0.2, p99_ms=0.5, psnr_db_here=9.0),
        row(Section.ENGINES, engines.engine_name("onnx", "fp16", "channels last"), p50_ms=0.2, psnr_db_here=60.0),
        row(Section.ENGINES, engines.engine_name("tensorrt", "fp32"), p50_ms=0.3, p99_ms=0.5, device="cuda:0"),
        row(
            Section.PIPELINE,
            f"{pipeline.DEMO}, depth 2",
            fps=510.0,
            first_frame_seconds=0.5,
            artifact="generator.fp16.engine",
            device="cuda:0",
            gpu_idle_share=0.25,
        ),
        Row(section=Section.ENGINES, name="other", status=Status.NOT_RUN, reason="no time left of the 440 s"),
        Row(section=Section.TRAINING, name=training.PARITY, status=Status.FAILED, reason="further than allowed"),
    )
    values: dict[str, Any] = {
        "date": "2026-11-25",
        "machine": this_machine(),
        "libraries": library_versions(),
        "facts": GPU,
        "width": 64,
        "size": 256,
        "budget_seconds": 440.0,
        "seconds": 400.0,
        "rows": rows,
    }
    return GpuCheck.model_validate(values | changes)


def test_shares_and_floors_follow_from_the_measured_ceilings() -> None:
    check_ = measured()
    assert peak_share(check_, "bf16", 625.0) == pytest.approx(0.5)
    assert peak_share(check_, "tf32", 625.0) is None, "that ceiling was not measured"
    assert floor_ms(check_, "fp16") == pytest.approx(max(10 / 50, 2 * 150 / 1000))
    assert floor_ms(check_, "int8") is None
    assert curve_apart(check_, "bf16, eager") == pytest.approx(0.05)
    assert curve_apart(check_, "bf16, CUDA graph") is None


def test_targets_are_judged_by_the_rows_that_they_are_about() -> None:
    engine, yardstick, stream, reference, share = verdicts(measured())
    assert (engine.value, engine.met) == (0.4, True), "not PyTorch, fp32, wrong or as it does not ship"
    assert (yardstick.value, yardstick.met, yardstick.of) == (0.1, True, "PyTorch fp16, CUDA graph")
    assert (stream.value, stream.met) == (510.0, True)
    assert (reference.value, reference.met) == (2.5, False)
    assert share.value == pytest.approx(50)
    assert share.of == training.step_name(16, "bf16", "eager")
    nothing = measured(rows=(row(Section.CEILINGS, "x", y=1),))
    assert [verdict.met for verdict in verdicts(nothing)] == [None] * 5


def test_steps_that_cannot_be_believed_meet_no_target() -> None:
    """As when a capture had recorded nothing: replays take no time, and nothing is learned."""
    graph = training.step_name(64, "bf16", "CUDA graph")
    name = training.curve_name("bf16, CUDA graph")
    other = row(Section.TRAINING, name, last_distance=0.45, steps=200)
    fine = row(Section.TRAINING, name, last_distance=0.2, steps=200)
    broken = Row(section=Section.TRAINING, name=name, status=Status.FAILED, reason="a loss became infinite")
    for images_per_second, curve, reason in (
        (1000.0, broken, "its loss curve failed"),
        (1e6, fine, "faster than the matrix product"),
        (1000.0, other, "its loss curve is another"),
        (1000.0, fine, None),
    ):
        step = row(Section.TRAINING, graph, images_per_second=images_per_second, step_ms=1.0)
        check_ = measured(rows=(*measured().rows, step, curve))
        assert (doubt(check_, step) or "").startswith(reason or "")
        assert bool(doubt(check_, step)) is bool(reason)
        first = row(Section.TRAINING, training.step_name(1, "bf16", "CUDA graph"), images_per_second=9.0, step_ms=1.0)
        beside = verdicts(measured(rows=(*measured().rows, first, curve)))[-2]
        assert (beside.value is None) is (curve is not fine), "a step that learns otherwise is not compared either"
        of = verdicts(check_)[-1].of
        assert (of == graph) is (reason is None)
        assert (reason or "64, bf16, CUDA graph") in render([check_])


def test_the_page_says_what_was_measured_and_what_never_was() -> None:
    page = render([measured()])
    assert "## NVIDIA Test 9000, 2026-11-25" in page
    assert "| an engine's p50 in FP16, batch 1 | <= 0.5 ms | 0.4 ms: met | TensorRT fp16 |" in page
    assert "2.5 x: **missed**" in page
    assert "25.0 %, **more than 10 %**" in page
    assert "- training, failed: further than allowed (one step against the CPU, fp32)" in page
    assert "- engines, not run: no time left of the 440 s (other)" in page
    assert "| batch 16, bf16, eager | 25.6 | 625 | 50.0 % |" in page
    assert "1.3" in page.split("| TensorRT fp16 |")[2].split("\n")[0], "0.4 ms over the floor of 0.3 ms"
    never_run = page.split("## Never run on a GPU")[1]
    assert training.PARITY in never_run, "what failed was not measured"
    assert "further than allowed" in never_run
    assert "TensorRT fp16;" not in never_run
    assert "OpenVINO" not in never_run
    assert "\n\n\n\n" not in page


def test_without_a_gpu_the_page_lists_everything() -> None:
    page = render([])
    assert "nothing of this has ever run on one" in page
    left = never_measured([])
    assert sum(map(len, left.values())) == len(all_checks()) - 4, "all but OpenVINO's"


def test_a_check_is_read_as_it_was_written_and_damage_is_refused(tmp_path: Path) -> None:
    one = measured()
    assert one.file_name == f"2026-11-25-gpu-nvidia-test-9000-{this_machine().fingerprint[:6]}.json"
    write_check(tmp_path / one.file_name, one)
    assert read_check(tmp_path / one.file_name) == one
    older = measured(date="2026-11-01")
    write_check(tmp_path / older.file_name, older)
    assert [each.date for each in read_checks(tmp_path)] == ["2026-11-25", "2026-11-01"]
    for content in ("", "[]", "{}", json.dumps({"schema_version": 9}), json.dumps({"schema_version": 1, "rows": []})):
        (tmp_path / "x-gpu-y.json").write_text(content)
        with pytest.raises(InvalidInputError):
            read_check(tmp_path / "x-gpu-y.json")
    for damage in (b"\xff\xfe\x00", b"[" * 100_000):
        (tmp_path / "x-gpu-y.json").write_bytes(damage)
        with pytest.raises(InvalidInputError, match="move it away"):
            read_check(tmp_path / "x-gpu-y.json")


@pytest.mark.parametrize(
    "values",
    [
        {"status": "measured"},
        {"status": "measured", "figures": {"a": 1}, "reason": "but"},
        {"status": "failed"},
        {"status": "not run", "reason": "no GPU", "figures": {"a": 1}},
    ],
)
def test_a_row_has_figures_or_a_reason(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"needs|cannot"):
        Row.model_validate({"section": "engines", "name": "a"} | values)


def test_results_in_the_repository_are_sound_and_the_page_is_made_of_them() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render(read_checks(RESULTS)), "make gpu-check renders it"
