"""A captured step learns what an eager one does, with CUDA's graphs acted out on the CPU (``recorded_graph.py``)."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from core.errors import EdgeError
from core.frames import Size
from tests.train.recorded_graph import RecordedGraph, stand_in
from train.defaults import resolve
from train.feeding import DeviceBatch
from train.graphed_step import WARM_UP_STEPS, GraphedStep
from train.settings import TrainingOptions
from train.trainer import Trainer

STEPS = WARM_UP_STEPS + 7


def make_trainer(**values: object) -> Trainer:
    torch.manual_seed(3)
    options: dict[str, object] = {"size": Size(32, 32), "width": 4, "steps": STEPS, "threads": 1, "cuda_graph": True}
    return Trainer(resolve(TrainingOptions.model_validate(options | values), device="cpu", pairs=4, cores=1))


def train(trainer: Trainer, steps: int = STEPS) -> list[Tensor]:
    """The measures of each step, then the weights of all networks; batches are the same ones whenever it is called."""
    random = np.random.default_rng(5)
    measures = []
    for _ in range(steps):
        frames = torch.from_numpy(random.integers(0, 256, (2, 2, 32, 32, 3), dtype=np.uint8))
        measures.append(trainer.step(DeviceBatch(frames[0], frames[1])))
    state = trainer.state()
    weights = [state[name] for name in ("generator", "discriminator", "average") if state[name] is not None]
    return [torch.stack(measures), *(tensor.clone() for each in weights for tensor in each.values())]


@pytest.fixture
def recorded_graphs(monkeypatch: pytest.MonkeyPatch) -> list[RecordedGraph]:
    """Every graph that is made in the test."""
    return stand_in(monkeypatch)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From when it is called, steps are run as they are."""
    return lambda: monkeypatch.setattr("train.trainer.GraphedStep", lambda step: step)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"precision": "bf16"},
        {"gan": "hinge", "distance": "l2", "norm": "instance"},
        {"gan": "lsgan", "smooth_labels": True, "switch_labels": 0.5, "instance_noise": 0.3, "ema": 0.9},
        {"schedule": "cosine", "lr": 0.01},
    ],
    ids=["default", "bf16", "hinge", "stabilized", "decaying rate"],
)
def test_a_captured_step_learns_what_an_eager_one_does(
    recorded_graphs: list[RecordedGraph], eager: Callable[[], None], options: dict[str, object]
) -> None:
    captured = train(make_trainer(**options))
    eager()
    expected = train(make_trainer(**options))
    assert [graph.replays for graph in recorded_graphs] == [STEPS - WARM_UP_STEPS]
    assert len(captured) == len(expected)
    assert all(torch.equal(one, other) for one, other in zip(captured, expected, strict=True))


def test_a_resumed_one_goes_on_as_if_it_had_never_stopped(recorded_graphs: list[RecordedGraph]) -> None:
    first = make_trainer(ema=0.9, dropout=False)
    train(first, WARM_UP_STEPS + 2)
    second = make_trainer(ema=0.9, dropout=False)
    second.restore(copy.deepcopy(first.state()))  # it is written to in place
    expected, resumed = train(first), train(second)
    assert len(recorded_graphs) == 2
    assert all(torch.equal(one, other) for one, other in zip(resumed, expected, strict=True))


def test_a_step_that_waits_for_the_device_is_refused(recorded_graphs: list[RecordedGraph]) -> None:
    graphed = GraphedStep(lambda source, target: source * float(target.sum()))
    frames = torch.ones(2)
    for _ in range(WARM_UP_STEPS):
        assert graphed(frames, frames).tolist() == [2, 2]
    with pytest.raises(EdgeError, match=r"not permitted when stream is capturing.*leave out --cuda-graph"):
        graphed(frames, frames)


def test_memory_that_ends_during_a_capture_is_said_to(recorded_graphs: list[RecordedGraph]) -> None:
    def step(source: Tensor, _target: Tensor) -> Tensor:
        if recorded_graphs:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return source

    graphed = GraphedStep(step)
    for _ in range(WARM_UP_STEPS):
        graphed(torch.ones(1), torch.ones(1))
    with pytest.raises(torch.OutOfMemoryError):
        graphed(torch.ones(1), torch.ones(1))


def test_results_of_earlier_steps_are_left_alone(recorded_graphs: list[RecordedGraph]) -> None:
    graphed = GraphedStep(lambda source, target: source + target)
    results = [graphed(torch.full((2,), float(i)), torch.ones(2)) for i in range(WARM_UP_STEPS + 3)]
    assert [result[0].item() for result in results] == [1 + i for i in range(WARM_UP_STEPS + 3)]


def test_the_stand_in_shows_what_a_capture_must_not_hold(recorded_graphs: list[RecordedGraph]) -> None:
    """A number of Python's is frozen, a tensor that is put in another's place unseen: were it not so, nothing above
    would show anything."""
    strength, held = [1.0], {"weight": torch.ones(2)}
    graphed = GraphedStep(lambda source, _target: source * strength[0] * held["weight"])
    one = torch.ones(2)
    for _ in range(WARM_UP_STEPS + 1):
        graphed(one, one)
    strength[0], held["weight"] = 5.0, torch.full((2,), 7.0)
    assert graphed(one, one).tolist() == [1, 1]
    held = {}
    with pytest.raises(RuntimeError, match="lift_fresh"), RecordedGraph():
        torch.tensor(1.0)
