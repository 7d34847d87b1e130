"""What a training run can be told, and how what was left open is decided."""

import math
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from core.conditions import Condition
from core.configuration import (
    BUILT_IN_DATA,
    LAMBDA_L1,
    STRIDED_LAYERS,
    CheckpointInfo,
    DataConfig,
    Decoder,
    Direction,
    DiscriminatorConfig,
    GanObjective,
    GeneratorConfig,
    Norm,
    Padding,
    Settings,
    build_settings,
)
from core.errors import InvalidInputError
from core.frames import Size, check_multiple

DEFAULT_WIDTH: Final = {"cuda": 64, "cpu": 32}
DEFAULT_STEPS: Final = {"cuda": 20_000, "cpu": 2_000}
DEFAULT_EPOCHS: Final = 200
"""Of a folder on a GPU, as in the paper."""
MAX_AUTOMATIC_LEVELS: Final = 8
MIN_AUTOMATIC_LEVELS: Final = 4
"""With fewer halvings the bottleneck still sees a small part of the picture only: that is for the user to ask for."""
SAMPLES_PER_RUN: Final = 10


def _known_field(pixels: int) -> int:
    if pixels not in STRIDED_LAYERS:
        raise ValueError(f"choose from {', '.join(map(str, STRIDED_LAYERS))}")
    return pixels


class TrainingOptions(Settings):
    """A training run as it is asked for; None leaves the choice to ``resolve``. Fields are named as the options are."""

    data: str = BUILT_IN_DATA
    """A folder (absolute), or ``builtin:facades``."""
    direction: Direction = Direction.A_TO_B
    """Which half is the input."""
    condition: Condition = Condition.IDENTITY
    """What is made of a *live* frame before the generator sees it; with side-by-side data, A is that already.

    Of the built-in set, it is also what the generator is trained on: the condition of the picture instead of the label
    map. The picture is the target then, so ``BtoA`` is refused."""
    size: Size = Size(256, 256)
    """Height and width the generator is trained at, in pixels."""
    width: Annotated[int | None, Field(ge=1, le=512)] = None
    """Channels of the generator's first layer: 64 on CUDA, 32 on a CPU."""
    levels: Annotated[int | None, Field(ge=2, le=12)] = None
    """Halvings of the resolution: as many as the size allows, up to 8."""
    norm: Norm = Norm.BATCH
    """Normalization layers of both networks."""
    padding: Padding = Padding.ZEROS
    """How the generator's convolutions are padded."""
    decoder: Decoder = Decoder.TRANSPOSED
    """How the generator's decoder doubles the resolution."""
    dropout: bool = True
    """Dropout in the three deepest decoder layers."""
    gan: GanObjective = GanObjective.BCE
    """The adversarial objective: binary cross-entropy (the paper's) or least squares."""
    l1: Annotated[float, Field(ge=0, allow_inf_nan=False)] = LAMBDA_L1
    """Weight of the L1 distance in the generator's objective."""
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2e-4
    """Adam's rate in the first half of the steps; it then falls linearly to zero."""
    receptive_field: Annotated[int, AfterValidator(_known_field)] = 70
    """Pixels of the picture that one of the discriminator's scores sees."""
    d_width: Annotated[int | None, Field(ge=1, le=512)] = None
    """Channels of the discriminator's first layer: those of the generator."""
    batch: Annotated[int, Field(ge=1, le=1024)] = 1
    """Pairs a step."""
    steps: Annotated[int | None, Field(ge=1, le=10**9)] = None
    """Steps of both networks."""
    epochs: Annotated[int | None, Field(ge=1, le=10**6)] = None
    """Passes over the data, instead of ``steps``."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of the weights, the order of the data and its augmentation, and dropout; the data itself is always the same."""
    sample_every: Annotated[int | None, Field(ge=1)] = None
    """Steps between sample sheets, each with a checkpoint: a tenth of all."""
    threads: Annotated[int | None, Field(ge=1, le=1024)] = None
    """CPU threads of the networks: all cores this process may use."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give --steps or --epochs, not both")
        return self

    @model_validator(mode="after")
    def _picture_as_target(self) -> Self:
        conditioned = self.data == BUILT_IN_DATA and self.condition is not Condition.IDENTITY
        if conditioned and self.direction is Direction.B_TO_A:
            raise ValueError(
                f"--direction BtoA and --condition {self.condition} exclude each other with the built-in data, "
                "where the condition is made of the picture: leave out one of them"
            )
        return self

    def data_config(self) -> DataConfig:
        """Where the pairs come from, as the checkpoint records it.

        Raises:
            InvalidInputError: for a size outside of what data can have.
        """
        return build_settings(
            DataConfig,
            source=self.data,
            direction=self.direction,
            condition=self.condition,
            height=self.size.height,
            width=self.size.width,
        )

    def choose_levels(self) -> int:
        """The generator's levels: those asked for, or as many as the size allows, up to 8.

        Raises:
            InvalidInputError: if the size does not divide, or is too small for the discriminator.
        """
        levels = self.levels
        if levels is None:
            levels = min(MAX_AUTOMATIC_LEVELS, _halvings(self.size))
            if levels < MIN_AUTOMATIC_LEVELS:
                check_multiple(self.size, MIN_AUTOMATIC_LEVELS)
        check_multiple(self.size, levels)
        # Two convolutions of stride 1 follow the strided ones, each one pixel smaller than its input.
        smallest = 1 if self.receptive_field == 1 else 3 * 2 ** STRIDED_LAYERS[self.receptive_field]
        if min(self.size) < smallest:
            raise InvalidInputError(
                f"size {self.size} is too small for a discriminator with a receptive field of {self.receptive_field} "
                f"pixels, which needs {smallest}: use a larger --size or a smaller --receptive-field"
            )
        return levels


class TrainingConfig(TrainingOptions):
    """A training run with nothing left open: what ``config.json`` holds."""

    width: int
    levels: int
    d_width: int
    steps: int
    device: Literal["cpu", "cuda"]
    sample_every: int
    threads: int

    def generator_config(self) -> GeneratorConfig:
        """The generator to train."""
        return GeneratorConfig(
            width=self.width,
            levels=self.levels,
            norm=self.norm,
            padding=self.padding,
            decoder=self.decoder,
            dropout=self.dropout,
        )

    def discriminator_config(self) -> DiscriminatorConfig:
        """The discriminator to train against."""
        return DiscriminatorConfig(width=self.d_width, receptive_field=self.receptive_field, norm=self.norm)

    def checkpoint_info(self, *, name: str, step: int) -> CheckpointInfo:
        """What a checkpoint of this run, made after ``step`` steps, says of itself."""
        return CheckpointInfo(
            generator=self.generator_config(), data=self.data_config(), step=step, batch=self.batch, name=name
        )


def resolve(options: TrainingOptions, *, device: Literal["cpu", "cuda"], pairs: int, cores: int) -> TrainingConfig:
    """Decide what ``options`` leaves open, for ``pairs`` training pairs, a device, and ``cores`` usable CPU cores.

    Raises:
        InvalidInputError: as ``TrainingOptions.choose_levels`` does.
    """
    width = options.width or DEFAULT_WIDTH[device]
    epochs = options.epochs
    if epochs is None and device == "cuda" and options.data != BUILT_IN_DATA:
        epochs = DEFAULT_EPOCHS
    steps = options.steps or (math.ceil(epochs * pairs / options.batch) if epochs else DEFAULT_STEPS[device])
    decided = {
        "width": width,
        "levels": options.choose_levels(),
        "d_width": options.d_width or width,
        "steps": steps,
        "epochs": None,
        "device": device,
        "sample_every": options.sample_every or max(1, round(steps / SAMPLES_PER_RUN)),
        "threads": options.threads or cores,
    }
    return build_settings(TrainingConfig, **(options.model_dump() | decided))


def absolute_source(data: Path | None) -> str:
    """``data`` as a run records it: absolute, or the name of the built-in set."""
    return BUILT_IN_DATA if data is None else str(data.expanduser().resolve())


def _halvings(size: Size) -> int:
    """How often both sides can be halved."""
    common = math.gcd(*size)
    return (common & -common).bit_length() - 1
