"""What a bundle is to contain: targets x precisions, and why some of them cannot be made here."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import InvalidInputError, MissingDependencyError, UnavailableError
from core.formats import Target
from core.machine import this_machine
from core.precision import Precision


@dataclass(frozen=True, slots=True)
class Planned:
    """An artifact to make."""

    target: Target
    precision: Precision


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A target that cannot be made here, and why."""

    target: Target
    reason: str


def plan_artifacts(
    targets: Sequence[Target], precisions: Sequence[Precision], *, named: bool
) -> tuple[list[Planned], list[LeftOut]]:
    """What to make of ``targets`` in ``precisions``, and what is left out.

    Args:
        targets: rows of the table.
        precisions: each is made of every target that has it.
        named: whether the user named the targets: what cannot be made is then an error.

    Raises:
        MissingDependencyError, UnavailableError: for a named target that cannot be made here.
        InvalidInputError: if nothing is left.
    """
    planned: list[Planned] = []
    left_out: list[LeftOut] = []
    for target in targets:
        try:
            check_buildable(target)
        except (MissingDependencyError, UnavailableError) as error:
            if named:
                raise
            left_out.append(LeftOut(target, str(error)))
            continue
        planned += [Planned(target, precision) for precision in target.precisions if precision in precisions]
    if not planned:
        raise InvalidInputError("none of the targets can be made here: " + "; ".join(row.reason for row in left_out))
    return planned, left_out


def check_buildable(target: Target) -> None:
    """Refuse a target whose library or hardware is missing.

    Raises:
        MissingDependencyError: naming the extra to install.
        UnavailableError: if it takes a GPU that is not here.
    """
    if target.needs_gpu_to_build and this_machine().gpu is None:
        raise UnavailableError(f"{target.title} builds only on the NVIDIA GPU it is for, and there is none here")
    target.require(build=True)
