"""The data sets of the pix2pix paper by name: downloaded once, checked, unpacked safely, and kept in a cache.

The archives are those of the authors: ``datasets/download_pix2pix_dataset.sh`` in
junyanz/pytorch-CycleGAN-and-pix2pix.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.atomic import atomic_folder, write_text
from core.configuration import Direction
from core.data_layout import find_root, readable
from core.errors import InvalidInputError
from core.frames import list_images
from core.splits import Split
from train.archives import file_sha256, unpack
from train.downloads import download

BASE_URL: Final = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets"
URL_VARIABLE: Final = "PIX2PIX_EDGE_DATASETS_URL"
"""Environment variable: the address of a mirror of ``BASE_URL``."""
CACHE_VARIABLE: Final = "PIX2PIX_EDGE_CACHE"
"""Environment variable: the folder to keep downloads in, instead of ``~/.cache/pix2pix-edge``."""
RECORD: Final = "dataset.json"


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A data set of the paper: side-by-side images in ``train/`` and further splits."""

    about: str
    """What A and B are."""
    train: int
    """Images of the training split."""
    direction: Direction | None
    """The direction of the paper's example; None where it has none to copy."""


DATASETS: Final[Mapping[str, DataSet]] = {
    "facades": DataSet(about="photos | label maps", train=400, direction=Direction.B_TO_A),
    "maps": DataSet(about="aerial photos | maps", train=1096, direction=Direction.A_TO_B),
    "edges2shoes": DataSet(about="edges | photos", train=49_825, direction=Direction.A_TO_B),
    "edges2handbags": DataSet(about="edges | photos", train=138_567, direction=Direction.A_TO_B),
    "cityscapes": DataSet(about="photos | label maps", train=2975, direction=Direction.B_TO_A),
    "night2day": DataSet(about="photos by night and by day", train=17_823, direction=None),
}


def cache_folder() -> Path:
    """Where data sets are kept: below ``PIX2PIX_EDGE_CACHE``, ``XDG_CACHE_HOME`` or ``~/.cache``."""
    own = os.environ.get(CACHE_VARIABLE)
    base = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pix2pix-edge"
    return base.expanduser().absolute() / "datasets"


def fetch_dataset(name: str, *, say: Callable[[str], None]) -> Path:
    """The folder of data set ``name``, which holds its ``train/``; downloaded first if it is not in the cache.

    Two processes that want one set at once download it once. Interrupted, the next call goes on where this one ended.

    Args:
        name: a key of ``DATASETS``.
        say: takes a line for people.

    Raises:
        InvalidInputError: if it cannot be downloaded, unpacked or kept, or is not what it should be; saying what can be
            done by hand.
    """
    folder = cache_folder() / name
    with readable(folder):
        if (folder / RECORD).is_file():
            return find_root(folder)
    with _alone(folder.parent, name, say):
        with readable(folder):
            there = (folder / RECORD).is_file()  # another process was quicker
            if not there and folder.exists():
                raise InvalidInputError(
                    f"{folder} is in the place of a downloaded set and is none: give it as --data {folder}, or move it"
                )
        if not there:
            _bring(name, folder, say)
    return find_root(folder)


def hint(name: str) -> str:
    """A line on what data set ``name`` is, and the direction it is usually trained in."""
    known = DATASETS[name]
    usual = "" if known.direction is None else f"; usually trained with --direction {known.direction}"
    return f"{name}: {known.about} (A | B), {known.train} training pairs{usual}"


class _NoPlaceError(InvalidInputError):
    """What was downloaded cannot be written where it belongs."""


def _bring(name: str, folder: Path, say: Callable[[str], None]) -> None:
    url = f"{os.environ.get(URL_VARIABLE) or BASE_URL}".rstrip("/") + f"/{name}.tar.gz"
    by_hand = f"or get it by hand, unpack it, and give --data FOLDER; {URL_VARIABLE} names a mirror"
    archive = folder.parent / f".{name}.tar.gz"
    try:
        if not archive.exists():  # whole, of a run that was interrupted while it unpacked
            download(url, archive, say=say)
        say(f"unpacking {name}")
        with atomic_folder(folder) as partial:
            try:
                unpack(archive, partial)
                count = _check(name, find_root(partial))
                record = {"url": url, "sha256": file_sha256(archive), "bytes": archive.stat().st_size, "images": count}
                write_text(partial / RECORD, json.dumps(record, indent=2) + "\n")
            except OSError as error:  # the folder is not the user's choice, as atomic_folder would have it
                raise _NoPlaceError(f"cannot unpack into {folder.parent}: {error.strerror or error}") from error
    except InvalidInputError as error:
        if not isinstance(error, _NoPlaceError):  # the archive is good, and took long to get
            archive.unlink(missing_ok=True)
        raise InvalidInputError(f"{name} could not be had from {url}: {error}; try again, {by_hand}") from error
    archive.unlink(missing_ok=True)
    say(f"{name} is in {folder}")


def _check(name: str, root: Path) -> dict[str, int]:
    """Number of images of each split; ``InvalidInputError`` if this is not the whole of the data set."""
    counts = {split: len(list_images(root / split)) for split in Split if (root / split).is_dir()}
    found, expected = counts.get(Split.TRAIN, 0), DATASETS[name].train
    if found < expected:
        raise InvalidInputError(f"the archive holds {found} training images in train/ instead of {expected}")
    return {str(split): number for split, number in counts.items()}


@contextmanager
def _alone(folder: Path, name: str, say: Callable[[str], None]) -> Iterator[None]:
    """Keep other processes from bringing ``name`` into ``folder`` meanwhile; they wait."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / f".{name}.lock").open("w")
    except OSError as error:
        raise InvalidInputError(
            f"cannot keep data sets in {folder}: {error.strerror}; set {CACHE_VARIABLE} to a folder that can be "
            "written to"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is downloading {name}: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise InvalidInputError(
                f"{folder} cannot be locked ({error.strerror}): set {CACHE_VARIABLE} to a folder on a local disk"
            ) from error
        yield  # closing the file, or the end of the process, unlocks it
