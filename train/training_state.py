"""What a run goes on from after it was ended by whatever ended it: one file, whole or absent."""

import pickle
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from core.atomic import atomic_file
from core.errors import CheckpointError, InvalidInputError
from train.parallel import gathered
from train.trainer import Trainer

FORMAT_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run had come when its state was saved."""

    step: int
    seconds: float
    """Spent in training so far."""
    waited: float
    """Of these, waiting for data."""


def collect_state(trainer: Trainer, progress: Progress) -> dict[str, Any]:
    """The whole state of a run, random numbers of all processes included; every process has to call it."""
    return {
        "format_version": FORMAT_VERSION,
        "seconds": progress.seconds,
        "waited": progress.waited,
        "random": gathered(_random_state(trainer.device), trainer.world),
        "trainer": trainer.state(),
    }


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Replace the state at ``path``.

    Raises:
        InvalidInputError: if it cannot be written; the one before stays.
    """
    with atomic_file(path) as partial:
        try:
            torch.save(state, partial)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # how PyTorch reports a full disk
            raise InvalidInputError(f"cannot write {path}: is the disk full? Free some space there") from error


def restore_state(path: Path, trainer: Trainer) -> Progress:
    """Let ``trainer`` and the random numbers go on from the state at ``path``.

    Raises:
        CheckpointError: if it is damaged, or of another network.
    """
    try:
        state = _load(path)
        progress = Progress(state["trainer"]["step"], float(state["seconds"]), float(state["waited"]))
        steps = trainer.config.steps
        if type(progress.step) is not int or not 0 <= progress.step <= steps:
            raise ValueError(f"it is at step {progress.step!r} of {steps}")
        trainer.restore(state["trainer"])
        _restore_random(state["random"], trainer)
    except torch.OutOfMemoryError:
        raise
    except pickle.UnpicklingError as error:
        raise _unusable(path, "it holds more than tensors, and opening that could run code") from error
    except _DAMAGE as error:
        raise _unusable(path, str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    return progress


_DAMAGE = (OSError, EOFError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, zipfile.BadZipFile)
"""What reading nonsense ends in."""


def _load(path: Path) -> dict[str, Any]:
    """What ``write_state`` wrote; ValueError if a byte of it has changed since."""
    with zipfile.ZipFile(path) as archive:  # PyTorch writes checksums, and does not look at them
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged} is wrong")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state = torch.load(path, map_location="cpu", weights_only=True)
    if state["format_version"] != FORMAT_VERSION:
        raise ValueError(f"it has format version {state['format_version']}, not {FORMAT_VERSION}")
    return dict(state)


def _unusable(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is damaged or of another run ({reason}): start again, from the generator that is left with --init"
    )


def _random_state(device: torch.device) -> dict[str, torch.Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _restore_random(states: list[dict[str, torch.Tensor]], trainer: Trainer) -> None:
    """Each process goes on with its own numbers; one that is new, or on another device, with fresh ones."""
    rank = trainer.world.rank
    if rank < len(states) and (trainer.device.type == "cpu" or "cuda" in states[rank]):
        torch.set_rng_state(states[rank]["cpu"])
        if trainer.device.type == "cuda":
            torch.cuda.set_rng_state(states[rank]["cuda"], trainer.device)
    else:
        torch.manual_seed(trainer.world.own_seed(trainer.config.seed) + trainer.steps_done)
