"""How candidates are timed: in rotating blocks, loaded anew, and with as many calls under way as asked."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from core.frames import Size
from runtime.benchmark import WARM_UP, Candidate, Measured, measure
from runtime.engines import Engine

FRAMES = np.zeros((2, 4, 4, 3), np.uint8)


class CountingEngine(Engine):
    """Notes what is under way when a call begins; a call ends when it is waited for."""

    def __init__(self, log: list[str], name: str, depth: int) -> None:
        self.size, self.batch, self.device, self.threads, self.depth = Size(4, 4), 2, "cpu", 1, depth
        self.log, self.name = log, name
        self.pending, self.most, self.calls = 0, 0, 0

    def _run(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        self.calls += 1
        return frames

    def _start(self, frames: NDArray[np.uint8], slot: int) -> Callable[[], NDArray[np.uint8]]:
        assert 0 <= slot < self.depth
        self.calls += 1
        self.pending += 1
        self.most = max(self.most, self.pending)

        def wait() -> NDArray[np.uint8]:
            self.pending -= 1
            return frames

        return wait

    def _release(self) -> None:
        self.log.append(f"{self.name} {self.calls} {self.most}")


def timed(depth: int, *, runs: int, blocks: int, names: str = "ab") -> tuple[list[str], dict[str, Measured]]:
    log: list[str] = []
    candidates = [
        Candidate(name=name, open=lambda name=name: CountingEngine(log, name, depth), frames=FRAMES, depth=depth)
        for name in names
    ]
    return log, measure(candidates, runs=runs, blocks=blocks)


def test_blocks_rotate_and_share_the_runs() -> None:
    log, measured = timed(1, runs=10, blocks=3, names="abc")
    calls = [3 + WARM_UP + 1, 3 + WARM_UP + 1, 4 + WARM_UP + 1]
    expected = [
        f"{name} {count} 0" for names, count in zip(("abc", "bca", "cab"), calls, strict=True) for name in names
    ]
    assert log == expected
    for one in measured.values():
        assert [len(block.raw_ms) for block in one.blocks] == [3, 3, 4]
        assert one.latency.count == 10
        assert one.raw_ms == [value for block in one.blocks for value in block.raw_ms]


@pytest.mark.parametrize("depth", [2, 3])
def test_several_calls_are_kept_under_way(depth: int) -> None:
    log, measured = timed(depth, runs=12, blocks=2)
    assert [int(line.split()[2]) for line in log] == [depth] * 4
    assert all(len(block.raw_ms) == 6 for one in measured.values() for block in one.blocks)


def test_the_rate_is_counted_over_the_time_that_went_by() -> None:
    _, measured = timed(1, runs=9, blocks=3)
    one = measured["a"]
    assert one.calls_per_second == pytest.approx(9 / sum(block.seconds for block in one.blocks))
    assert all(block.seconds >= sum(block.raw_ms) / 1000 * 0.999 for block in one.blocks), "calls lie within it"
