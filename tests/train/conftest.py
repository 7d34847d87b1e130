"""Small data, small runs: one thread, a few channels."""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from core.frames import write_image
from train.preparation import Job, prepare_job


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before, opencv = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    cv2.setNumThreads(opencv)


def _make_images(folder: Path, count: int, *, side: int = 40) -> Path:
    """Side-by-side images in which B is A with its colours inverted."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for i in range(count):
        coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        a = np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
        write_image(folder / f"{i}.png", np.ascontiguousarray(np.hstack([a, 255 - a])))
    return folder


@pytest.fixture(scope="session")
def make_images() -> Callable[..., Path]:
    """A function that fills a folder with side-by-side images."""
    return _make_images


@pytest.fixture(scope="session")
def make_job() -> Callable[..., Job]:
    """A function that checks a job of 32 x 32 pictures, width 4, on one thread."""

    def make(data: Path | None, out: Path | None, **values: object) -> Job:
        small = {"data": data, "size": "32", "width": 4, "steps": 4, "threads": 1, "device": "cpu", "sample_every": 2}
        skip_broken = bool(values.pop("skip_broken", False))
        given = small | values
        given["data"] = None if given["data"] is None else str(given["data"])
        return prepare_job(given, out=out, name=None, skip_broken=skip_broken, say=lambda _line: None)

    return make


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four training and two validation images."""
    root = tmp_path_factory.mktemp("data") / "inverted"
    _make_images(root / "train", 4)
    _make_images(root / "val", 2)
    return root
