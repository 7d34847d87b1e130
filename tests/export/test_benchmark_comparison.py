"""What ``p2p-bench --compare`` calls a change, what it calls noise, and what it does not compare at all."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.errors import InvalidInputError
from export.benchmark_comparison import Comparison, EarlierReport, compare, read_report

QUIET = [[10.0, 10.1, 10.2], [10.1, 10.1, 10.3], [10.0, 10.2, 10.2]]


def blocks(factor: float, base: list[list[float]] = QUIET) -> list[list[float]]:
    return [[value * factor for value in block] for block in base]


def entry(name: str, raw: list[list[float]] | None, **more: Any) -> dict[str, Any]:
    return {"name": name, "latency_ms": None, "raw_ms_blocks": raw} | more


def report(*entries: dict[str, Any], **more: Any) -> EarlierReport:
    whole = {
        "fingerprint": "0123456789abcdef",
        "machine": {"cpu": "A", "cores": 2},
        "ceiling_gflops": 100.0,
        "threads": 2,
        "depth": 1,
        "artifacts": list(entries),
    }
    return EarlierReport.model_validate(whole | more)


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.0, "no change beyond noise"), (1.02, "no change beyond noise"), (1.3, "slower"), (0.8, "faster")],
)
def test_a_change_lies_beyond_what_blocks_differ_by(factor: float, verdict: str) -> None:
    (change,) = compare(report(entry("a", QUIET)), report(entry("a", blocks(factor))))
    assert change.verdict == verdict
    assert change.before_ms == pytest.approx(10.1)
    assert change.now_ms == pytest.approx(10.1 * factor)
    assert change.noise_ms == pytest.approx(0.1 + 0.1 * factor), "the ranges of the blocks' medians, added"


def test_a_noisy_machine_hides_the_same_change() -> None:
    noisy = [[8.0, 8.1], [10.0, 10.1], [13.0, 13.1]]
    (change,) = compare(report(entry("a", QUIET)), report(entry("a", blocks(1.3, noisy))))
    assert change.verdict == "no change beyond noise"


@pytest.mark.parametrize("then", [[[10.0, 10.1]], [[10.0], [10.1]], None])
def test_without_blocks_the_spread_is_unknown(then: list[list[float]] | None) -> None:
    """Reports that were written before blocks were kept have percentiles only."""
    before = report(entry("a", then, latency_ms={"p50": 10.05}))
    (change,) = compare(before, report(entry("a", blocks(2.0))))
    assert (change.verdict, change.noise_ms) == ("spread unknown", None)
    assert change.before_ms == pytest.approx(10.05)
    assert "0.50 x as fast" in str(change)


def test_what_is_new_or_gone_is_named() -> None:
    before = report(entry("gone", QUIET), entry("failed then", None), entry("failed now", QUIET))
    now = report(entry("new", QUIET), entry("failed then", QUIET), entry("failed now", None))
    assert {change.name: change.verdict for change in compare(before, now)} == {
        "new": "not measured then",
        "failed then": "not measured then",
        "failed now": "not measured now",
        "gone": "not measured now",
    }


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"fingerprint": "f" * 16, "machine": {"cpu": "B", "cores": 8}}, "on another machine (B, 8 cores)"),
        ({"threads": 1}, "on 1 CPU threads, this on 2"),
        ({"depth": 4}, "with 4 calls under way, this with 1"),
    ],
)
def test_what_was_measured_otherwise_is_not_compared(more: dict[str, Any], words: str) -> None:
    earlier, now = report(entry("a", QUIET), **more), report(entry("a", QUIET))
    comparison = Comparison.of(Path("old.json"), earlier, now.model_dump())
    assert comparison.changes == ()
    (line,) = comparison.lines()
    assert words in line
    assert comparison.as_json()["not_comparable"] == comparison.reason


def test_the_machine_itself_is_compared_too() -> None:
    now = report(entry("a", QUIET), ceiling_gflops=80.0)
    comparison = Comparison.of(Path("old.json"), report(entry("a", QUIET)), now.model_dump())
    assert "0.80 times as fast as then" in comparison.lines()[0]
    assert comparison.as_json()["machine_ratio"] == 0.8


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        "[" * 100_000,
        json.dumps({"fingerprint": "x", "machine": {}, "ceiling_gflops": 1, "artifacts": []}),
    ],
)
def test_what_is_no_report_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "old.json"
    path.write_text(text, encoding="utf-8")
    for wrong in (path, tmp_path, tmp_path / "missing.json"):
        with pytest.raises(InvalidInputError, match="p2p-bench --json wrote") as refused:
            read_report(wrong)
        assert "\n" not in str(refused.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInputError, match="is no report"):
        read_report(path)
