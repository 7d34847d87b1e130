"""What a generator is and how its pictures come about: the settings that travel with a checkpoint and a bundle."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from core.conditions import Condition
from core.encoding import Encoding
from core.errors import InvalidInputError

BUILT_IN_DATA: Final = "builtin:facades"
"""The name under which the procedural facades of ``core.facades`` are recorded."""


class Norm(StrEnum):
    """Normalization layers of a network."""

    BATCH = "batch"
    INSTANCE = "instance"
    NONE = "none"


class Padding(StrEnum):
    """How a generator's convolutions are padded; ``UNetGenerator`` and ``ResNetGenerator`` say which of them."""

    ZEROS = "zeros"
    REFLECT = "reflect"


class SkipActivation(StrEnum):
    """What the skip connections of a U-Net carry: its encoder's features after this activation."""

    RELU = "relu"
    """The paper's: the decoder's ReLU acts on what comes from below and on the skip connection alike."""
    LEAKY_RELU = "leaky_relu"
    """The features as the encoder's next layer gets them, negative values included."""


class Decoder(StrEnum):
    """How the decoder doubles the resolution.

    ``TRANSPOSED`` is the paper's 4 x 4 transposed convolution; ``RESIZE`` is nearest-neighbour enlargement and a 3 x 3
    convolution (Odena et al. 2016, "Deconvolution and Checkerboard Artifacts"), which quantizes whole.
    """

    TRANSPOSED = "transposed"
    RESIZE = "resize"


class Architecture(StrEnum):
    """What kind of network a generator is."""

    UNET = "unet"
    """The paper's (section 6.1.1)."""
    RESNET = "resnet"
    """Residual blocks at a quarter of the resolution (Johnson et al. 2016; Zhu et al. 2017, section 7.2)."""


class Task(StrEnum):
    """What the channels of a generator mean."""

    TRANSLATE = "translate"
    """Pictures to pictures: three channels are colours, one is brightness."""
    COLORIZE = "colorize"
    """Lightness to colour: L of CIE Lab in, a and b out (Isola et al. 2017, section 4)."""


class Layout(StrEnum):
    """How pairs lie on a disk."""

    PAIRS = "pairs"
    """Images that hold A on the left and B on the right."""
    FOLDERS = "folders"
    """A folder of As and a folder of Bs, matched by name."""
    PHOTOS = "photos"
    """Pictures, or a video: the picture is the target, and its condition the input."""


class GanObjective(StrEnum):
    """The adversarial part of what the networks are trained for; ``core.objective`` computes it."""

    BCE = "bce"
    """Binary cross-entropy on logits: the paper's."""
    LEAST_SQUARES = "lsgan"
    """Least squares (Mao et al. 2017)."""
    HINGE = "hinge"
    """Hinge loss (Lim, Ye 2017; Miyato et al. 2018, equations 16 and 17)."""


class Distance(StrEnum):
    """How far a translation is from its target."""

    L1 = "l1"
    """Mean absolute difference: the paper's (equation 3)."""
    L2 = "l2"
    """Mean squared difference."""


RESNET_LEVELS: Final = 2
"""Halvings of the resolution before a residual generator's blocks."""

LAMBDA_L1: Final = 100.0
"""Weight of the L1 distance in the generator's objective (Isola et al. 2017, sections 3.1 and 6.2)."""


class Direction(StrEnum):
    """Which half of a side-by-side image is the input: ``AtoB`` takes the left one."""

    A_TO_B = "AtoB"
    B_TO_A = "BtoA"


class Settings(BaseModel):
    """Base of all settings: immutable, and nothing unknown is let through."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class GeneratorConfig(Settings):
    """A generator; the defaults are the paper's for 256 x 256 (Isola et al. 2017, section 6.1.1)."""

    architecture: Architecture = Architecture.UNET
    task: Task = Task.TRANSLATE
    width: Annotated[int, Field(ge=1, le=512)] = 64
    """Channels of the first layer; the deepest have eight times as many."""
    levels: Annotated[int, Field(ge=2, le=12)] = 8
    """Halvings of the resolution; sizes must be multiples of 2**levels."""
    blocks: Annotated[int, Field(ge=1, le=64)] = 9
    """Residual blocks; a U-Net has none."""
    skip_activation: SkipActivation = SkipActivation.RELU
    """Of a U-Net."""
    in_channels: Annotated[int, Field(ge=1, le=4)] = 3
    out_channels: Annotated[int, Field(ge=1, le=4)] = 3
    norm: Norm = Norm.BATCH
    padding: Padding = Padding.ZEROS
    decoder: Decoder = Decoder.TRANSPOSED
    dropout: bool = True
    """Dropout of 0.5 in a U-Net's three deepest decoder layers, or in every residual block; in training only."""

    @model_validator(mode="after")
    def _two_halvings(self) -> Self:
        if self.architecture is Architecture.RESNET and self.levels != RESNET_LEVELS:
            raise ValueError(
                f"a residual generator has {RESNET_LEVELS} levels, not {self.levels}: give {RESNET_LEVELS}, or none"
            )
        return self

    @model_validator(mode="after")
    def _colors_of_lightness(self) -> Self:
        if self.task is Task.COLORIZE and (self.in_channels, self.out_channels) != (1, 2):
            raise ValueError(
                "colorization makes two channels, a and b, of one, the lightness: "
                f"in_channels = 1 and out_channels = 2, not {self.in_channels} and {self.out_channels}"
            )
        return self

    @property
    def input_encoding(self) -> Encoding:
        """What the channels of its input are; ``InvalidInputError`` where frames have no such channels."""
        return Encoding.LIGHTNESS if self.task is Task.COLORIZE else _picture("in_channels", self.in_channels)

    @property
    def target_encoding(self) -> Encoding:
        """What the channels of its output are; ``InvalidInputError`` where frames have no such channels."""
        return Encoding.CHROMA if self.task is Task.COLORIZE else _picture("out_channels", self.out_channels)

    def check_frames(self) -> None:
        """Refuse a generator whose input or output no frame can carry (``InvalidInputError``); networks may be such."""
        _ = self.input_encoding, self.target_encoding


def _picture(setting: str, channels: int) -> Encoding:
    if channels not in (1, 3):
        raise InvalidInputError(
            f"{setting} = {channels}, but a frame has 3 channels (colours) or 1 (brightness): "
            "use 3 or 1, or the task colorize, which makes 2 of 1"
        )
    return Encoding.RGB if channels == 3 else Encoding.GRAY


class DiscriminatorConfig(Settings):
    """A ``PatchDiscriminator`` (Isola et al. 2017, section 6.1.2)."""

    width: Annotated[int, Field(ge=1, le=512)] = 64
    receptive_field: int = 70
    """Pixels a score sees: 1 (PixelGAN), 16, 34, 70, 142 or 286 (ImageGAN)."""
    channels: Annotated[int, Field(ge=2, le=8)] = 6
    """Channels of input and target image together."""
    norm: Norm = Norm.BATCH


class DataConfig(Settings):
    """Where a run's pairs come from: enough to find its held-out frames again at export."""

    source: str = BUILT_IN_DATA
    """A folder or a video (absolute), or ``builtin:facades``."""
    layout: Layout = Layout.PAIRS
    direction: Direction = Direction.A_TO_B
    condition: Condition = Condition.IDENTITY
    """What is made of a live frame before the generator sees it, and of the built-in pictures in training."""
    height: Annotated[int, Field(ge=4, le=8192)] = 256
    width: Annotated[int, Field(ge=4, le=8192)] = 256
    seed: int = 0
    """Of the built-in houses. It does not follow a run's ``--seed``, so that figures of two seeds can be compared."""
    skipped: tuple[str, ...] = ()
    """Names of broken pairs (``PairSource.name``) that the run went on without."""


class CheckpointInfo(Settings):
    """What a checkpoint says of itself, beside its weights."""

    format_version: int = 1
    generator: GeneratorConfig
    data: DataConfig
    step: Annotated[int, Field(ge=0)]
    batch: Annotated[int, Field(ge=1)] = 1
    """Batch size in training: at 1, batch normalization worked on the statistics of single images."""
    name: str
    """Name of the run, and of what is made of it: a plain file name."""
    origin: str | None = None
    """Another project's file that the weights were imported from, and which of its networks that was; None if none."""

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not is_plain_name(name):
            raise ValueError(f"{name[:80]!r} cannot be the name of a run")
        return name


GENERATOR_FILE: Final = "generator.safetensors"
"""The generator's checkpoint within a run folder."""

STRIDED_LAYERS: Final = {1: 0, 16: 1, 34: 2, 70: 3, 142: 4, 286: 5}
"""Receptive field of the discriminator in pixels -> times it halves the picture."""


def is_plain_name(name: str) -> bool:
    """Whether ``name`` can name a run and its folders, and nothing beside them."""
    reserved = name in ("", ".", "..", "latest")
    return not reserved and len(name) <= 200 and not set(name) & set("/\\") and name.isprintable()


SettingsT = TypeVar("SettingsT", bound=BaseModel)


def build_settings(kind: type[SettingsT], **values: Any) -> SettingsT:
    """``kind(**values)``, with a refusal that reads as one line.

    Raises:
        InvalidInputError: naming the first setting that does not do, and why.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # several settings do not go together: the message says which
            raise InvalidInputError(message) from error
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInputError(f"{where} = {first['input']!r}: {message[:1].lower()}{message[1:]}") from error


def data_folder(config: DataConfig) -> Path | None:
    """The folder of a run's data; None for the built-in set."""
    return None if config.source == BUILT_IN_DATA else Path(config.source)
