"""The most reported fault of exported pix2pix models, and the ways out of it."""

from pathlib import Path

import numpy as np
import pytest

from core.configuration import GENERATOR_FILE, Norm
from core.errors import InvalidInputError
from core.export_record import Normalization
from core.fidelity import GATES, Gate
from core.formats import InputShape
from core.frames import Frame, Size
from core.precision import Precision
from export.fidelity import HeldOut
from export.graphs import DeployGraphs
from export.normalization import check_normalization, choose_normalization
from export.trained_generator import TrainedGenerator
from tests.export.conftest import SIDE, save_run

EXACT = GATES[Precision.FP32]
LENIENT = Gate(psnr_db=5.0)


def choose(folder: Path, frames: list[Frame], *, batch: int, wanted: Normalization | None = None, gate: Gate = EXACT):
    original = TrainedGenerator(save_run(folder / "run", batch=batch) / GENERATOR_FILE)
    (folder / "graphs").mkdir()
    return choose_normalization(
        original,
        wanted,
        held_out=HeldOut(frames=frames[:3], references=original.translate(frames[:3])),
        calibration=frames[3:],
        gate=gate,
        graphs=DeployGraphs(original, folder / "graphs"),
        shape=InputShape(size=Size(SIDE, SIDE)),
        say=lambda _line: None,
    )


@pytest.mark.parametrize(("batch", "meant"), [(1, Normalization.INSTANCE), (4, Normalization.RUNNING)])
def test_every_way_is_measured_against_the_one_it_was_meant_for(
    tmp_path: Path, frames: list[Frame], batch: int, meant: Normalization
) -> None:
    chosen, trials = choose(tmp_path, frames, batch=batch)
    assert chosen is meant
    measured = {trial.normalization: trial for trial in trials}
    assert measured.keys() == {Normalization.INSTANCE, Normalization.RUNNING, Normalization.RECALIBRATED}
    assert [kind for kind, trial in measured.items() if trial.passed] == [meant]
    assert measured[meant].fidelity.max_abs <= 1
    wrong = Normalization.RUNNING if batch == 1 else Normalization.INSTANCE
    assert measured[wrong].fidelity.psnr_db < 32, "the naive export must be visibly wrong for this to mean anything"
    assert all(trial.p50_ms for trial in trials)
    same_graph = (measured[Normalization.RUNNING], measured[Normalization.RECALIBRATED])
    assert same_graph[0].p50_ms == same_graph[1].p50_ms, "timed once"


def test_of_those_that_pass_the_fastest_is_taken(tmp_path: Path, frames: list[Frame]) -> None:
    chosen, trials = choose(tmp_path, frames, batch=1, gate=LENIENT)
    measured = {trial.normalization: trial for trial in trials}
    assert all(trial.passed for trial in trials)
    folded, other = measured[Normalization.RECALIBRATED], measured[Normalization.INSTANCE]
    assert (chosen is not Normalization.INSTANCE) is (folded.p50_ms < other.p50_ms)
    nearer = folded.fidelity.psnr_db >= measured[Normalization.RUNNING].fidelity.psnr_db
    if chosen is not Normalization.INSTANCE:
        assert (chosen is Normalization.RECALIBRATED) is nearer


@pytest.mark.parametrize("wanted", [Normalization.RUNNING, Normalization.RECALIBRATED, Normalization.INSTANCE])
def test_what_the_user_chooses_is_what_is_taken(tmp_path: Path, frames: list[Frame], wanted: Normalization) -> None:
    assert choose(tmp_path, frames, batch=1, wanted=wanted) == (wanted, ())


def test_statistics_of_calibration_frames_are_nearer_than_those_of_other_pictures(
    tmp_path: Path, frames: list[Frame]
) -> None:
    """Statistics of other pictures, then those of the right ones: the second come nearer what it was meant for."""
    original = TrainedGenerator(save_run(tmp_path / "run", batch=4) / GENERATOR_FILE)
    references = original.translate(frames[:3])
    held_out = HeldOut(frames=frames[:3], references=references)
    original.recalibrate([np.full_like(frame, 200) - frame // 2 for frame in frames[3:]])
    wrong = fidelity(original, held_out)
    original.recalibrate(frames[3:])
    assert fidelity(original, held_out) > wrong + 3


def fidelity(original: TrainedGenerator, held_out: HeldOut) -> float:
    import torch

    graph = original.deploy_graph(Normalization.RECALIBRATED, Precision.FP32)
    with torch.inference_mode():
        made = [graph(torch.from_numpy(frame[None])).numpy()[0] for frame in held_out.frames]
    return held_out.judge(made)[0].psnr_db


def test_a_normalization_that_the_layers_do_not_allow_is_refused(tmp_path: Path) -> None:
    original = TrainedGenerator(save_run(tmp_path / "run") / GENERATOR_FILE)
    original.normalizations = (Normalization.INSTANCE,)
    with pytest.raises(InvalidInputError, match=r"--normalization running: the layers of .* allow instance only"):
        check_normalization(original, Normalization.RUNNING)
    original.normalizations = (Normalization.NONE,)
    with pytest.raises(InvalidInputError, match="has no normalization to choose"):
        check_normalization(original, Normalization.RECALIBRATED)
    assert original.generator is not None
    assert original.generator.norm is Norm.BATCH
