"""Everything that can be checked before PyTorch is loaded and before anything is written."""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

from core.atomic import check_creatable, check_link, find_latest
from core.conditions import Condition
from core.configuration import (
    BUILT_IN_DATA,
    GENERATOR_FILE,
    Architecture,
    Layout,
    Padding,
    Settings,
    Task,
    build_settings,
    data_folder,
    is_plain_name,
)
from core.errors import InvalidInputError
from core.frames import Size, parse_size
from core.machine import usable_cores
from core.pairs import Pair, Split, open_pairs
from train.augmentation import jitter_size
from train.data_check import check_splits
from train.data_source import locate_data
from train.evaluation_request import EvaluationRequest, check_request
from train.loader import CachedPairs
from train.run_record import LOCK_FILE, STATE_FILE, RunRecord
from train.settings import TrainingConfig, TrainingOptions
from train.world import World

RUNS: Final = Path("runs")
LATEST: Final = RUNS / "latest"
"""Points at the newest run, wherever that is: ``p2p-export`` without arguments takes it."""
EVALUATED_PAIRS: Final = 50
MANY_PAIRS: Final = 1000

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training run whose input has been checked."""

    options: TrainingOptions
    pairs: CachedPairs
    """To train on, at the size that augmentation cuts from."""
    held_out: list[Pair]
    """To look at and to measure with, at the size of the generator."""
    folder: Path
    """Of a new run, it does not exist yet or is empty."""
    folder_named: bool = True
    """Whether the user named the folder; else another run may take it first, and the next number is used."""
    given: frozenset[str] = frozenset()
    """Names of the options that the user set: what ``init`` brings must not contradict them."""
    resumed: RunRecord | None = None
    """The run to go on with; None for a new one."""
    world: World = field(default_factory=World)


class _Source(Settings):
    """The options that decide where the data lies and how."""

    layout: Layout | None = None
    condition: Condition = Condition.IDENTITY
    task: Task = Task.TRANSLATE


def prepare_job(
    values: Mapping[str, Any], *, out: Path | None, name: str | None, skip_broken: bool = False, say: Say
) -> Job:
    """Check a new run: the options that were given, and every image they lead to.

    Args:
        values: options by their names, as the command line or a configuration file has them; what is not in it is
            left to its default.
        out: the run's folder.
        name: or its name below ``runs/``.
        skip_broken: go on without images that cannot be read.
        say: told what the user should know before the run begins.

    Raises:
        InvalidInputError: for the first thing that will not do. Nothing has been written then.
    """
    world = World.from_environment()
    values = {key: value for key, value in values.items() if value is not None}
    for key in ("data", "init"):
        check_text(key, values.get(key))
    given = frozenset(values)
    source = build_settings(_Source, **{key: values[key] for key in _Source.model_fields if key in values})
    own = {key: value for key, value in values.items() if key not in ("data", "layout")}
    if own.get("architecture") == Architecture.RESNET:  # as its authors train it
        own.setdefault("padding", Padding.REFLECT)
    if "size" in own:
        own["size"] = _size(own["size"])
    if "init" in own:
        own["init"] = str(find_generator(Path(own["init"])).resolve())
    early = build_settings(TrainingOptions, **own)  # what is wrong with these is said before a data set is fetched
    early.choose_levels()
    _check_share(early.batch, world)
    place, layout = locate_data(
        values.get("data"), layout=source.layout, condition=source.condition, task=source.task, say=say
    )
    options = build_settings(TrainingOptions, **own, data=place, layout=layout)
    root = data_folder(options.data_config())
    folder = choose_folder(out, name, data="facades" if root is None else root.stem, world=world)
    options, pairs, held_out = _open_data(options, skip_broken=skip_broken, say=say)
    return Job(
        options=options,
        pairs=pairs,
        held_out=held_out,
        folder=folder,
        folder_named=not (out is None and name is None),
        given=given,
        world=world,
    )


def prepare_resumption(place: Path, changes: Mapping[str, Any], *, say: Say) -> Job:
    """Check a run that is to go on: its folder, and that its data is still what it was.

    Args:
        place: the run's folder.
        changes: ``device`` and ``threads``, where this machine is to do otherwise than the one before.
        say: told what the user should know before the run goes on.

    Raises:
        InvalidInputError: if it is not a run, its data changed, or an option is wrong.
    """
    place = find_run(place)
    record = RunRecord.read(place)
    if (place / "metrics.json").is_file():
        raise InvalidInputError(
            f"{place} is complete ({record.training.steps} steps): export it with p2p-export {place}, or train on from "
            f"its weights with --init {place}"
        )
    if not (place / STATE_FILE).is_file() and (place / GENERATOR_FILE).is_file():
        raise InvalidInputError(
            f"{place} has a generator and no {STATE_FILE} to go on from: start a new run from its weights with "
            f"--init {place}"
        )
    world = World.from_environment()
    _check_share(record.training.batch, world)
    changes = {key: value for key, value in changes.items() if (key, value) != ("device", "auto")}
    if changes.get("device") == "cpu" and record.training.device == "cuda":
        changes |= {"precision": "auto", "cuda_graph": False}  # what only a GPU can do
        say(f"{place} was begun on a GPU: on the CPU it goes on in fp32")
    # Where the data lies was decided when the run began; everything else that was open then as well.
    options = build_settings(TrainingConfig, **(record.training.model_dump() | dict(changes)))
    _, pairs, held_out = _open_data(options, skip_broken=False, say=say)
    record.check_data(pairs.source)
    return Job(options=options, pairs=pairs, held_out=held_out, folder=place, resumed=record, world=world)


def prepare_evaluation(place: Path, values: Mapping[str, Any]) -> EvaluationRequest:
    """Check an evaluation of the run or checkpoint ``place`` as it is asked for.

    Raises:
        InvalidInputError, CheckpointError: for the first thing that will not do.
    """
    found = place if place.exists() else find_run(place)
    request = build_settings(EvaluationRequest, **(dict(values) | {"evaluate": found}))
    check_request(request)
    return request


def check_import(file: Path) -> None:
    """Refuse a checkpoint that is not there (``InvalidInputError``)."""
    if not file.is_file():
        raise InvalidInputError(f"there is no file {file}: give --import a checkpoint, like latest_net_G.pth")


def find_run(place: Path) -> Path:
    """The folder of the run ``place``: a folder, or the name of one below ``runs/``, ``latest`` included.

    Raises:
        InvalidInputError: if there is no such folder.
    """
    if place == Path("latest") and not place.exists():
        latest = find_latest(RUNS)
        if latest is None:
            raise InvalidInputError(f"there is no run in {RUNS}/: train one with p2p-train")
        return latest
    for folder in (place, RUNS / place):
        if folder.is_dir():
            return folder
    raise InvalidInputError(f"there is no run {place}: give the folder of one, or its name below {RUNS}/")


def find_generator(place: Path) -> Path:
    """The generator's file of the run ``place`` (``find_run``), or ``place`` itself if it is a file.

    Raises:
        InvalidInputError: if there is none.
    """
    if place.is_file():
        return place
    folder = find_run(place)
    if not (folder / GENERATOR_FILE).is_file():
        raise InvalidInputError(f"{folder} has no {GENERATOR_FILE} (yet): give a run with a checkpoint, or a file")
    return folder / GENERATOR_FILE


def check_text(name: str, value: object) -> None:
    """Refuse what a configuration file has for an option that is a path or a name, and is neither."""
    if not isinstance(value, str | Path | None):
        raise InvalidInputError(f"{name} = {value!r}: input should be text")


def choose_folder(out: Path | None, name: str | None, *, data: str, world: World) -> Path:
    """Where a run goes: ``out``, ``runs/<name>``, or ``runs/<data>-<date>-<time>``, numbered where that is taken.

    Nothing is written. Of several processes only the main one looks: it may have made the folder already.

    Raises:
        InvalidInputError: if that is not an empty or a new folder, or ``name`` is not a plain name.
    """
    if out is not None and name is not None:
        raise InvalidInputError("--out and --name both name the run's folder: give one of them")
    if name is not None and (not is_plain_name(name) or name.startswith(".")):
        raise InvalidInputError(f"--name {name!r} cannot name a folder below {RUNS}: give a plain name, like houses")
    if out is None and name is None:
        stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        folder = next(folder for folder in numbered(RUNS / f"{data}-{stamp}") if not folder.exists())
    else:
        folder = out or RUNS / str(name)
    if world.is_main and folder.exists() and (not folder.is_dir() or any(_left_behind(folder))):
        raise InvalidInputError(f"{folder} exists and is not an empty folder: choose another with --out")
    if not folder.exists():
        check_creatable(folder)
    own_name = folder.resolve().name
    if not is_plain_name(own_name):
        raise InvalidInputError(f"{own_name!a} cannot be the name of a run: choose another with --out or --name")
    check_link(LATEST)
    return folder


def _left_behind(folder: Path) -> Iterator[Path]:
    """What is in ``folder``, without the traces of a run that was killed before it began."""
    return (path for path in folder.iterdir() if path.name != LOCK_FILE and ".partial" not in path.name)


def numbered(folder: Path) -> Iterator[Path]:
    """``folder`` itself, then its name with -2, -3 and so on."""
    yield folder
    for number in count(2):
        yield folder.with_name(f"{folder.name}-{number}")


def spread(total: int, wanted: int) -> list[int]:
    """Up to ``wanted`` of the numbers below ``total``, evenly spread, the first one always among them."""
    kept = min(total, wanted)
    return [i * total // kept for i in range(kept)]


def _open_data(
    options: TrainingOptions, *, skip_broken: bool, say: Say
) -> tuple[TrainingOptions, CachedPairs, list[Pair]]:
    """The pairs of a run, all of which can be read, and its options with those named that were left out."""
    data = options.data_config()
    pairs = CachedPairs(open_pairs(data, Split.TRAIN), jitter_size(options.size, options.jitter))
    held_out = open_pairs(data, Split.VAL)
    if options.data != BUILT_IN_DATA:
        if len(pairs) > MANY_PAIRS:
            say(f"reading {len(pairs)} pairs once, to find broken ones now and not in an hour")
        reads = ((pairs.source, pairs.read), (held_out, functools.partial(held_out.read, size=options.size)))
        splits = [(read, [source.name(index) for index in range(len(source))]) for source, read in reads]
        broken = check_splits(splits, threads=usable_cores(), skip=skip_broken, say=say)
        if broken:
            without = options.model_copy(update={"skipped": (*options.skipped, *broken)})
            return _open_data(without, skip_broken=False, say=say)
    training = {pairs.source.name(index) for index in range(len(pairs))}
    if options.data != BUILT_IN_DATA and any(held_out.name(index) in training for index in range(len(held_out))):
        say(f"{options.data} has too few images to keep any apart: the figures will be those of the training pairs")
    chosen = spread(len(held_out), EVALUATED_PAIRS)
    return options, pairs, [held_out.read(i, options.size) for i in chosen]


def _check_share(batch: int, world: World) -> None:
    if batch % world.size:
        raise InvalidInputError(
            f"--batch {batch} cannot be shared evenly by {world.size} processes: use a multiple of {world.size}"
        )


def _size(value: Any) -> Size:
    """A size as the command line (text), a configuration file (a number) or a run's record (two numbers) has it."""
    return parse_size("x".join(map(str, value)) if isinstance(value, list) else str(value))
