"""Every pair read once before training, so that a broken image is found now and not an hour later."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from core.errors import InvalidInputError

GO_ON: Final = "--skip-broken"
"""The option that has a run go on without broken pairs."""


def check_splits(
    splits: Sequence[tuple[Callable[[int], object], Sequence[str]]],
    *,
    threads: int,
    say: Callable[[str], None],
    skip: bool = False,
) -> list[str]:
    """Read each pair of ``splits`` once and ``say`` a line about every one that is broken.

    What a split's function keeps stays kept. A run that goes on names the broken pairs in ``DataConfig.skipped``, so
    that all who open its data later leave them out too; ``core.pairs.SelectedPairs`` leaves them out of a source that
    is open already.

    Args:
        splits: of each, a function that reads the pair of a number or raises ``InvalidInputError``, and what people
            call its pairs (``PairSource.name``).
        threads: how many pairs are read at a time.
        say: takes a line.
        skip: whether the run goes on without the broken pairs.

    Returns:
        The names of the broken pairs, in order.

    Raises:
        InvalidInputError: if there are broken pairs and they are not to be skipped, or nothing is left of a split.
    """
    with ThreadPoolExecutor(threads, "check") as pool:
        broken = [_broken(read, names, pool) for read, names in splits]
    reasons = {name: reason for part in broken for name, reason in part.items()}
    if not reasons:
        return []
    for name, reason in reasons.items():
        say(f"{'skipped' if skip else 'broken'}: {name}: {reason}")
    first = next(iter(reasons.values()))
    for part, (_, names) in zip(broken, splits, strict=True):
        if part and len(part) == len(names):
            raise InvalidInputError(f"{next(iter(part.values()))} (like all pairs of its split: {len(part)} of them)")
    if not skip:
        count = sum(len(names) for _, names in splits)
        mend = "this one is broken" if len(reasons) == 1 else f"{len(reasons)} are broken, all listed above"
        raise InvalidInputError(f"{first} (of {count} pairs {mend}: {GO_ON} goes on without)")
    return list(reasons)


def _broken(read: Callable[[int], object], names: Sequence[str], pool: ThreadPoolExecutor) -> dict[str, str]:
    """Name -> what is wrong, of those pairs that cannot be read."""

    def problem(index: int) -> str | None:
        try:
            read(index)
        except InvalidInputError as error:
            return str(error)
        return None

    return {names[i]: why for i, why in enumerate(pool.map(problem, range(len(names)))) if why is not None}
