"""Everything that can be checked before PyTorch is loaded and before anything is written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

from core.atomic import check_link
from core.configuration import BUILT_IN_DATA, build_settings, data_folder, is_plain_name
from core.errors import InvalidInputError
from core.frames import parse_size
from core.machine import usable_cores
from core.pairs import Pair, Split, open_pairs
from train.augmentation import jitter_size
from train.loader import CachedPairs, check_pairs
from train.settings import TrainingOptions, absolute_source

RUNS: Final = Path("runs")
LATEST: Final = RUNS / "latest"
"""Points at the newest run, wherever that is: ``p2p-export`` without arguments takes it."""
EVALUATED_PAIRS: Final = 50


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training run whose input has been checked."""

    options: TrainingOptions
    pairs: CachedPairs
    """To train on, at the size that augmentation cuts from."""
    held_out: list[Pair]
    """To look at and to measure with, at the size of the generator."""
    folder: Path
    """Does not exist yet, or is empty."""
    folder_named: bool
    """Whether the user named the folder; else another run may take it first, and the next number is used."""


def prepare_job(values: Mapping[str, Any], *, out: Path | None, name: str | None) -> Job:
    """Check the command's options ``values`` and every image they lead to.

    Raises:
        InvalidInputError: for the first thing that will not do. Nothing has been written then.
    """
    parsed = {"data": absolute_source(values["data"]), "size": parse_size(values["size"])}
    options = build_settings(TrainingOptions, **(dict(values) | parsed))
    options.choose_levels()
    data = options.data_config()
    root = data_folder(data)
    folder = choose_folder(out, name, data="facades" if root is None else root.name)
    pairs = CachedPairs(open_pairs(data, Split.TRAIN), jitter_size(options.size))
    held_out = open_pairs(data, Split.VAL)
    chosen = spread(len(held_out), EVALUATED_PAIRS)
    if options.data != BUILT_IN_DATA:
        check_pairs(pairs.read, len(pairs), threads=usable_cores())
        check_pairs(lambda index: held_out.read(index, options.size), len(held_out), threads=usable_cores())
    return Job(
        options=options,
        pairs=pairs,
        held_out=[held_out.read(i, options.size) for i in chosen],
        folder=folder,
        folder_named=not (out is None and name is None),
    )


def choose_folder(out: Path | None, name: str | None, *, data: str) -> Path:
    """Where a run goes: ``out``, ``runs/<name>``, or ``runs/<data>-<date>-<time>``, numbered where that is taken.

    Nothing is written.

    Raises:
        InvalidInputError: if that is not an empty or a new folder, or ``name`` is not a plain name.
    """
    if out is not None and name is not None:
        raise InvalidInputError("--out and --name both name the run's folder: give one of them")
    if name is not None and (Path(name).name != name or name.startswith(".") or name == LATEST.name):
        raise InvalidInputError(f"--name {name!r} cannot name a folder below {RUNS}: give a plain name, like houses")
    if out is None and name is None:
        stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        folder = next(folder for folder in numbered(RUNS / f"{data}-{stamp}") if not folder.exists())
    else:
        folder = out or RUNS / str(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInputError(f"{folder} exists and is not an empty folder: choose another with --out")
    own_name = folder.resolve().name
    if not is_plain_name(own_name):
        raise InvalidInputError(f"{own_name!a} cannot be the name of a run: choose another with --out or --name")
    check_link(LATEST)
    return folder


def numbered(folder: Path) -> Iterator[Path]:
    """``folder`` itself, then its name with -2, -3 and so on."""
    yield folder
    for number in count(2):
        yield folder.with_name(f"{folder.name}-{number}")


def spread(total: int, wanted: int) -> list[int]:
    """Up to ``wanted`` of the numbers below ``total``, evenly spread, the first one always among them."""
    kept = min(total, wanted)
    return [i * total // kept for i in range(kept)]
