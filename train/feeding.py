"""Batches on the device that trains: copied there one by one, or cut there from images that all lie in its memory."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.loader import BatchStream, CachedPairs
from train.order import DataOrder, Draw

PAIRS_DRAWN_AHEAD: Final = 256
"""Pairs whose random choices go to the device in one copy; at least those of one step."""
SHARE_OF_MEMORY: Final = 0.4
"""Of a GPU's free memory that images may take."""


class DeviceBatch(NamedTuple):
    """Frames of one step on the device: ``uint8 [N, H, W, 3]`` BGR each."""

    input: Tensor
    target: Tensor


class Feed(Protocol):
    """An iterator over the batches of a run that is closed when the run ends."""

    @property
    def waited(self) -> float:
        """Seconds spent waiting for data so far."""
        ...

    def __iter__(self) -> Iterator[DeviceBatch]: ...
    def __next__(self) -> DeviceBatch: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...


class HostFeed:
    """Batches made by background threads on the host; copies to a GPU overlap with its work."""

    def __init__(self, batches: BatchStream, device: torch.device) -> None:
        self._batches = batches
        self._device = device

    @property
    def waited(self) -> float:
        """Seconds spent waiting for data so far."""
        return self._batches.waited

    def __iter__(self) -> Iterator[DeviceBatch]:
        return self

    def __next__(self) -> DeviceBatch:
        """The next step's batch."""
        batch = next(self._batches)
        return DeviceBatch(self._copy(batch.input), self._copy(batch.target))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._batches.close()

    def _copy(self, frames: NDArray[np.uint8]) -> Tensor:
        tensor = torch.from_numpy(frames)
        if self._device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self._device, non_blocking=True)


class DeviceFeed:
    """All images in the device's memory as ``uint8``; jitter, cropping and mirroring happen there, a batch at a time.

    The random choices are the host's (``DataOrder``), so the batches are those of ``HostFeed``, bit for bit.
    """

    def __init__(
        self,
        pairs: CachedPairs,
        order: DataOrder,
        *,
        steps: int,
        first_step: int = 0,
        device: torch.device,
        threads: int = 1,
    ) -> None:
        self.waited = 0.0
        self._order = order
        self._to_come = iter(range(first_step, steps))
        self._steps = steps
        self._rows = torch.arange(order.size.height, device=device)
        self._columns = torch.arange(order.size.width, device=device)
        self._device = device
        shape = (len(pairs), *pairs.size, 3)
        self._inputs = torch.empty(shape, dtype=torch.uint8, device=device)
        self._targets = torch.empty(shape, dtype=torch.uint8, device=device)
        with ThreadPoolExecutor(threads, "upload") as pool:
            for index, pair in enumerate(pool.map(pairs.read, range(len(pairs)))):
                self._inputs[index].copy_(torch.from_numpy(pair.input))
                self._targets[index].copy_(torch.from_numpy(pair.target))
        pairs.forget()
        self._choices = torch.empty(0)
        self._place = 0

    def __iter__(self) -> Iterator[DeviceBatch]:
        return self

    def __next__(self) -> DeviceBatch:
        """The next step's batch."""
        step = next(self._to_come)
        if self._place >= len(self._choices):
            started = time.perf_counter()
            count = max(1, PAIRS_DRAWN_AHEAD // self._order.local_batch)
            ahead = range(step, min(step + count, self._steps))
            self._choices = self._upload([self._order.draw(each) for each in ahead])
            self._place = 0
            self.waited += time.perf_counter() - started
        index, top, left, mirrored = self._choices[self._place].unbind(1)
        self._place += 1
        rows = top[:, None] + self._rows
        last = self._order.size.width - 1
        columns = left[:, None] + torch.where(mirrored[:, None] > 0, last - self._columns, self._columns)
        where = (index[:, None, None], rows[:, :, None], columns[:, None, :])
        return DeviceBatch(self._inputs[where], self._targets[where])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _upload(self, steps: list[list[Draw]]) -> Tensor:
        numbers = [[(draw.number, draw.cut.top, draw.cut.left, draw.cut.mirrored) for draw in draws] for draws in steps]
        tensor = torch.tensor(numbers, dtype=torch.long)
        if self._device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self._device, non_blocking=True)


def fits_in_device_memory(pairs: CachedPairs, device: torch.device) -> bool:
    """Whether all of ``pairs`` can lie in the memory of a GPU beside the networks."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return len(pairs) * 2 * pairs.size.height * pairs.size.width * 3 <= SHARE_OF_MEMORY * free
