"""The figures of the training benchmark follow from its blocks, and what cannot be measured says why."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from benchmarks.training import candidates, main, opened_data
from benchmarks.training_candidates import (
    Block,
    Candidate,
    CandidateProcess,
    Ready,
    Refused,
    open_loop,
    run_block,
)
from benchmarks.training_report import Row, speed_up, table
from core.errors import InvalidInputError


@pytest.fixture(autouse=True)
def _threads_kept() -> Iterator[None]:
    before, opencv = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(before)
    cv2.setNumThreads(opencv)


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with opened_data(None, pairs=4, size=32) as folder:
        yield folder


def candidate(name: str = "ours", *, data: Path = Path(), **values: Any) -> Candidate:
    same: dict[str, Any] = {"width": 4, "batch": 2, "size": 32, "device": "cpu"}
    return Candidate(name=name, data=data, **(same | values))


def block(seconds: float, *, steps: int = 2, waited: float = 0.0, each: tuple[float, ...] = ()) -> Block:
    return Block(steps=steps, seconds=seconds, waited=waited, step_seconds=each, memory_gib=seconds)


def row(blocks: dict[int, Block], **values: Any) -> Row:
    return Row(candidate=candidate(**values), ready=Ready(seconds=1.5, parameters=(1, 2)), blocks=blocks)


def test_speed_is_compared_within_rounds() -> None:
    """The machine got ten times slower after round 0, and ours is twice as fast all the same."""
    reference = row({0: block(2.0), 1: block(20.0), 2: block(20.0)}, reference=True)
    ours = row({0: block(1.0), 1: block(10.0), 3: block(1.0)})
    assert speed_up(ours, reference) == (2.0, 2.0, 2.0)
    # Blocks may have other numbers of steps.
    assert speed_up(row({1: block(40.0, steps=8)}), reference) == (2.0, 2.0, 2.0)
    assert speed_up(row({}), reference) is None


def test_figures_follow_from_the_blocks() -> None:
    measured = row({0: block(3.0, waited=0.3, each=(1.0, 2.0)), 1: block(1.0, waited=0.1, each=(0.4, 0.6))})
    assert measured.images_per_second == pytest.approx(2.0)  # 2 blocks of 2 steps of 2 images in 4 seconds
    assert measured.waiting == pytest.approx(0.1)
    assert measured.steps == [1.0, 2.0, 0.4, 0.6]
    assert row({0: block(3.0), 1: block(1.0)}).steps == [1.5, 0.5]


def test_the_table_compares_with_the_reference_of_the_same_case() -> None:
    rows = [
        row({0: block(2.0)}, name="plain", reference=True),
        row({0: block(1.0)}, name="quick"),
        row({0: block(1.0)}, name="alone", batch=8),
        Row(candidate=candidate("absent", device="cuda"), reason="not run: no CUDA device"),
    ]
    lines = table(rows, unit="ms").splitlines()
    assert len({line.count("|") for line in lines}) == 1
    cells = {line.split("|")[4].strip(): [cell.strip() for cell in line.split("|")[1:-1]] for line in lines}
    assert cells["plain"][4:8] == ["1000.00 ms", "1000.00", "2.00", "1"]
    assert cells["quick"][7].startswith("**2.00 ")
    assert cells["alone"][7] == "-"
    assert cells["absent"][:5] == ["cuda", "4", "2", "absent", "not run: no CUDA device"]


def test_the_grid_has_each_combination_once() -> None:
    made = candidates(
        "cuda", width=8, batch=1, size=32, data=Path(), precisions=("fp32", "bf16"), compiled=True, graphed=True
    )
    assert [each.reference for each in made] == [True] + [False] * 6
    options = [tuple(each.options.values()) for each in made[1:]]
    assert len(set(options)) == 6
    assert {precision for precision, _, graphed in options if graphed} == {"bf16"}
    assert len({each.name for each in made}) == 7


@pytest.mark.parametrize("reference", [False, True])
def test_a_block_counts_its_steps(houses: Path, *, reference: bool) -> None:
    loop, parameters = open_loop(candidate(data=houses, reference=reference))
    try:
        measured = run_block(loop, torch.device("cpu"), warm_up=1, steps=3)
    finally:
        loop.close()
    assert len(measured.step_seconds) == measured.steps == 3
    assert 0 <= measured.waited <= measured.seconds
    assert measured.memory_gib > 0
    assert min(parameters) > 0


def test_a_process_says_why_it_cannot_go_on(houses: Path) -> None:
    with CandidateProcess(candidate(data=houses)) as process:
        assert isinstance(process.start(1), Ready)
        done = process.block(warm_up=0, steps=2)
        assert isinstance(done, Block)
        assert done.steps == 2
        process._process.kill()
        assert process.block(warm_up=0, steps=2) == Refused("its process ended with code -9")


def test_what_the_device_cannot_do_is_refused(houses: Path) -> None:
    with pytest.raises(InvalidInputError, match="--precision fp16 needs a GPU"):
        open_loop(candidate(data=houses, options={"precision": "fp16"}))


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"precision": "fp8"}, "--precision fp8 is unknown"),
        ({"batch": "1;4"}, "--batch '1;4' is not understood"),
        ({"width": ""}, "--width '' is not understood"),
        ({"size": 100}, "--size 100 is not a multiple of 32"),
        ({"batch": "8", "width": "4", "size": 32}, "4 pairs make no batch of 8"),
    ],
)
def test_bad_input_is_refused_before_anything_is_timed(houses: Path, options: dict[str, Any], what: str) -> None:
    with pytest.raises(InvalidInputError, match=what):
        main(**({"device": "cpu", "data": houses} | options))
