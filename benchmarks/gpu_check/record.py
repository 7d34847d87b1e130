"""What a check of a GPU leaves: one JSON file, from which ``docs/gpu.md`` is rendered."""

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, JsonValue, ValidationError, model_validator

from core.atomic import write_text
from core.configuration import Settings
from core.errors import InvalidInputError
from core.machine import Machine

SCHEMA_VERSION: Final = 1
PATTERN: Final = "*-gpu-*.json"
"""Names of these files among other results."""


class Section(StrEnum):
    """The parts of a check, in the order of the report."""

    CEILINGS = "ceilings"
    TRAINING = "training"
    ENGINES = "engines"
    PIPELINE = "pipeline"


class Status(StrEnum):
    """What became of a row."""

    MEASURED = "measured"
    FAILED = "failed"
    """It was tried, and ended with an error or beyond its tolerance."""
    NOT_RUN = "not run"


class Facts(Settings):
    """What a device is, and what is installed beside it: what decides which rows can be measured."""

    device: str
    """``cuda``, or ``cpu`` for a rehearsal."""
    gpu: str | None = None
    capability: str | None = None
    """Of CUDA, such as 9.0."""
    memory_gib: float | None = None
    """Of the GPU."""
    driver_cuda: str | None = None
    """The CUDA version that PyTorch was built for."""
    bf16: bool = True
    """Whether it multiplies bf16 in hardware."""
    providers: tuple[str, ...] = ()
    """Of ONNX Runtime."""
    onnxruntime_broken: str | None = None
    """What importing ONNX Runtime raised, where it is installed and cannot be imported."""
    modules: tuple[str, ...] = ()
    """Those of the modules that checks need which are installed."""
    why_not: str | None = None
    """Why there is no CUDA device, if there is none."""


class Row(Settings):
    """One thing that was to be measured."""

    section: Section
    name: str
    status: Status
    reason: str | None = None
    """Why it failed or was not run."""
    seconds: Annotated[float, Field(ge=0)] = 0.0
    """Wall time that it took."""
    figures: dict[str, JsonValue] = Field(default_factory=dict)
    """By names that say their unit: ``p50_ms``, ``images_per_second``."""

    @model_validator(mode="after")
    def _either_figures_or_a_reason(self) -> "Row":
        if self.status is Status.MEASURED and (not self.figures or self.reason):
            raise ValueError(f"{self.name} was measured, and needs figures and no reason")
        if self.status is not Status.MEASURED and not self.reason:
            raise ValueError(f"{self.name} was not measured, and needs a reason")
        if self.status is Status.NOT_RUN and self.figures:
            raise ValueError(f"{self.name} was not run, and cannot have figures")
        return self


class GpuCheck(Settings):
    """Everything that one start measured."""

    schema_version: int = SCHEMA_VERSION
    benchmark: str = "gpu_check"
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    machine: Machine
    libraries: dict[str, str]
    facts: Facts
    width: Annotated[int, Field(ge=1)]
    """Of the networks."""
    size: Annotated[int, Field(ge=16)]
    """Height and width of the pictures."""
    budget_seconds: float
    seconds: float
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_row_a_name(self) -> "GpuCheck":
        names = [(row.section, row.name) for row in self.rows]
        if len(names) != len(set(names)):
            raise ValueError("two rows have the same name")
        return self

    def figures(self, section: Section, name: str) -> dict[str, Any]:
        """What was measured in this row; nothing if it was not."""
        for row in self.rows:
            if (row.section, row.name) == (section, name) and row.status is Status.MEASURED:
                return row.figures
        return {}

    @property
    def file_name(self) -> str:
        """``2026-11-25-gpu-nvidia-h100-80gb-hbm3-1a2b3c.json``."""
        title = re.sub(r"[^a-z0-9]+", "-", (self.facts.gpu or self.facts.device).lower()).strip("-")
        return f"{self.date}-gpu-{title}-{self.machine.fingerprint[:6]}.json"


def write_check(path: Path, check: GpuCheck) -> None:
    """Write ``check`` to ``path``, whole or not at all."""
    write_text(path, check.model_dump_json(indent=1) + "\n")


def read_check(path: Path) -> GpuCheck:
    """The check in the file at ``path``.

    Raises:
        InvalidInputError: if it is none, or of another version.
    """
    try:
        text = path.read_text(encoding="utf-8")
        version = json.loads(text).get("schema_version")
        if version != SCHEMA_VERSION:
            raise InvalidInputError(
                f"{path} has schema version {version}, this tool reads {SCHEMA_VERSION}: move it away"
            )
        return GpuCheck.model_validate_json(text)
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else type(error).__name__
        raise InvalidInputError(f"{path} holds no check of a GPU ({reason}): move it away") from error


def read_checks(folder: Path) -> list[GpuCheck]:
    """All checks in ``folder``, the newest first."""
    return sorted((read_check(path) for path in folder.glob(PATTERN)), key=lambda check: check.date, reverse=True)
