"""What is decided for the user where a training run was told nothing."""

import math
from typing import Final, Literal

from core.configuration import BUILT_IN_DATA, Task, build_settings
from train.settings import COLORIZE_CHANNELS, TrainingConfig, TrainingOptions

DEFAULT_WIDTH: Final = {"cuda": 64, "cpu": 32}
DEFAULT_STEPS: Final = {"cuda": 20_000, "cpu": 2_000}
DEFAULT_EPOCHS: Final = 200
"""Of a folder on a GPU, as in the paper."""
SAMPLES_PER_RUN: Final = 10


def resolve(options: TrainingOptions, *, device: Literal["cpu", "cuda"], pairs: int, cores: int) -> TrainingConfig:
    """Decide what ``options`` leaves open, for ``pairs`` training pairs, a device, and ``cores`` usable CPU cores.

    Raises:
        InvalidInputError: as ``TrainingOptions.choose_levels`` does.
    """
    width = options.width or DEFAULT_WIDTH[device]
    epochs = options.epochs
    if epochs is None and device == "cuda" and options.data != BUILT_IN_DATA:
        epochs = DEFAULT_EPOCHS
    in_channels, out_channels = options.in_channels, options.out_channels
    if options.task is Task.COLORIZE:
        in_channels, out_channels = COLORIZE_CHANNELS
    steps = options.steps or (math.ceil(epochs * pairs / options.batch) if epochs else DEFAULT_STEPS[device])
    decided = {
        "width": width,
        "levels": options.choose_levels(),
        "in_channels": in_channels,
        "out_channels": out_channels,
        "d_width": options.d_width or width,
        "steps": steps,
        "epochs": None,
        "device": device,
        "sample_every": options.sample_every or max(1, round(steps / SAMPLES_PER_RUN)),
        "threads": options.threads or cores,
    }
    return build_settings(TrainingConfig, **(options.model_dump() | decided))
