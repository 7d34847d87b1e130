"""A generator with weights that PyTorch knows, on its way to being exported."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch

from calibration.batch_statistics import recalibrate
from core.checkpoint import load_generator
from core.configuration import Norm
from core.errors import InvalidInputError
from core.export_record import Normalization
from core.formats import InputShape
from core.frames import Frame, Size, input_images, output_frames
from core.networks import Generator
from core.networks.inference_mode import infers_with_instance_statistics, set_inference_mode
from core.precision import Precision
from export.deploy_graph import DeployGraph
from export.graph_file import write_graph
from export.original import Original

FOLDED: Final = (Normalization.RUNNING, Normalization.RECALIBRATED)


class TrainedGenerator(Original):
    """A run's generator, or another project's (``core.foreign_checkpoints``)."""

    def __init__(self, path: Path) -> None:
        """Read the checkpoint at ``path``.

        Raises:
            CheckpointError: if it is none.
            InvalidInputError: if its generator takes or gives channels that frames do not have.
        """
        generator, info = load_generator(path)
        try:
            info.generator.check_frames()
        except InvalidInputError as error:
            raise InvalidInputError(f"{path} cannot be exported: {error}") from error
        self.path, self.name, self.step, self.batch = path, info.name, info.step, info.batch
        self.origin, self.generator, self.data = info.origin, info.generator, info.data
        meant = infers_with_instance_statistics(info.generator, info.batch)
        self.normalizations = possible_normalizations(info.generator.norm, instance_statistics=meant)
        self._network = generator
        self._recalibrated: Generator | None = None

    def check_size(self, size: Size) -> None:
        """Refuse a size that is not a multiple of 2**levels."""
        self._network.check_size(size)

    def recalibrate(self, frames: Sequence[Frame]) -> None:
        """Measure the statistics of ``Normalization.RECALIBRATED`` on ``frames``."""
        self._recalibrated = recalibrate(self._network, frames)

    def forget_recalibrated(self) -> None:
        """Give back the memory of what ``recalibrate`` made."""
        self._recalibrated = None

    def deploy_graph(self, normalization: Normalization, precision: Precision) -> DeployGraph:
        """The deploy graph in PyTorch; ``recalibrate`` comes before ``Normalization.RECALIBRATED``."""
        network = self._network
        if normalization is Normalization.RECALIBRATED:
            assert self._recalibrated is not None, "statistics were not measured anew"
            network = self._recalibrated
        return DeployGraph(network, normalization, precision)

    def write_graph(self, path: Path, precision: Precision, shape: InputShape, normalization: Normalization) -> None:
        """Write the deploy graph to ``path``; every shape that ``check_size`` lets through can be had."""
        write_graph(path, self.deploy_graph(normalization, precision), shape)

    def translate(self, frames: Sequence[Frame]) -> list[Frame]:
        """What PyTorch makes of ``frames``, one at a time: nothing folded or replaced, in the mode of training."""
        set_inference_mode(self._network, batch=self.batch)
        config = self._network.config
        translations = []
        with torch.inference_mode():
            for frame in frames:
                tensor = torch.from_numpy(frame[np.newaxis])
                images = self._network(input_images(tensor, config))
                translations.append(output_frames(images, tensor, config).numpy()[0])
        return translations


def possible_normalizations(norm: Norm, *, instance_statistics: bool) -> tuple[Normalization, ...]:
    """How a generator with ``norm`` layers can be deployed; first as its training asks."""
    match norm:
        case Norm.NONE:
            return (Normalization.NONE,)
        case Norm.INSTANCE:
            return (Normalization.INSTANCE,)
        case Norm.BATCH:
            meant = (Normalization.INSTANCE,) if instance_statistics else ()
            return (*meant, *(FOLDED if meant else (*FOLDED, Normalization.INSTANCE)))
