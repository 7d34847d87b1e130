"""What a user gave as ``--data``, found: a folder, a video, a data set of the paper by name, or what is built in."""

from collections import Counter
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from core.conditions import Condition
from core.configuration import BUILT_IN_DATA, GENERATOR_FILE, Layout, Task
from core.data_layout import check_layout, find_data, odd_one_out, readable
from core.errors import InvalidInputError
from train.datasets import DATASETS, fetch_dataset, hint

UNREAD: Final = frozenset({".heic", ".heif", ".avif", ".jxl", ".gif", ".raw", ".dng", ".cr2", ".nef", ".arw"})
"""Pictures that are not read here."""


def locate_data(
    given: str | None,
    *,
    layout: Layout | None,
    condition: Condition,
    task: Task,
    say: Callable[[str], None],
) -> tuple[str, Layout]:
    """What ``DataConfig`` records as source (absolute, or the name of the built-in set) and layout.

    Args:
        given: what the user gave: a path, or the name of a data set, which is downloaded unless it was before; None is
            the built-in set. A path that exists goes before a name.
        layout: what the user said of the layout; None to find out.
        condition: what is made of live frames.
        task: what the generator does.
        say: takes lines on what was found and decided.

    Raises:
        InvalidInputError: if there is no such data, or it cannot be used like that.
    """
    if given is None or given == BUILT_IN_DATA:
        return BUILT_IN_DATA, _built_in_layout(layout, condition, task)
    name = given.lower()
    try:
        path = Path(given).expanduser()
    except RuntimeError as error:  # a ~ of nobody here
        raise InvalidInputError(_unknown(given)) from error
    with readable(path):
        there = bool(given) and path.exists()  # an unset variable of a shell is not the working folder
    if there:
        if name in DATASETS:
            say(f"--data {given} is the folder {path.resolve()}; from elsewhere, it would name the paper's data set")
    elif name in DATASETS:
        return _named(name, layout, condition, task, say)
    else:
        raise InvalidInputError(_unknown(given))
    if (path / GENERATOR_FILE).is_file():
        raise InvalidInputError(f"{path} is a run, not data: go on with it with --resume, or start from it with --init")
    root, chosen = find_data(path.resolve(), layout=layout, condition=condition, task=task)
    _tell_of_the_unread(root, say)
    if root.is_file():
        say(f"{root}: every frame is decoded once to find those that differ, and again to read them")
    if layout is None and chosen is Layout.PAIRS:
        _explain_pairs(root, condition, say)
    return str(root), chosen


def _tell_of_the_unread(root: Path, say: Callable[[str], None]) -> None:
    """Phones and browsers save pictures that OpenCV does not read; a part of the data should not go missing unsaid."""
    if not root.is_dir():
        return
    with readable(root):
        folders = [root, *(path for path in root.iterdir() if path.is_dir())]
        unread = Counter(
            path.suffix.upper() for folder in folders for path in folder.iterdir() if path.suffix.lower() in UNREAD
        )
    if unread:
        kinds = ", ".join(f"{number} {suffix}" for suffix, number in sorted(unread.items()))
        say(f"{root}: left out, since their kind is not read: {kinds}; convert them to JPEG or PNG to train on them")


def _built_in_layout(layout: Layout | None, condition: Condition, task: Task) -> Layout:
    made = condition is not Condition.IDENTITY or task is Task.COLORIZE
    fitting = Layout.PHOTOS if made else Layout.PAIRS
    chosen = layout or fitting
    check_layout(chosen, condition=condition, task=task)
    if chosen is not fitting:
        why = "whose input is made of the picture here" if made else "which are label maps and pictures"
        raise InvalidInputError(f"--layout {chosen} is not that of the built-in facades, {why}: leave it out")
    return chosen


def _named(
    name: str, layout: Layout | None, condition: Condition, task: Task, say: Callable[[str], None]
) -> tuple[str, Layout]:
    if layout not in (None, Layout.PAIRS):
        raise InvalidInputError(f"{name} is a set of side-by-side pairs: leave out --layout {layout}")
    if task is Task.COLORIZE:
        raise InvalidInputError(
            f"{name} is a set of side-by-side pairs, and --task colorize learns from photographs: "
            "give --data a folder of them"
        )
    root = fetch_dataset(name, say=say)
    say(hint(name))
    located, chosen = find_data(root, layout=Layout.PAIRS, condition=condition, task=task)
    return str(located), chosen


def _explain_pairs(root: Path, condition: Condition, say: Callable[[str], None]) -> None:
    """Say what speaks against, or made, the choice of side-by-side images."""
    odd = odd_one_out(root)
    if condition is not Condition.IDENTITY:
        say(
            f"all images of {root} are twice as wide as high, so they are taken as side-by-side pairs, and "
            f"--condition {condition} is for live frames only; --layout photos learns from whole pictures"
        )
    elif odd is not None:
        path, size = odd
        say(
            f"{path} is {size.width} x {size.height}, not twice as wide as high: its halves are taken as a pair; "
            "to learn from photographs, give --condition edges"
        )


def _unknown(given: str) -> str:
    close = get_close_matches(given.lower(), DATASETS, n=1)
    meant = f" (did you mean {close[0]}?)" if close else ""
    return (
        f"there is no file, folder or data set {given[:200]!r}{meant}: give --data a folder of images, a video, "
        f"or one of {', '.join(DATASETS)}"
    )
