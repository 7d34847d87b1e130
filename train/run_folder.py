"""The folder a run leaves behind: configuration, weights, samples and figures."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from core.atomic import make_folder, point_latest, write_text
from core.checkpoint import save_generator, save_weights
from core.configuration import GENERATOR_FILE
from core.errors import InvalidInputError
from core.frames import Frame, write_image
from core.machine import library_versions, this_machine
from train.evaluation import Quality
from train.preparation import LATEST, numbered
from train.settings import TrainingConfig
from train.trainer import Trainer

DISCRIMINATOR_FILE: Final = "discriminator.safetensors"
CONFIG_FILE: Final = "config.json"
METRICS_FILE: Final = "metrics.json"


class RunFolder:
    """A run's folder while it is trained; ``open_run`` makes one."""

    def __init__(self, path: Path, config: TrainingConfig) -> None:
        self.path = path
        self.config = config
        self.has_checkpoint = False

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.path.resolve().name

    def write_config(self) -> None:
        """Write what this run was told, what was made of it, and what it runs on."""
        parts = {
            "format_version": 1,
            "name": self.name,
            "training": self.config.model_dump(mode="json"),
            "generator": self.config.generator_config().model_dump(mode="json"),
            "discriminator": self.config.discriminator_config().model_dump(mode="json"),
            "data": self.config.data_config().model_dump(mode="json"),
            "libraries": library_versions(),
            "machine": this_machine().model_dump(mode="json"),
        }
        write_text(self.path / CONFIG_FILE, json.dumps(parts, indent=2) + "\n")

    def save_networks(self, trainer: Trainer) -> None:
        """Replace the checkpoint by the networks as they are; the first one makes this run the latest.

        Raises:
            InvalidInputError: if it cannot be written; the checkpoint before stays.
        """
        info = self.config.checkpoint_info(name=self.name, step=trainer.steps_done)
        header = {"pix2pix_edge_discriminator": trainer.discriminator.config.model_dump_json()}
        save_weights(self.path / DISCRIMINATOR_FILE, trainer.discriminator, header)
        save_generator(self.path / GENERATOR_FILE, trainer.generator, info)
        if not self.has_checkpoint:
            self.has_checkpoint = True
            point_latest(self.path, LATEST)

    def save_sample(self, sheet: Frame, step: int) -> None:
        """Keep the sample sheet of ``step``."""
        write_image(self.path / "samples" / f"step_{step:06d}.png", sheet)

    def write_metrics(self, quality: Quality, *, step: int, seconds: float, waited: float) -> None:
        """Write what the run has come to. ``seconds`` of training, of which ``waited`` for data."""
        parts = {
            "format_version": 1,
            "step": step,
            "validation": quality.model_dump(),
            "seconds": round(seconds, 3),
            "steps_per_second": round(step / seconds, 4),
            "data_wait_fraction": round(waited / seconds, 5),
            "fingerprint": this_machine().fingerprint,
        }
        write_text(self.path / METRICS_FILE, json.dumps(parts, indent=2) + "\n")


@contextmanager
def open_run(path: Path, config: TrainingConfig, *, named: bool = True) -> Iterator[RunFolder]:
    """Make the folder of a run, and take it away again if the block fails before there is a checkpoint in it.

    A folder that the user has not ``named`` is this run's alone: another one that was made meanwhile is left be, and
    the next number taken.
    """
    existed = path.exists()
    path = make_folder(path) if named else _make_new_folder(path)
    try:
        (path / CONFIG_FILE).touch(exist_ok=False)
    except FileExistsError as error:
        raise InvalidInputError(f"{path} was taken by another run meanwhile: choose another with --out") from error
    run = RunFolder(path, config)
    try:
        run.write_config()
        yield run
    except BaseException:
        if not run.has_checkpoint:
            shutil.rmtree(path, ignore_errors=True)
            if existed and named:
                make_folder(path)
        raise


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
