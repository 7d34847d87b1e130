"""Images that lie on the device give the batches that the host would make, bit for bit; processes share every batch."""

import numpy as np
import pytest
import torch

from core.frames import Size
from core.pairs import Pair
from train.feeding import DeviceFeed, HostFeed
from train.loader import BatchStream, CachedPairs
from train.order import DataOrder
from train.world import World

SIZE, LARGE = Size(8, 12), Size(9, 15)
CPU = torch.device("cpu")
PAIRS = 5


class Noise:
    """Pairs of which no two pixels are likely to be alike."""

    def __len__(self) -> int:
        return PAIRS

    def read(self, index: int, size: Size) -> Pair:
        random = np.random.default_rng(index)
        return Pair(*random.integers(0, 256, (2, *size, 3), dtype=np.uint8))

    def name(self, index: int) -> str:
        return str(index)


def order(*, batch: int = 2, world: World | None = None, mirror: bool = True) -> DataOrder:
    return DataOrder(pairs=PAIRS, batch=batch, large=LARGE, size=SIZE, seed=3, mirror=mirror, world=world or World())


@pytest.mark.parametrize(("steps", "first_step"), [(700, 0), (300, 299), (20, 7)])
def test_the_device_cuts_what_the_host_would(steps: int, first_step: int) -> None:
    pairs = CachedPairs(Noise(), LARGE)
    on_host = HostFeed(BatchStream(pairs, order(), steps=steps, first_step=first_step), CPU)
    on_device = DeviceFeed(pairs, order(), steps=steps, first_step=first_step, device=CPU, threads=2)
    compared = 0
    with on_host, on_device:
        for one, other in zip(on_host, on_device, strict=True):
            assert torch.equal(one.input, other.input)
            assert torch.equal(one.target, other.target)
            compared += 1
    assert compared == steps - first_step


def test_processes_share_every_batch_in_its_order() -> None:
    alone = order(batch=4)
    shares = [order(batch=4, world=World(rank, 2, rank)) for rank in range(2)]
    assert {share.local_batch for share in shares} == {2}
    for step in range(9):
        assert alone.draw(step) == [draw for share in shares for draw in share.draw(step)]
