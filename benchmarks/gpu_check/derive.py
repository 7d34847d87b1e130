"""What follows from measured rows: shares of the ceilings, floors, and whether the targets were met."""

from dataclasses import dataclass
from typing import Any, Final

from benchmarks.gpu_check import ceilings, engines, pipeline, training
from benchmarks.gpu_check.record import GpuCheck, Row, Section, Status
from core.fidelity import GATES
from core.precision import Precision

BYTES: Final = {"fp32": 4, "fp16": 2}
"""Of a weight, and of a value between layers."""
ENGINE_MS: Final = 0.5
STREAM_FPS: Final = 500.0
SPEED_UP: Final = 3.0
PEAK_SHARE: Final = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A target, and what was measured of it."""

    target: str
    bound: float
    at_most: bool
    value: float | None
    """None where the rows that it takes were not measured."""
    unit: str
    of: str = ""
    """Which row had it."""

    @property
    def met(self) -> bool | None:
        """Whether the target was met; None if that is not known."""
        if self.value is None:
            return None
        return self.value <= self.bound if self.at_most else self.value >= self.bound


def matrix_tflops(check: GpuCheck, precision: str) -> float | None:
    """The measured ceiling in 10^12 operations a second."""
    value = check.figures(Section.CEILINGS, ceilings.matrix_name(precision)).get("tflops")
    return None if value is None else float(value)


def peak_share(check: GpuCheck, precision: str, images_per_second: float) -> float | None:
    """Share of the measured matrix-product rate that a step's operations take; None if either is not known."""
    rate = matrix_tflops(check, precision)
    gflop = check.figures(Section.TRAINING, training.WORK).get("gflop")
    return None if rate is None or gflop is None else float(gflop) * images_per_second / 1000 / rate


def floor_ms(check: GpuCheck, precision: str) -> float | None:
    """Milliseconds that one frame takes at least: its operations at the measured rate, or its bytes at the measured
    bandwidth, whichever is more. None where one of them is not known.
    """
    rate = matrix_tflops(check, precision)
    bandwidth = check.figures(Section.CEILINGS, ceilings.BANDWIDTH).get("gb_per_s")
    work = check.figures(Section.CEILINGS, ceilings.WORK)
    if rate is None or bandwidth is None or not work or precision not in BYTES:
        return None
    moved = BYTES[precision] * (float(work["weights"]) + float(work["activations"]))
    return max(float(work["gflop"]) / rate, moved / float(bandwidth) / 1e6)


def curve_apart(check: GpuCheck, variant: str) -> float | None:
    """How far the end of a loss curve is from eager fp32's, relative."""
    reference = check.figures(Section.TRAINING, training.curve_name(training.REFERENCE_VARIANT)).get("last_distance")
    value = check.figures(Section.TRAINING, training.curve_name(variant)).get("last_distance")
    return None if reference is None or value is None else abs(float(value) / float(reference) - 1)


def verdicts(check: GpuCheck) -> list[Verdict]:
    """The targets for a data-centre GPU at 256 x 256, width 64."""
    engine = _fastest_of(check, [engines.engine_name(target, "fp16") for target in engines.ON_GPU])
    yardstick = _fastest_of(check, [engines.torch_name("fp16", "CUDA graph")])
    stream = _most(check, Section.PIPELINE, "fps", containing=pipeline.DEMO)
    # The step that is measured there; what is wrong with it here is wrong there.
    fastest = training.step_name(1, "bf16", "CUDA graph")
    doubtful = any(row.name == fastest and row.status is Status.MEASURED and doubt(check, row) for row in check.rows)
    compared = check.figures(Section.TRAINING, training.REFERENCE)
    speed_up = None if doubtful else compared.get("ours_fastest_speed_up")
    steps = _most_that_learn(check)
    share = None if steps is None else peak_share(check, "bf16", steps[0])
    return [
        Verdict(
            target="an engine's p50 in FP16, batch 1",
            bound=ENGINE_MS,
            at_most=True,
            unit="ms",
            value=None if engine is None else engine[0],
            of="" if engine is None else engine[1],
        ),
        Verdict(
            target="the same in PyTorch, which is no engine of this project",
            bound=ENGINE_MS,
            at_most=True,
            unit="ms",
            value=None if yardstick is None else yardstick[0],
            of="" if yardstick is None else yardstick[1],
        ),
        Verdict(
            target="the whole stream, demo",
            bound=STREAM_FPS,
            at_most=False,
            unit="fps",
            value=None if stream is None else stream[0],
            of="" if stream is None else stream[1],
        ),
        Verdict(
            target="training beside the plain loop, batch 1",
            bound=SPEED_UP,
            at_most=False,
            unit="x",
            value=None if speed_up is None else float(speed_up),
        ),
        Verdict(
            target="share of the bf16 matrix rate, best batch",
            bound=100 * PEAK_SHARE,
            at_most=False,
            unit="%",
            value=None if share is None else 100 * share,
            of="" if steps is None else steps[1],
        ),
    ]


def doubt(check: GpuCheck, row: Row) -> str | None:
    """Why a step's time is not to be believed, if so: it would be faster than the ceiling, or it learns otherwise."""
    if not row.name.startswith("step, "):
        return None
    _, _, precision, mode = row.name.split(", ", 3)
    share = peak_share(check, precision, float(str(row.figures["images_per_second"])))
    if share is not None and share > 1:
        return "faster than the matrix product: something is not computed"
    curve = training.curve_name(f"{precision}, {mode}")
    if any(other.name == curve and other.status is Status.FAILED for other in check.rows):
        return "its loss curve failed"
    apart = curve_apart(check, f"{precision}, {mode}")
    if apart is not None and apart > training.CURVE_TOLERANCE:
        return "its loss curve is another"
    return None


def _fastest_of(check: GpuCheck, names: list[str]) -> tuple[float, str] | None:
    """Least p50 in milliseconds of these rows in FP16 that give the pictures they should; and whose."""
    wanted = GATES[Precision.FP16].psnr_db or 0.0
    found = [
        (float(figures["p50_ms"]), name)
        for name in names
        if (figures := check.figures(Section.ENGINES, name)) and figures.get("psnr_db_here", 0.0) >= wanted
    ]
    return min(found, default=None)


def _most_that_learn(check: GpuCheck) -> tuple[float, str] | None:
    """Most images a second of a bf16 step whose figures can be believed, and which it was."""
    rows = [row for row in check.rows if row.section is Section.TRAINING and row.status is Status.MEASURED]
    steps = [row for row in rows if row.name.startswith("step, ") and ", bf16, " in row.name and not doubt(check, row)]
    return max(((float(str(row.figures["images_per_second"])), row.name) for row in steps), default=None)


def _found(
    check: GpuCheck, section: Section, figure: str, *, containing: str, without: str | None = None
) -> list[tuple[float, str]]:
    def wanted(row: Row) -> bool:
        return containing in row.name and not (without is not None and without in row.name)

    return [
        (float(value), row.name)
        for row in check.rows
        if row.section is section and row.status is Status.MEASURED and wanted(row)
        if isinstance(value := row.figures.get(figure), int | float)
    ]


def _most(check: GpuCheck, section: Section, figure: str, **names: Any) -> tuple[float, str] | None:
    return max(_found(check, section, figure, **names), default=None)


def never_measured(checks: list[GpuCheck]) -> dict[Section, dict[str, str]]:
    """What no check has ever measured on a GPU, and why the newest one did not."""
    from benchmarks.gpu_check.plan import all_checks

    measured = {(row.section, row.name) for check in checks for row in check.rows if row.status is Status.MEASURED}
    reasons = {(row.section, row.name): row.reason for check in reversed(checks) for row in check.rows if row.reason}
    left: dict[Section, dict[str, str]] = {}
    for each in all_checks():
        if (each.section, each.name) not in measured and each.name not in NOT_OF_A_GPU:
            left.setdefault(each.section, {})[each.name] = (
                reasons.get((each.section, each.name)) or "no GPU was at hand"
            )
    return left


NOT_OF_A_GPU: Final = (
    engines.bundle_name("openvino"),
    *(engines.engine_name("openvino", precision) for precision in ("fp32", "fp16", "int8")),
)
"""Rows that only a rehearsal on a CPU has."""
