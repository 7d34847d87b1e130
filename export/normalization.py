"""Which normalization to ship: all that are possible, measured against the one that the network was meant for."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import numpy as np

from core.errors import InvalidInputError
from core.export_record import Normalization, NormalizationTrial
from core.fidelity import Gate
from core.formats import InputShape
from core.frames import Frame
from core.precision import Precision
from export.fidelity import HeldOut, translate_all
from export.graphs import DeployGraphs
from export.original import Original
from export.trained_generator import FOLDED, TrainedGenerator
from runtime.benchmark import Candidate, measure
from runtime.engines import open_engine

TIMED_RUNS: Final = 24
"""Per graph, in blocks: enough for a median, and what is compared differs by a tenth or more."""


def check_normalization(original: Original, wanted: Normalization | None) -> None:
    """Refuse a normalization that the network's layers do not allow (None: any will do).

    Raises:
        InvalidInputError: naming those that it has.
    """
    if wanted is None or wanted in original.normalizations:
        return
    if original.normalizations == (Normalization.NONE,):
        raise InvalidInputError(f"--normalization {wanted}: {original.path} has no normalization to choose")
    raise InvalidInputError(
        f"--normalization {wanted}: the layers of {original.path} allow {', '.join(original.normalizations)} only"
    )


def choose_normalization(
    original: Original,
    wanted: Normalization | None,
    *,
    held_out: HeldOut,
    calibration: Sequence[Frame],
    gate: Gate,
    graphs: DeployGraphs,
    shape: InputShape,
    say: Callable[[str], None],
) -> tuple[Normalization, tuple[NormalizationTrial, ...]]:
    """The normalization to ship, and what was measured of each.

    Where there is a choice, every possible one is compared with the network as it was meant to be used, and timed in
    ONNX Runtime in fp32; the fastest that passes ``gate`` is taken.

    Args:
        original: what is exported.
        wanted: what the user chose; None: choose by measurement.
        held_out: what they are compared on.
        calibration: frames to measure the statistics of ``RECALIBRATED`` on; may be empty if it is not wanted.
        gate: the fp32 one.
        graphs: writes the graphs that are timed.
        shape: of their input.
        say: told, in a few words, what is being done.
    """
    check_normalization(original, wanted)
    if not isinstance(original, TrainedGenerator) or len(original.normalizations) == 1:
        return original.normalizations[0], ()
    if wanted is not None and wanted is not Normalization.RECALIBRATED:
        return wanted, ()
    say("measuring batch norm's statistics anew")
    original.recalibrate(calibration)
    if wanted is not None:
        return wanted, ()
    say("comparing the ways to normalize")
    milliseconds = _time(original, held_out.frames[0], graphs=graphs, shape=shape)
    trials = []
    for normalization in original.normalizations:
        path = graphs.get(Precision.FP32, shape, normalization)
        with open_engine("onnx", path, size=shape.size) as engine:
            fidelity, quality = held_out.judge(translate_all(engine, held_out.frames))
        trials.append(
            NormalizationTrial(
                normalization=normalization,
                fidelity=fidelity,
                quality=quality,
                p50_ms=milliseconds[normalization in FOLDED],
                passed=gate.complaint(fidelity, quality, held_out.reference_quality) is None,
            )
        )
    passed = [trial for trial in trials if trial.passed]
    # The one it was meant for comes first; should nothing pass, that is what is shipped, and the gate will say so.
    # Folded graphs are equally fast: of these the nearer one is taken.
    fastest = min(passed, key=lambda trial: (trial.p50_ms or 0.0, -trial.fidelity.psnr_db), default=trials[0])
    if fastest.normalization is not Normalization.RECALIBRATED:
        original.forget_recalibrated()
    return fastest.normalization, tuple(trials)


def _time(original: Original, frame: Frame, *, graphs: DeployGraphs, shape: InputShape) -> dict[bool, float]:
    """Median milliseconds in ONNX Runtime with normalization folded (True) and not; folded graphs are equally fast."""
    frames = np.repeat(frame[np.newaxis], shape.batch, axis=0)
    candidates = []
    for folded in (True, False):
        normalization = next(kind for kind in original.normalizations if (kind in FOLDED) is folded)
        path = graphs.get(Precision.FP32, shape, normalization)
        opener = partial(open_engine, "onnx", path, size=shape.size)
        candidates.append(Candidate(name=normalization, open=opener, frames=frames))
    measured = measure(candidates, runs=TIMED_RUNS)
    return {folded: measured[one.name].entry().p50 for folded, one in zip((True, False), candidates, strict=True)}
