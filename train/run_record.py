"""What a run was told and what was made of it: ``config.json``, from which it can be resumed and repeated."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pydantic import ValidationError

from core.atomic import write_text
from core.errors import InvalidInputError
from core.machine import library_versions, this_machine
from core.pairs import PairSource
from train.settings import TrainingConfig

CONFIG_FILE: Final = "config.json"
LOCK_FILE: Final = ".lock"
"""Held by the process that trains the run; the operating system lets go of it however that process ends."""
STATE_FILE: Final = "training_state.pt"
"""What ``--resume`` goes on from (``train.training_state``)."""
FORMAT_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run's configuration, and the data it was found with."""

    training: TrainingConfig
    pairs: int
    """Training pairs."""
    digest: str
    """Of their names: other data would mean another order, and another run."""

    @classmethod
    def of(cls, training: TrainingConfig, pairs: PairSource) -> Self:
        """The record of a run on ``pairs``."""
        return cls(training=training, pairs=len(pairs), digest=names_digest(pairs))

    def write(self, folder: Path) -> None:
        """Write it to ``config.json`` in ``folder``, with what the run is made of and runs on, for people to read."""
        parts = {
            "format_version": FORMAT_VERSION,
            "name": folder.resolve().name,
            "training": self.training.model_dump(mode="json"),
            "generator": self.training.generator_config().model_dump(mode="json"),
            "discriminator": self.training.discriminator_config().model_dump(mode="json"),
            "data": self.training.data_config().model_dump(mode="json"),
            "pairs": {"training": self.pairs, "digest": self.digest},
            "libraries": library_versions(),
            "machine": this_machine().model_dump(mode="json"),
        }
        write_text(folder / CONFIG_FILE, json.dumps(parts, indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The record of the run in ``folder``.

        Raises:
            InvalidInputError: if there is none, or it is damaged.
        """
        path = folder / CONFIG_FILE
        if not path.is_file():
            raise InvalidInputError(f"{folder} is not a run (it has no {CONFIG_FILE}): train one with p2p-train")
        try:
            parts = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                training=TrainingConfig.model_validate(parts["training"]),
                pairs=int(parts["pairs"]["training"]),
                digest=str(parts["pairs"]["digest"]),
            )
        except (OSError, ValueError, TypeError, KeyError, ValidationError) as error:
            raise InvalidInputError(f"{path} is damaged or of another version of this tool: start a new run") from error

    def check_data(self, pairs: PairSource) -> None:
        """Refuse to go on with data that is no longer what it was.

        Raises:
            InvalidInputError: saying what differs.
        """
        if len(pairs) != self.pairs:
            difference = f"it has {len(pairs)} training pairs now, and had {self.pairs}"
        elif names_digest(pairs) != self.digest:
            difference = "its files have other names"
        else:
            return
        raise InvalidInputError(
            f"{self.training.data} has changed since the run began ({difference}), so the run cannot go on as it "
            "was: put the data back, or start a new run with --init"
        )


def names_digest(pairs: PairSource) -> str:
    """SHA-256 of the names of ``pairs`` in their order."""
    digest = hashlib.sha256()
    for index in range(len(pairs)):
        digest.update(pairs.name(index).encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()
