"""What a training run can be told, and how what was left open is decided."""

import math
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from core.conditions import Condition
from core.configuration import (
    BUILT_IN_DATA,
    LAMBDA_L1,
    RESNET_LEVELS,
    STRIDED_LAYERS,
    Architecture,
    CheckpointInfo,
    DataConfig,
    Decoder,
    Direction,
    DiscriminatorConfig,
    Distance,
    GanObjective,
    GeneratorConfig,
    Layout,
    Norm,
    Padding,
    Settings,
    SkipActivation,
    Task,
    build_settings,
)
from core.errors import InvalidInputError
from core.frames import Size, check_multiple
from train.augmentation import JITTER
from train.schedule import Schedule

MAX_AUTOMATIC_LEVELS: Final = 8
MIN_AUTOMATIC_LEVELS: Final = 4
"""With fewer halvings the bottleneck still sees a small part of the picture only: that is for the user to ask for."""
COLORIZE_CHANNELS: Final = (1, 2)

Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
"""What convolutions compute in; ``tf32`` is fp32 with 10 bits of mantissa inside of matrix products."""


def _known_field(pixels: int) -> int:
    if pixels not in STRIDED_LAYERS:
        raise ValueError(f"choose from {', '.join(map(str, STRIDED_LAYERS))}")
    return pixels


class TrainingOptions(Settings):
    """A training run as it is asked for; None leaves the choice to ``resolve``. Fields are named as the options are."""

    data: str = BUILT_IN_DATA
    """A folder or a video (absolute), or ``builtin:facades``."""
    layout: Layout = Layout.PAIRS
    """How the pairs lie there."""
    skipped: tuple[str, ...] = ()
    """Broken images that are left out, by their names within the data."""
    task: Task = Task.TRANSLATE
    """Pictures to pictures, or lightness to colour."""
    direction: Direction = Direction.A_TO_B
    """Which half is the input."""
    condition: Condition = Condition.IDENTITY
    """What is made of a *live* frame before the generator sees it; with side-by-side data, A is that already.

    Of the built-in set, it is also what the generator is trained on: the condition of the picture instead of the label
    map. The picture is the target then, so ``BtoA`` is refused."""
    size: Size = Size(256, 256)
    """Height and width the generator is trained at, in pixels."""
    jitter: Annotated[float, Field(ge=1, le=4)] = JITTER
    """Pairs are enlarged by this much before a random part of ``size`` is cut out; 1 leaves them as they are."""
    mirror: bool = True
    """Mirror half of the pairs, left to right."""
    architecture: Architecture = Architecture.UNET
    """Kind of generator."""
    width: Annotated[int | None, Field(ge=1, le=512)] = None
    """Channels of the generator's first layer: 64 on CUDA, 32 on a CPU."""
    levels: Annotated[int | None, Field(ge=2, le=12)] = None
    """Halvings of the resolution: as many as the size allows, up to 8; a ResNet has 2."""
    blocks: Annotated[int, Field(ge=1, le=64)] = 9
    """Residual blocks of a ResNet."""
    skip_activation: SkipActivation = SkipActivation.RELU
    """What the skip connections of a U-Net carry."""
    in_channels: Literal[1, 3] = 3
    """1: the generator sees brightness only."""
    out_channels: Literal[1, 2, 3] = 3
    """1: it answers in shades of gray; 2 is for ``colorize``."""
    norm: Norm = Norm.BATCH
    """Normalization layers of both networks."""
    padding: Padding = Padding.ZEROS
    """How the generator's convolutions are padded."""
    decoder: Decoder = Decoder.TRANSPOSED
    """How the generator's decoder doubles the resolution."""
    dropout: bool = True
    """Dropout in the three deepest decoder layers."""
    gan: GanObjective = GanObjective.BCE
    """The adversarial objective: binary cross-entropy (the paper's), least squares or hinge."""
    distance: Distance = Distance.L1
    """How the generator's distance to the target is measured."""
    l1: Annotated[float, Field(ge=0, allow_inf_nan=False)] = LAMBDA_L1
    """Weight of that distance in the generator's objective."""
    smooth_labels: bool = False
    """One-sided label smoothing: the answer for real patches is drawn from 0.8 to 1.2."""
    switch_labels: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Probability of switching the discriminator's answers in a step; falls to 0 over the run."""
    instance_noise: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Standard deviation of the noise on the discriminator's inputs; falls to 0 over the run."""
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2e-4
    """Adam's rate, before ``schedule`` lowers it."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Adam's first momentum."""
    schedule: Schedule = Schedule.LINEAR
    """How the rate falls."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the exponential moving average of the generator; 0 keeps none."""
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
    precision: Precision = "auto"
    """bf16 on GPUs that have it, else fp16; fp32 on a CPU."""
    compile: bool = False
    """Let ``torch.compile`` generate the networks' kernels."""
    cuda_graph: bool = False
    """Replay the whole step as one CUDA graph."""
    cache: Literal["auto", "host", "device"] = "auto"
    """Where decoded images are kept and augmented: in the GPU's memory if they fit, or on the host."""
    shard: bool = False
    """Spread weights and optimizer states over all GPUs instead of copying them (FSDP)."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of the weights, the order of the data and its augmentation, and dropout; the data itself is always the same."""
    sample_every: Annotated[int | None, Field(ge=1)] = None
    """Steps between sample sheets, each with a checkpoint and a validation: a tenth of all."""
    checkpoint_minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5.0
    """A checkpoint is also made when the last one is so many minutes old."""
    init: str | None = None
    """A run or a checkpoint (absolute) whose generator to start from."""
    threads: Annotated[int | None, Field(ge=1, le=1024)] = None
    """CPU threads of the networks: all cores this process may use."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give --steps or --epochs, not both")
        return self

    @model_validator(mode="after")
    def _labels_to_change(self) -> Self:
        if self.smooth_labels and self.gan is GanObjective.HINGE:
            raise ValueError("--smooth-labels and --gan hinge exclude each other: the hinge loss knows no labels")
        return self

    @model_validator(mode="after")
    def _channels_of_the_task(self) -> Self:
        channels = (self.in_channels, self.out_channels)
        if self.task is Task.COLORIZE and channels not in ((3, 3), COLORIZE_CHANNELS):
            raise ValueError("--task colorize decides the channels: leave out --in-channels and --out-channels")
        if self.task is Task.COLORIZE and self.condition is not Condition.IDENTITY:
            raise ValueError(
                f"--task colorize and --condition {self.condition} exclude each other: its input is the picture's "
                "lightness; leave out --condition"
            )
        if self.task is Task.TRANSLATE and self.out_channels == COLORIZE_CHANNELS[1]:
            raise ValueError("out_channels = 2: give 1 or 3, or --task colorize")
        return self

    @model_validator(mode="after")
    def _levels_of_a_resnet(self) -> Self:
        if self.architecture is Architecture.RESNET and self.levels not in (None, RESNET_LEVELS):
            raise ValueError(f"--levels {self.levels} cannot be had of a ResNet, which halves twice: leave it out")
        return self

    @model_validator(mode="after")
    def _picture_as_target(self) -> Self:
        if self.layout is Layout.PHOTOS and self.direction is Direction.B_TO_A:
            what = "--task colorize" if self.task is Task.COLORIZE else f"--condition {self.condition}"
            raise ValueError(
                f"--direction BtoA and {what} exclude each other where the input is made of the picture: "
                "leave out one of them"
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
            layout=self.layout,
            skipped=self.skipped,
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
        levels = RESNET_LEVELS if self.architecture is Architecture.RESNET else self.levels
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
        return build_settings(
            GeneratorConfig,
            architecture=self.architecture,
            task=self.task,
            width=self.width,
            levels=self.levels,
            blocks=self.blocks,
            skip_activation=self.skip_activation,
            in_channels=self.in_channels,
            out_channels=self.out_channels,
            norm=self.norm,
            padding=self.padding,
            decoder=self.decoder,
            dropout=self.dropout,
        )

    def discriminator_config(self) -> DiscriminatorConfig:
        """The discriminator to train against."""
        return DiscriminatorConfig(
            width=self.d_width,
            receptive_field=self.receptive_field,
            channels=self.in_channels + self.out_channels,
            norm=self.norm,
        )

    def checkpoint_info(self, *, name: str, step: int) -> CheckpointInfo:
        """What a checkpoint of this run, made after ``step`` steps, says of itself."""
        return CheckpointInfo(
            generator=self.generator_config(), data=self.data_config(), step=step, batch=self.batch, name=name
        )


def _halvings(size: Size) -> int:
    """How often both sides can be halved."""
    common = math.gcd(*size)
    return (common & -common).bit_length() - 1
