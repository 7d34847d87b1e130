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
from core.configuration import Direction, GeneratorConfig, Settings
from core.errors import BundleError
from core.formats import TARGETS
from core.frames import Size
from core.machine import Machine
from core.precision import Precision

MANIFEST_NAME: Final = "manifest.json"
SCHEMA_VERSION: Final = 1


class Status(StrEnum):
    """What became of an artifact."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "built, not run"


class Normalization(StrEnum):
    """How the exported graph normalizes."""

    RUNNING = "running"
    """Batch norm with its running statistics, folded into the convolutions."""
    INSTANCE = "instance"
    """Statistics of the picture at hand: what batch norm in training mode does at batch size 1 (the paper's test)."""
    NONE = "none"


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


class Fidelity(Settings):
    """An artifact's output against the PyTorch generator's, on held-out frames."""

    psnr_db: float
    ssim: float
    max_abs: int
    """Largest difference in 8-bit steps."""
    mean_abs: float
    """Mean absolute difference in 8-bit steps."""
    frames: Annotated[int, Field(ge=1)]


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
    fidelity: Fidelity | None
    latency_ms: Latency | None
    status: Status
    reason: str | None
    """Why it failed or was not run."""
    build_seconds: float

    @field_validator("target")
    @classmethod
    def _known(cls, target: str) -> str:
        if target not in TARGETS:
            raise ValueError(f"target {target!r} is not one of {', '.join(TARGETS)}")
        return target

    @model_validator(mode="after")
    def _named_by_the_table(self) -> "Artifact":
        target = TARGETS[self.target]
        expected = (target.file_name(self.precision), *target.companion_names(self.precision))
        if tuple(file.name for file in self.files) != expected:
            raise ValueError(f"the files of {self.target} {self.precision} are {', '.join(expected)}, and no others")
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
    def total_bytes(self) -> int:
        """Bytes of all its files."""
        return sum(file.bytes for file in self.files)


class Source(Settings):
    """The checkpoint a bundle was made from."""

    name: str
    sha256: str
    step: int


class Manifest(Settings):
    """A bundle's table of contents, and the figures measured when it was made."""

    schema_version: int = SCHEMA_VERSION
    source: Source
    generator: GeneratorConfig
    condition: Condition
    direction: Direction
    normalization: Normalization
    machine: Machine
    fingerprint: str
    """Of ``machine``."""
    libraries: dict[str, str]
    artifacts: Annotated[tuple[Artifact, ...], Field(min_length=1)]
    recommended: str | None
    """Main file of the fastest artifact that passed the gate on ``machine``; None if none did."""

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        names = [file.name for artifact in self.artifacts for file in artifact.files]
        if len(names) != len(set(names)):
            raise ValueError("two artifacts name the same file")
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
    if version is True or version != SCHEMA_VERSION:
        raise BundleError(f"{path} has schema version {version}, this tool reads {SCHEMA_VERSION}: export it again")
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
            raise BundleError(f"{path} is missing: export the bundle again with p2p-export")
        if path.stat().st_size != file.bytes or file_sha256(path) != file.sha256:
            raise BundleError(f"{path} is not the file its manifest describes: export the bundle again with p2p-export")
