"""The baseline that people come from: the PyTorch generator run eagerly, pixels handled in NumPy around it."""

import numpy as np
import torch
from numpy.typing import NDArray

from core.configuration import GeneratorConfig
from core.frames import Size, array_to_frames, frames_to_array
from core.networks import Generator, build_generator
from core.networks.inference_mode import set_inference_mode
from runtime.engines import Engine


class EagerEngine(Engine):
    """A generator in eager PyTorch on the CPU."""

    def __init__(self, generator: Generator, size: Size, *, batch: int, threads: int) -> None:
        """Run ``generator``, trained at batch size ``batch``, on frames of ``size``."""
        generator.check_size(size)
        set_inference_mode(generator, batch=batch)
        torch.set_num_threads(threads)
        self._generator = generator
        self.size = size
        self.batch = 1
        self.threads = threads
        self.device = "cpu"

    def _run(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        config = self._generator.config
        with torch.inference_mode():
            images = self._generator(torch.from_numpy(frames_to_array(frames, config.input_encoding)))
        return array_to_frames(images.numpy(), config.target_encoding, frames)


def untrained_engine(config: GeneratorConfig, size: Size, *, batch: int, threads: int) -> EagerEngine:
    """A generator of ``config`` with initial weights: as fast as a trained one, and of no other use."""
    return EagerEngine(build_generator(config), size, batch=batch, threads=threads)
