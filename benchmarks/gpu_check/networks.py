"""The networks that are measured, and a run folder as ``p2p-train`` leaves it, so that the commands can be used."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks.gpu_check.checks import Device, Setting
from benchmarks.training_candidates import levels_of
from calibration.batch_statistics import recalibrate
from core.checkpoint import load_generator, save_generator
from core.configuration import GENERATOR_FILE, CheckpointInfo, DataConfig, GeneratorConfig
from core.facades import facade_pair
from core.frames import Size
from core.networks import Generator, UNetGenerator
from train.defaults import resolve
from train.devices import check_device, prepare
from train.feeding import DeviceBatch
from train.settings import TrainingOptions
from train.trainer import Trainer
from train.world import World

PAIRS: Final = 8
"""Different pairs that steps go round: enough that none is learned by heart in 200 steps."""
ENDLESS: Final = 10**9


def make_generator(setting: Setting) -> Generator:
    """The generator that engines are measured with: initial weights, which are as fast as trained ones.

    Its running statistics are those of real frames. With initial ones every layer's values are smaller than the last
    one's, and the pictures so flat that no difference would be seen in them.
    """
    return load_generator(make_run(setting) / GENERATOR_FILE)[0]


def make_run(setting: Setting) -> Path:
    """A folder that ``p2p-export`` takes for a run: the generator trained at batch size 2, so that it can be folded."""
    folder = setting.folder / "run"
    if not (folder / GENERATOR_FILE).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        initial = UNetGenerator(GeneratorConfig(width=setting.width, levels=levels_of(setting.size)))
        generator = recalibrate(initial, [facade_pair(i, size=setting.size).labels for i in range(PAIRS)])
        data = DataConfig(height=setting.size, width=setting.size)
        info = CheckpointInfo(generator=generator.config, data=data, step=0, batch=2, name=f"width-{setting.width}")
        save_generator(folder / GENERATOR_FILE, generator, info)
    return folder


def make_trainer(setting: Setting, *, device: Device | None = None, **options: Any) -> Trainer:
    """A trainer of both networks as ``p2p-train`` would make it.

    Raises:
        EdgeError: for options that the device cannot do.
    """
    device = device or setting.device
    values = {
        "size": Size(setting.size, setting.size),
        "width": setting.width,
        "steps": ENDLESS,
        "device": device,
        "precision": "fp32",
    } | options
    cores = torch.get_num_threads()
    config = resolve(TrainingOptions.model_validate(values), device=device, pairs=PAIRS, cores=cores)
    check_device(config, World())
    prepare(config, World())
    return Trainer(config)


def make_batches(setting: Setting, *, batch: int, device: Device | None = None) -> list[DeviceBatch]:
    """Houses of the built-in set as batches on the device, always the same ones."""
    pairs = [facade_pair(i, size=setting.size) for i in range(PAIRS)]
    made = []
    for i in range(max(1, PAIRS // batch)):
        chosen = [pairs[(i * batch + j) % PAIRS] for j in range(batch)]
        frames = [np.stack([getattr(pair, side) for pair in chosen]) for side in ("labels", "photo")]
        made.append(DeviceBatch(*(torch.from_numpy(each).to(device or setting.device) for each in frames)))
    return made
