"""What travels beside every exported model: ``manifest.json``.

Its keys are an interface: scripts read them, so they change with ``schema_version`` only.
"""

import hashlib
import json
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated, Final

from pydantic import Field, ValidationError, field_validator, model_validator

from core.atomic import write_text
from core.conditions import Condition
from core.configuration import Direction, GeneratorConfig, Settings, Task
from core.encoding import Encoding
from core.errors import BundleError
from core.export_record import (
    CalibrationRecord,
    LeftOut,
    Normalization,
    NormalizationTrial,
    Quantization,
)
from core.fidelity import Fidelity, Gate, TaskQuality
from core.formats import TARGETS
from core.frames import Size
from core.machine import Machine
from core.precision import Precision

MANIFEST_NAME: Final = "manifest.json"
SCHEMA_VERSION: Final = 2
READABLE_VERSIONS: Final = (1, 2)
"""Version 1 lacks what later fields hold; they have defaults."""
REPORT_NAME: Final = "report.html"
"""The page beside the manifest that people read; nothing depends on it."""


class Status(StrEnum):
    """What became of an artifact."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "built, not run"


class ArtifactFile(Settings):
    """One file of an artifact."""

    name: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=1)]

    @field_validator("name")
    @classmethod
    def _inside_the_folder(cls, name: str) -> str:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or len(path.parts) != 1:
            raise ValueError(f"{name!r} is not a plain file name inside the bundle")
        return name


class Latency(Settings):
    """Milliseconds from a frame in memory to its translation in memory; a percentile with too few runs is absent."""

    p50: Annotated[float, Field(gt=0)]
    p90: Annotated[float, Field(gt=0)] | None
    p99: Annotated[float, Field(gt=0)] | None
    runs: Annotated[int, Field(ge=1)]
    threads: Annotated[int, Field(ge=1)]
    device: str
    """The device that the engine reported."""


class Artifact(Settings):
    """One exported model."""

    target: str
    precision: Precision
    files: Annotated[tuple[ArtifactFile, ...], Field(min_length=1)]
    """The main file first."""
    height: Annotated[int, Field(ge=4, le=8192)]
    width: Annotated[int, Field(ge=4, le=8192)]
    batch: Annotated[int, Field(ge=1, le=1024)] = 1
    """Frames at a time; a latency is that of all of them."""
    dynamic: bool = False
    """Whether it takes other sizes as well; ``height`` and ``width`` are what it was measured with."""
    fidelity: Fidelity | None
    quality: TaskQuality | None = None
    """Against the true pictures, where the held-out frames have any."""
    latency_ms: Latency | None
    status: Status
    reason: str | None
    """Why it failed or was not run."""
    build_seconds: float
    quantization: Quantization | None = None
    executes: dict[str, Annotated[float, Field(ge=0, le=1)]] | None = None
    """Share of the operations of its layers that the engine here executes in each precision; None if not known."""

    @field_validator("target")
    @classmethod
    def _known(cls, target: str) -> str:
        if target not in TARGETS:
            raise ValueError(f"target {target!r} is not one of {', '.join(TARGETS)}")
        return target

    @model_validator(mode="after")
    def _named_by_the_table(self) -> "Artifact":
        target = TARGETS[self.target]
        names = tuple(file.name for file in self.files)
        possible = [
            (target.file_name(self.precision, size), *target.companion_names(self.precision, size))
            for size in (None, self.size)
        ]
        if names not in possible:
            expected = ", ".join(possible[0])
            raise ValueError(f"the files of {self.target} {self.precision} are {expected}, and no others")
        return self

    @property
    def name(self) -> str:
        """The main file's name, which names the artifact within its bundle."""
        return self.files[0].name

    @property
    def size(self) -> Size:
        """Size of the frames it takes and gives."""
        return Size(self.height, self.width)

    @property
    def primary(self) -> bool:
        """Whether its name names no size: it is of the size its bundle is for in the first place."""
        return self.name == TARGETS[self.target].file_name(self.precision)

    @property
    def total_bytes(self) -> int:
        """Bytes of all its files."""
        return sum(file.bytes for file in self.files)


class Source(Settings):
    """The checkpoint a bundle was made from."""

    name: str
    sha256: str
    step: int
    batch: Annotated[int, Field(ge=1)] = 1
    """Batch size in training."""
    origin: str | None = None
    """Another project's file, and what network it was; None for a run of this project."""


class Manifest(Settings):
    """A bundle's table of contents, and the figures measured when it was made."""

    schema_version: int = SCHEMA_VERSION
    source: Source
    generator: GeneratorConfig | None
    """None for a graph that was made elsewhere."""
    condition: Condition
    direction: Direction
    normalization: Normalization
    machine: Machine
    fingerprint: str
    """Of ``machine``."""
    libraries: dict[str, str]
    gates: dict[Precision, Gate] = Field(default_factory=dict)
    """What artifacts had to reach."""
    reference_quality: TaskQuality | None = None
    """The trained network's own against the true pictures, where the held-out frames have any."""
    normalizations: tuple[NormalizationTrial, ...] = ()
    """The ways to normalize that were measured, where there was a choice."""
    calibration: CalibrationRecord | None = None
    artifacts: Annotated[tuple[Artifact, ...], Field(min_length=1)]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader of the figures should know, a line each."""
    recommended: str | None
    """Main file of the fastest artifact of the first size that passed the gate on ``machine``; None if none did."""

    @property
    def input_encoding(self) -> Encoding:
        """What the channels are that the network sees; of a graph made elsewhere, colours as far as is known."""
        return Encoding.RGB if self.generator is None else self.generator.input_encoding

    @property
    def task(self) -> Task:
        """What the network was made for, as far as is known."""
        return Task.TRANSLATE if self.generator is None else self.generator.task

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        names = [file.name for artifact in self.artifacts for file in artifact.files]
        if len(names) != len(set(names)):
            raise ValueError("two artifacts name the same file")
        if self.generator is not None:
            self.generator.check_frames()
            step = 2**self.generator.levels
            if any(artifact.height % step or artifact.width % step for artifact in self.artifacts):
                raise ValueError(f"an artifact's size is no multiple of {step}, which its generator needs")
        if self.recommended is not None and self.recommended not in {a.name for a in self.artifacts}:
            raise ValueError(f"recommended artifact {self.recommended!r} is not in the bundle")
        return self


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_file(path: Path) -> ArtifactFile:
    """The manifest's entry for the file at ``path``."""
    return ArtifactFile(name=path.name, sha256=file_sha256(path), bytes=path.stat().st_size)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest`` into ``folder``."""
    write_text(folder / MANIFEST_NAME, manifest.model_dump_json(indent=2) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the bundle in ``folder``.

    Raises:
        BundleError: if there is none, or it is damaged or of another schema version.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise BundleError(f"{folder} is not a bundle (it has no {MANIFEST_NAME}): make one with p2p-export")
    try:
        text = path.read_text(encoding="utf-8")
        version = json.loads(text).get("schema_version")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read as JSON: export the bundle again with p2p-export") from error
    if version is True or version not in READABLE_VERSIONS:
        readable = " and ".join(map(str, READABLE_VERSIONS))
        raise BundleError(f"{path} has schema version {version}, this tool reads {readable}: export it again")
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        message = first["msg"].removeprefix("Value error, ")
        raise BundleError(f"{path}: {where}: {message}; export the bundle again with p2p-export") from error


def verify_files(folder: Path, artifact: Artifact) -> None:
    """Refuse an artifact whose files are not the ones that were measured.

    Raises:
        BundleError: naming the file that is missing or differs.
    """
    for file in artifact.files:
        path = folder / file.name
        if path.is_symlink() or not path.is_file():
            what = "is a link, and a bundle holds its files itself" if path.is_symlink() else "is missing"
            raise BundleError(f"{path} {what}: export the bundle again with p2p-export")
        if path.stat().st_size != file.bytes or file_sha256(path) != file.sha256:
            raise BundleError(f"{path} is not the file its manifest describes: export the bundle again with p2p-export")
