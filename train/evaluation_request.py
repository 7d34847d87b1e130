"""An evaluation as it is asked for, checked before PyTorch is loaded."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from core.atomic import check_creatable
from core.configuration import GENERATOR_FILE, DataConfig, Direction, Layout, Settings, build_settings
from core.errors import CheckpointError, InvalidInputError
from core.pairs import Split

METRICS_FILE: Final = "metrics.csv"
SUMMARY_FILE: Final = "summary.json"
SHEET_FILE: Final = "contact_sheet.png"
IMAGES_FOLDER: Final = "images"
WRITTEN: Final = frozenset({METRICS_FILE, SUMMARY_FILE, SHEET_FILE, IMAGES_FOLDER})
"""All that an evaluation's folder holds."""


class EvaluationRequest(Settings):
    """What to measure, and where to leave the figures; fields are named as the options are."""

    evaluate: Path
    """A run's folder, or a generator's checkpoint."""
    data: str | None = None
    """The pairs' source, as ``DataConfig`` has it: that of the training, unless given."""
    direction: Direction | None = None
    layout: Layout | None = None
    split: Split = Split.VAL
    paper_mode: bool = False
    """Test as the paper does: each picture's own statistics whatever the batch size was, and dropout on."""
    out: Path | None = None
    limit: Annotated[int | None, Field(ge=1)] = None
    """Measure so many pairs at most, evenly spread over the split."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int | None, Field(ge=1, le=1024)] = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of the dropout in paper mode; every picture has its own noise, whatever else is measured."""
    save_images: bool = True
    """Leave every input, translation and target as a PNG."""
    perceptual: bool = True
    """Measure LPIPS and FID, for which weights are downloaded once (some 320 MB)."""

    @property
    def checkpoint(self) -> Path:
        """The generator's file."""
        return self.evaluate / GENERATOR_FILE if self.evaluate.is_dir() else self.evaluate

    @property
    def folder(self) -> Path:
        """Where the figures go: ``evaluation/<split>`` in the run's folder, unless ``out`` is given."""
        if self.out is not None:
            return self.out
        checkpoint = self.checkpoint
        place = "evaluation" if checkpoint.name == GENERATOR_FILE else f"{checkpoint.stem}-evaluation"
        return checkpoint.parent / place / (f"{self.split}-paper" if self.paper_mode else str(self.split))

    def data_config(self, trained_on: DataConfig) -> DataConfig:
        """Where the pairs come from, for a generator that was ``trained_on`` this."""
        given = {"source": self.data, "direction": self.direction, "layout": self.layout}
        changed: dict[str, object] = {name: value for name, value in given.items() if value is not None}
        if self.data not in (None, trained_on.source):
            changed["skipped"] = ()  # names of other data's pairs
        return build_settings(DataConfig, **(trained_on.model_dump() | changed))


def check_request(request: EvaluationRequest) -> None:
    """Refuse an evaluation that has nothing to measure, or would write over what is not its own.

    Raises:
        CheckpointError: if there is no such run or checkpoint.
        InvalidInputError: if the folder for the figures holds anything else than an evaluation's.
    """
    path = request.evaluate
    if not path.exists():
        raise CheckpointError(f"there is no run or checkpoint {path}: give --evaluate a run's folder or a checkpoint")
    if not request.checkpoint.is_file():
        raise CheckpointError(f"{path} holds no {GENERATOR_FILE}: give --evaluate a run's folder or a checkpoint")
    folder = request.folder
    if not folder.exists():
        check_creatable(folder)
        return
    if not folder.is_dir():
        raise InvalidInputError(f"{folder} exists and is not a folder: choose another with --out")
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in WRITTEN)
    if foreign:
        raise InvalidInputError(f"{folder} holds {foreign[0]}, which no evaluation wrote: choose another with --out")
