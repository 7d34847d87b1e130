"""``make builtin-models``: train and export the two bundles that ship inside the package.

It types what a user would type, each command in a process of its own, and installs what came out into
``runtime/builtin/``: ``labels`` (label maps to facades, for the demo stream) and ``edges`` (edges to facades, for
cameras and clips). ``--work`` keeps the runs: those that are finished are not trained again, those that were
interrupted go on.
"""

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import typer

from core.command_line import run_command
from core.errors import GateMissedError, InvalidInputError

STEPS: Final = 2000
RECIPE: Final = (
    *("--width", "16", "--levels", "5", "--decoder", "resize", "--no-dropout", "--receptive-field", "34"),
    *("--batch", "4", "--lr", "0.001", "--ema", "0.995", "--precision", "bf16", "--threads", "1"),
)
"""776 thousand parameters, so that what is shipped of both fits the limit. bf16 and one thread: both were trained side
by side on two cores that compute in it; elsewhere it takes longer, and the bits are others."""
EXPORTED: Final = ("--fp16", "--int8")
CONDITIONS: Final = {"labels": "identity", "edges": "edges"}
SHIPPED: Final = ("fp16", "int8")
"""Precisions that are installed. The fp32 file, which a CPU runs no faster and no nearer than fp16 as it is stored here
(it computes both in fp32), would not fit beside them."""
LIMIT_BYTES: Final = 8_000_000
"""For both together."""


def make(
    work: Annotated[
        Path | None, typer.Option(help="Keep runs and bundles in this folder. [default: a temporary one]")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Training steps of each.")] = STEPS,
    only: Annotated[str | None, typer.Option(help="labels or edges. [default: both]")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where the bundles go. [default: into the package, runtime/builtin]")
    ] = None,
) -> None:
    """Train and export the built-in bundles, and put them into the package."""
    from runtime.bundle import BUILT_IN_FOLDER, BUILTINS

    if only is not None and only not in BUILTINS:
        raise InvalidInputError(f"--only {only} is not understood: choose from {', '.join(BUILTINS)}")
    names = BUILTINS if only is None else (only,)
    place = out or BUILT_IN_FOLDER
    with ExitStack() as stack:
        folder = work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="builtin-models-")))
        for name in names:
            install(_train_and_export(folder, name, steps), place / name, name=name)
    total = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    print(f"{place}: {total / 1e6:.2f} MB in all")
    if total > LIMIT_BYTES:
        raise GateMissedError(f"the built-in bundles have {total} bytes, more than the {LIMIT_BYTES} they may have")


def _train_and_export(folder: Path, name: str, steps: int) -> Path:
    """The folder of the bundle that was made."""
    from core.atomic import make_folder
    from export.demo_command import type_command

    # The commands run in the work folder: runs/latest and exports/latest of the user's own stay what they are. A run of
    # another length has another name, so that --steps is always what was trained.
    make_folder(folder)
    run, bundle = f"builtin-{name}-{steps}", f"{name}-{steps}-bundle"
    if not (folder / run / "config.json").is_file():
        recipe = [*RECIPE, "--condition", CONDITIONS[name], "--steps", str(steps)]
        type_command(["p2p-train", *recipe, "--out", run], folder=folder)
    elif not (folder / run / "metrics.json").is_file():  # which a run gets when it is finished
        type_command(["p2p-train", "--resume", run], folder=folder)
    type_command(["p2p-export", run, "--target", "onnx", *EXPORTED, "--out", bundle], folder=folder)
    return folder / bundle


def install(bundle: Path, place: Path, *, name: str) -> None:
    """Copy the artifacts of ``bundle`` to ``place``, with a manifest that says where they come from.

    Raises:
        GateMissedError: if an artifact did not pass its gate.
    """
    from core.atomic import atomic_folder
    from core.manifest import Status, read_manifest, write_manifest

    manifest = read_manifest(bundle)
    shipped = tuple(artifact for artifact in manifest.artifacts if artifact.precision in SHIPPED)
    missed = [artifact.name for artifact in shipped if artifact.status is not Status.PASSED]
    if missed:
        raise GateMissedError(f"{', '.join(missed)} of {bundle} did not pass: train longer, with --steps")
    if manifest.recommended not in {artifact.name for artifact in shipped}:
        raise GateMissedError(f"{manifest.recommended} of {bundle} is the fastest, and not among what is shipped")
    trained = f"Trained for {manifest.source.step} steps on the built-in facades ({name} in, facades out)"
    origin = f"{trained} by: make builtin-models"
    with atomic_folder(place) as folder:
        for artifact in shipped:
            for file in artifact.files:
                shutil.copyfile(bundle / file.name, folder / file.name)
        notes = (origin, *(note for note in manifest.notes if note != origin))
        source = manifest.source.model_copy(update={"name": f"builtin-{name}"})
        update = {"notes": notes, "source": source, "artifacts": shipped}
        write_manifest(folder, manifest.model_copy(update=update))


def main() -> None:
    """Entry point."""
    run_command(make, name="builtin-models")


if __name__ == "__main__":
    main()
