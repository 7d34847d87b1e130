"""What is to be exported to what: the checkpoint, the targets x precisions, and why some cannot be made here.

Nothing here loads PyTorch, so that what cannot be done is said at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.atomic import check_creatable, find_latest
from core.configuration import GENERATOR_FILE
from core.errors import BundleError, InvalidInputError, MissingDependencyError, UnavailableError
from core.export_record import LeftOut, RangeMethod
from core.formats import Target
from core.machine import this_machine
from core.manifest import MANIFEST_NAME, REPORT_NAME, read_manifest
from core.precision import Precision


@dataclass(frozen=True, slots=True)
class Planned:
    """An artifact to make, in every size asked for."""

    target: Target
    precision: Precision


def plan_artifacts(
    targets: Sequence[Target], precisions: Sequence[Precision], *, named: bool, method: RangeMethod | None = None
) -> tuple[list[Planned], list[LeftOut]]:
    """What to make of ``targets`` in ``precisions``, and what is left out.

    Args:
        targets: rows of the table.
        precisions: each is made of every target that has it.
        named: whether the user named the targets: what cannot be made is then an error.
        method: how INT8 ranges are to be found; None: as each target does.

    Raises:
        MissingDependencyError, UnavailableError: for a named target that cannot be made here.
        InvalidInputError: if nothing is left, or a named target has none of ``precisions``.
    """
    planned: list[Planned] = []
    left_out: list[LeftOut] = []
    for target in targets:
        try:
            check_buildable(target)
        except (MissingDependencyError, UnavailableError) as error:
            if named:
                raise
            left_out.append(LeftOut(target=target.name, reason=str(error)))
            continue
        if named and not set(target.precisions) & set(precisions):
            has = ", ".join(target.precisions)
            raise InvalidInputError(f"{target.title} comes in {has} only: add --{target.precisions[0]}")
        wanted = [precision for precision in target.precisions if precision in precisions]
        if method not in (None, *target.range_methods) and Precision.INT8 in wanted:
            reason = f"{target.title} has no ranges by {method}, only by {', '.join(target.range_methods)}"
            if named:
                raise InvalidInputError(f"{reason}: give another --method")
            left_out.append(LeftOut(target=target.name, precision=Precision.INT8, reason=reason))
            wanted.remove(Precision.INT8)
        planned += [Planned(target, precision) for precision in wanted]
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


def find_checkpoint(place: Path | None) -> Path:
    """The generator's file of a run folder (default: ``runs/latest``), or ``place`` itself if it is a file.

    Raises:
        InvalidInputError: if there is no run, or the folder is none.
    """
    if place is None:
        place = find_latest(Path("runs"))
        if place is None:
            raise InvalidInputError("there is no run to export in runs/: train one with p2p-train")
    if not place.exists():
        raise InvalidInputError(f"there is no run or checkpoint {place}: train one with p2p-train")
    if place.is_dir():
        if not (place / GENERATOR_FILE).is_file():
            raise InvalidInputError(f"{place} is not a run (it has no {GENERATOR_FILE}): train one with p2p-train")
        return place / GENERATOR_FILE
    return place


def check_replaceable(out: Path) -> None:
    """Refuse a place that cannot be made, and to replace a folder that holds anything but an older bundle.

    Raises:
        InvalidInputError: naming what is in the way, or would be lost.
    """
    if out.name == "latest":
        raise InvalidInputError(f"{out}: the name latest is kept for the link to the newest bundle: give another --out")
    check_creatable(out)
    if out.resolve() == Path.cwd():
        raise InvalidInputError(
            f"--out {out} is the folder you are in, which a bundle would replace: give another name"
        )
    if not out.exists():
        return
    if not out.is_dir():
        raise InvalidInputError(f"{out} is a file: give --out a folder")
    ours: set[str] = set()
    if (out / MANIFEST_NAME).is_file():
        try:
            artifacts = read_manifest(out).artifacts
        except BundleError as error:
            raise InvalidInputError(
                f"{out} holds a bundle that cannot be read: remove it, or give another --out"
            ) from error
        ours = {MANIFEST_NAME, REPORT_NAME, *(file.name for artifact in artifacts for file in artifact.files)}
    others = sorted(path.name for path in out.iterdir() if path.name not in ours)
    if others:
        raise InvalidInputError(f"{out} holds {others[0]}, which is no part of a bundle: give --out another folder")
