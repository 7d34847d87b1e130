"""What the rounds of ``benchmarks.runtime`` say about its targets, and that its streams really run."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.runtime import KEPT, LATENCY_DEPTH, THROUGHPUT_DEPTH, Target, _figures, stream, targets, write_clip
from core.frames import Size
from tests.runtime.conftest import make_bundle


def one_stream(fps: float, p50: float, *, first: float = 0.5, peak: float = 200) -> dict[str, Any]:
    latency = {"end_to_end": {"p50": p50}}
    return {"fps": fps, "latency_ms": latency, "first_frame_seconds": first, "peak_memory_mib": peak}


def one_round(speed: float = 1.0) -> dict[str, Any]:
    """Engine 100 fps and 11 ms, demo 96 % of it and 3 ms more, clip 90 % and 6 ms more, all ``speed`` times as fast."""
    found: dict[str, Any] = {"help": 0.2}
    for depth in (LATENCY_DEPTH, THROUGHPUT_DEPTH):
        found[f"engine {depth}"] = {"fps": 100 * speed, "p50": 11.0}
        found[f"demo {depth}"] = one_stream(96 * speed, 14.0)
        found[f"clip {depth}"] = one_stream(90 * speed, 17.0, first=1.2)
    return found


def test_rates_and_latencies_are_compared_within_a_round() -> None:
    found = {target.name: target for target in targets([one_round(1.0), one_round(0.5), one_round(0.7)])}
    rate = found[f"demo: rate of the engine's own, depth {THROUGHPUT_DEPTH}"]
    assert rate.values == pytest.approx([96, 96, 96])
    assert rate.met
    assert not found[f"clip: rate of the engine's own, depth {THROUGHPUT_DEPTH}"].met
    assert found["demo: end to end p50 over the engine's"].median == pytest.approx(3)
    assert not found["clip: end to end p50 over the engine's"].met
    assert found["first frame, from the start of the process"].values.count(1.2) == 6, "every stream of every round"
    assert found["p2p-run --help"].met


@pytest.mark.parametrize(
    ("values", "at_most", "met"),
    [([3.0, 4.0, 9.0], True, True), ([3.0, 4.1, 9.0], True, False), ([3.9], False, False), ([4.0], False, True)],
)
def test_the_median_keeps_the_promise_or_does_not(values: list[float], at_most: bool, met: bool) -> None:
    target = Target(name="a", unit="ms", bound=4, at_most=at_most, values=values)
    assert target.met is met
    assert str(target).endswith("met" if met else "MISSED")


def test_a_stream_on_a_clip_gives_the_figures(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Size(64, 96), 5)
    bundle = make_bundle(tmp_path / "tiny")
    summary = stream(str(bundle), ["--target", "onnx"], str(clip), frames=5, depth=1)
    kept = _figures(summary)
    assert kept["frames"] == 5
    assert tuple(kept) == KEPT
    assert targets([dict.fromkeys(one_round(), summary) | one_round()])
    assert str(tmp_path) not in str(kept)
