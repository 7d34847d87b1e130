"""The folder a run leaves behind: configuration, weights, state, samples and figures."""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from core.atomic import make_folder, point_latest, remove_partial, write_text
from core.checkpoint import save_generator
from core.configuration import GENERATOR_FILE, CheckpointInfo
from core.errors import InvalidInputError
from core.frames import Frame, write_image
from core.machine import this_machine
from core.networks import Generator
from train.evaluation import Quality
from train.preparation import LATEST, numbered
from train.run_record import CONFIG_FILE, LOCK_FILE, STATE_FILE, RunRecord
from train.settings import TrainingConfig
from train.training_state import Progress, write_state

METRICS_FILE: Final = "metrics.json"
PLOT_FILE: Final = "losses.png"


class RunFolder:
    """A run's folder while it is trained; ``open_run`` makes one, ``reopen_run`` goes on with one."""

    def __init__(self, path: Path, config: TrainingConfig) -> None:
        self.path = path
        self.config = config

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.path.resolve().name

    @property
    def state(self) -> Path:
        """Where the state to resume from lies."""
        return self.path / STATE_FILE

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is something to resume from."""
        return self.state.is_file()

    def save(self, generator: Generator, state: dict[str, Any]) -> None:
        """Replace the checkpoint: the ``state`` to resume from, and the ``generator`` to deploy.

        Raises:
            InvalidInputError: if it cannot be written; the checkpoint before stays.
        """
        info = self.config.checkpoint_info(name=self.name, step=state["trainer"]["step"])
        write_state(self.state, state)
        save_generator(self.path / GENERATOR_FILE, generator, info)
        point_latest(self.path, LATEST)

    def save_sample(self, sheet: Frame, step: int) -> None:
        """Keep the sample sheet of ``step``."""
        write_image(self.path / "samples" / f"step_{step:06d}.png", sheet)

    def write_metrics(self, quality: Quality, progress: Progress) -> None:
        """Write what the run has come to."""
        parts = {
            "format_version": 1,
            "step": progress.step,
            "validation": quality.model_dump(),
            "seconds": round(progress.seconds, 3),
            "steps_per_second": round(progress.step / progress.seconds, 4),
            "data_wait_fraction": round(progress.waited / progress.seconds, 5),
            "fingerprint": this_machine().fingerprint,
        }
        write_text(self.path / METRICS_FILE, json.dumps(parts, indent=2) + "\n")


@contextmanager
def open_run(path: Path, record: RunRecord, *, named: bool = True) -> Iterator[RunFolder]:
    """Make the folder of a run, and take it away again if the block fails before there is a checkpoint in it.

    A folder that the user has not ``named`` is this run's alone: another one that was made meanwhile is left be, and
    the next number taken.
    """
    existed = path.exists()
    path = make_folder(path) if named else _make_new_folder(path)
    run = RunFolder(path, record.training)
    with _locked(path):
        if (path / CONFIG_FILE).exists():
            raise InvalidInputError(f"{path} was taken by another run meanwhile: choose another with --out")
        try:
            record.write(path)
            yield run
        except BaseException:
            if not run.has_checkpoint:
                shutil.rmtree(path, ignore_errors=True)
                if existed and named:
                    make_folder(path)
            raise


@contextmanager
def reopen_run(path: Path, config: TrainingConfig) -> Iterator[RunFolder]:
    """Go on in the folder of an unfinished run; whatever happens, nothing in it is taken away.

    Raises:
        InvalidInputError: if another process is training it.
    """
    with _locked(path):
        remove_partial(path)
        yield RunFolder(path, config)


def write_imported(path: Path, generator: Generator, info: CheckpointInfo) -> None:
    """Leave a generator from elsewhere in ``path`` as if it had been trained here, ready for export."""
    existed = path.exists()
    make_folder(path)
    try:
        save_generator(path / GENERATOR_FILE, generator, info)
        point_latest(path, LATEST)
    except BaseException:
        if not existed:
            shutil.rmtree(path, ignore_errors=True)
        raise


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        lock = (path / LOCK_FILE).open("w")
    except OSError as error:
        raise InvalidInputError(f"cannot write to {path}: {error.strerror}; choose another folder") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InvalidInputError(f"{path} is being trained by another process: wait for it, or end it") from error
        yield


def _make_new_folder(path: Path) -> Path:
    make_folder(path.parent)
    for folder in numbered(path):
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise InvalidInputError(f"cannot create the folder {folder}: {error.strerror}") from error
        return folder
    raise AssertionError("numbers do not end")
