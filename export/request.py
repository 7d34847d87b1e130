"""From what a user typed to what is to be done, everything checked before any work begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from core.atomic import check_link
from core.conditions import Condition
from core.configuration import BUILT_IN_DATA, DataConfig, Direction, Task
from core.data_layout import find_data
from core.errors import InvalidInputError
from core.export_record import Normalization, RangeMethod
from core.fidelity import Gate, parse_gates
from core.formats import parse_targets
from core.frames import Size, parse_size
from core.machine import usable_cores
from core.opencv import quiet_opencv, require_opencv
from core.precision import Precision
from export.engine_plan import check_capabilities, parse_capabilities
from export.foreign_input import ValueRange, is_onnx
from export.plan import Planned, check_replaceable, find_checkpoint, plan_artifacts
from export.requirements import require_export_libraries
from runtime.bundle import EXPORTS

if TYPE_CHECKING:
    from export.exporter import ExportRequest
    from export.original import Original

AUTO = "auto"
ChoiceT = TypeVar("ChoiceT", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of ``p2p-export`` as they were typed; its help says what each means."""

    run: Path | None = None
    fp16: bool = False
    int8: bool = False
    target: str | None = None
    out: Path | None = None
    size: Sequence[str] = ()
    batch: int = 1
    dynamic: bool = False
    normalization: str = AUTO
    data: Path | None = None
    direction: str | None = None
    condition: str | None = None
    value_range: str | None = None
    calibrate: str | None = None
    frames: int = 48
    seed: int = 0
    method: str | None = None
    sensitivity: bool | None = None
    accuracy_control: bool = False
    cpu_has_vnni: bool | None = None
    compute_capability: str | None = None
    gate: Sequence[str] = ()
    runs: int = 102


def build_request(asked: Asked) -> "ExportRequest":
    """What ``asked`` means.

    Raises:
        InvalidInputError, CheckpointError: for options, files or data that cannot be used.
        MissingDependencyError, UnavailableError: for a named target that cannot be made here.
    """
    file = find_checkpoint(asked.run)
    check_link(EXPORTS / "latest")
    if asked.out is not None:
        check_replaceable(asked.out)
    wanted = {Precision.FP32: True, Precision.FP16: asked.fp16, Precision.INT8: asked.int8}
    precisions = [precision for precision, chosen in wanted.items() if chosen]
    sizes = _sizes(asked)
    gates = parse_gates(asked.gate)
    normalization = _choice(
        Normalization, asked.normalization, "--normalization", others=[AUTO], but=[Normalization.NONE]
    )
    method = _choice(RangeMethod, asked.method, "--method", others=[AUTO])
    capabilities = parse_capabilities(asked.compute_capability)
    _check_int8_options(asked)
    require_export_libraries()
    require_opencv()
    quiet_opencv(threads=usable_cores())
    if asked.calibrate is not None:
        from calibration.frame_sources import find_source

        find_source(asked.calibrate)
    named = asked.target is not None
    planned, left_out = plan_artifacts(parse_targets(asked.target), precisions, named=named, method=method)
    _check_accuracy_control(asked, gates[Precision.INT8], planned)
    check_capabilities(capabilities, [row.target for row in planned])
    original = _open_original(file, asked, sizes)
    from export.exporter import ExportRequest
    from export.frames import FrameOptions
    from export.int8 import Int8Options

    return ExportRequest(
        original=original,
        planned=planned,
        left_out=left_out,
        named=named,
        out=asked.out,
        sizes=sizes,
        batch=asked.batch,
        dynamic=asked.dynamic,
        normalization=normalization,
        frames=FrameOptions(
            source=asked.calibrate,
            count=asked.frames,
            seed=asked.seed,
            own_data=original.origin is None or asked.data is not None,
        ),
        int8=Int8Options(
            method=method,
            sweep=asked.method == AUTO,
            sensitivity=asked.sensitivity is not False,
            accuracy_control=asked.accuracy_control,
            gate=gates[Precision.INT8],
        ),
        gates=gates,
        saturates=None if asked.cpu_has_vnni is None else not asked.cpu_has_vnni,
        capabilities=capabilities,
        runs=asked.runs,
    )


def _sizes(asked: Asked) -> list[Size]:
    sizes = [parse_size(text.strip()) for option in asked.size for text in option.split(",")]
    if len(set(sizes)) < len(sizes):
        raise InvalidInputError("--size names a size twice: give each once")
    if asked.dynamic and asked.batch > 1:
        raise InvalidInputError("--dynamic artifacts take any batch as they are: leave --batch out")
    if asked.dynamic and len(sizes) > 1:
        raise InvalidInputError("--dynamic makes one artifact for all sizes: give one --size, to measure it with")
    return sizes


def _choice(
    kind: type[ChoiceT], text: str | None, option: str, *, others: Sequence[str] = (), but: Sequence[ChoiceT] = ()
) -> ChoiceT | None:
    """The member of ``kind`` that ``text`` names, ``but`` not those; None for None or one of ``others``."""
    if text is None or text in others:
        return None
    known = [member for member in kind if member not in but]
    if text not in known:
        raise InvalidInputError(f"{option} {text[:40]!r} is not known: choose from {', '.join((*known, *others))}")
    return kind(text)


def _check_int8_options(asked: Asked) -> None:
    """Refuse options that would do nothing."""
    if asked.int8:
        return
    given = {
        "--method": asked.method is not None,
        "--sensitivity": asked.sensitivity is not None,
        "--accuracy-control": asked.accuracy_control,
        "--cpu-has-vnni": asked.cpu_has_vnni is not None,
    }
    for option, is_given in given.items():
        if is_given:
            raise InvalidInputError(f"{option} is about INT8: add --int8 or --all")


def _check_accuracy_control(asked: Asked, gate: Gate, planned: Sequence[Planned]) -> None:
    """Refuse accuracy control where nothing can follow it."""
    if not asked.accuracy_control:
        return
    if not any(row.target.name == "openvino" and row.precision is Precision.INT8 for row in planned):
        raise InvalidInputError("--accuracy-control is about OpenVINO's INT8: add --target openvino, or leave it out")
    if gate.psnr_db is None:
        raise InvalidInputError("--accuracy-control works towards a PSNR: give --gate int8:psnr=32, or leave it out")


def _open_original(file: Path, asked: Asked, sizes: Sequence[Size]) -> "Original":
    value_range = None
    if asked.value_range is not None:
        value_range = _choice(ValueRange, asked.value_range, "--range")
        if not is_onnx(file):
            raise InvalidInputError("--range is about ONNX files made elsewhere: leave it out")
    condition = _choice(Condition, asked.condition, "--condition")
    direction = _choice(Direction, asked.direction, "--direction")
    if is_onnx(file):
        from export.foreign_graph import open_foreign_graph

        data = _foreign_data(DataConfig(), asked, condition, direction)
        return open_foreign_graph(file, value_range=value_range, data=data, size=sizes[0] if sizes else None)
    from export.trained_generator import TrainedGenerator

    original = TrainedGenerator(file)
    if original.origin is not None:
        original.data = _foreign_data(original.data, asked, condition, direction)
    elif condition is not None or direction is not None:
        raise InvalidInputError(f"{file} knows its own condition and direction: leave --condition and --direction out")
    elif asked.data is not None:
        original.data = original.data.model_copy(update={"source": str(asked.data.resolve())})
    return original


def _foreign_data(
    known: DataConfig, asked: Asked, condition: Condition | None, direction: Direction | None
) -> DataConfig:
    """Where a foreign network's data is, and what live frames are made into for it."""
    changes: dict[str, object] = {}
    if condition is not None:
        changes["condition"] = condition
    if asked.data is not None and str(asked.data) != BUILT_IN_DATA:
        seen = condition or known.condition
        root, layout = find_data(asked.data.resolve(), layout=None, condition=seen, task=Task.TRANSLATE)
        changes |= {"source": str(root), "layout": layout}
    if direction is not None:
        if asked.data is None:
            raise InvalidInputError("--direction says which half of --data is the input: give --data as well")
        changes["direction"] = direction
    return known.model_copy(update=changes)
