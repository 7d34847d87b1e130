"""What an evaluation is of: a generator in the mode to be measured, and the pairs to measure it on."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import nn

from core.checkpoint import load_generator
from core.configuration import BUILT_IN_DATA, CheckpointInfo, DataConfig, Norm
from core.errors import InvalidInputError
from core.frames import Frame, Size, as_seen
from core.machine import usable_cores
from core.networks import Generator
from core.networks.inference_mode import infers_with_instance_statistics, set_inference_mode
from core.pairs import Pair, PairSource, open_pairs
from train.devices import choose_device
from train.evaluation import set_paper_mode, translate_frame
from train.evaluation_request import EvaluationRequest
from train.preparation import spread


class Subject:
    """A generator in the mode to be measured, and the pairs to measure it on."""

    def __init__(self, request: EvaluationRequest) -> None:
        """Load the generator, and look at all of its pairs once.

        Raises:
            EdgeError: if the checkpoint, the data or the device will not do.
        """
        kind, _ = choose_device(request.device)
        self.device = torch.device(kind)
        self.request = request
        generator, self.info = load_generator(request.checkpoint)
        self.data = _data(request, self.info)
        self.size = Size(self.data.height, self.data.width)
        generator.config.check_frames()
        generator.check_size(self.size)
        self._pairs = _open(self.data, request)
        self.in_split = len(self._pairs)
        self._chosen = spread(self.in_split, request.limit or self.in_split)
        self.names = [self._pairs.name(index) for index in self._chosen]
        self._read_all()
        self.generator = generator.to(self.device)
        if request.paper_mode:
            set_paper_mode(self.generator)
        else:
            set_inference_mode(self.generator, batch=self.info.batch)

    def __len__(self) -> int:
        return len(self._chosen)

    def _read_all(self) -> None:
        """Meet a broken image now, and not an hour later."""

        def read(index: int) -> None:
            self._pairs.read(index, self.size)

        if self.data.source != BUILT_IN_DATA:
            with ThreadPoolExecutor(usable_cores(), "check") as pool:
                deque(pool.map(read, self._chosen), maxlen=0)

    def read(self, place: int) -> Pair:
        """The pair at ``place``, as the generator can see and show it: one for gray pictures is not held to colours."""
        pair = self._pairs.read(self._chosen[place], self.size)
        config = self.generator.config
        return Pair(as_seen(pair.input, config.input_encoding), as_seen(pair.target, config.target_encoding))

    def translate(self, place: int) -> Frame:
        """The translation of the input at ``place``: the same at every call, also of noise."""
        frame = self._pairs.read(self._chosen[place], self.size).input
        if not self.request.paper_mode:
            return translate_frame(self.generator, frame)
        noise = np.random.SeedSequence((self.request.seed, self._chosen[place])).generate_state(1)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(int(noise[0]))
            return translate_frame(self.generator, frame)


def _data(request: EvaluationRequest, info: CheckpointInfo) -> DataConfig:
    if info.origin is not None and request.data is None:
        raise InvalidInputError(f"{request.checkpoint} does not say what it was trained on: give --data a folder")
    return request.data_config(info.data)


def _open(data: DataConfig, request: EvaluationRequest) -> PairSource:
    pairs = open_pairs(data, request.split)
    if not len(pairs):
        raise InvalidInputError(f"{data.source} has no {request.split} pairs: choose another --split, or other --data")
    return pairs


def describe(subject: Subject) -> str:
    """The line an evaluation begins with: what is measured, on what, and in which mode."""
    request, info, config = subject.request, subject.info, subject.generator.config
    if config.norm is Norm.NONE:
        statistics = "no normalization"
    elif request.paper_mode or infers_with_instance_statistics(config, info.batch):
        statistics = "normalized by each picture's own statistics"
    else:
        statistics = "normalized by running statistics"
    dropout = f"dropout on, seed {request.seed}" if request.paper_mode and _drops(subject.generator) else "no dropout"
    count = f"{len(subject)}" if len(subject) == subject.in_split else f"{len(subject)} of {subject.in_split}"
    return (
        f"evaluating {info.name}, step {info.step}, as {'the paper tests' if request.paper_mode else 'deployed'} "
        f"({statistics}, {dropout}; on {subject.device.type}): {count} {request.split} pairs of {subject.data.source}, "
        f"{subject.data.direction}, {subject.size}"
    )


def _drops(generator: Generator) -> bool:
    return any(isinstance(module, nn.Dropout) for module in generator.modules())
