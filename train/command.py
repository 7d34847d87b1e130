"""The command ``p2p-train``: parse, check, build, run, close. PyTorch is imported once the input is checked."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from core.command_line import run_command
from core.errors import MissingDependencyError
from core.opencv import require_opencv


def train(
    data: Annotated[
        Path | None, typer.Option(help="Folder of side-by-side A|B images. [default: the built-in facades]")
    ] = None,
    direction: Annotated[str, typer.Option(help="Which half is the input: AtoB or BtoA.")] = "AtoB",
    condition: Annotated[
        str,
        typer.Option(
            help="What is made of a live frame before the generator: identity, edges, grayscale. "
            "The built-in data is trained on the same, made of its pictures."
        ),
    ] = "identity",
    size: Annotated[str, typer.Option(help="256, or height x width: 384x640.")] = "256",
    width: Annotated[
        int | None, typer.Option(help="Channels of the first layer. [default: 64 on CUDA, 32 on a CPU]")
    ] = None,
    levels: Annotated[int | None, typer.Option(help="Halvings. [default: all the size allows, up to 8]")] = None,
    batch: Annotated[int, typer.Option(help="Pairs a step.")] = 1,
    steps: Annotated[
        int | None,
        typer.Option(help="Training steps. [default: 2000 on a CPU; on CUDA 20000, or 200 epochs of a folder]"),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data, instead of --steps.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[
        int, typer.Option(help="Of weights, order, augmentation and dropout; not of the built-in data.")
    ] = 0,
    out: Annotated[Path | None, typer.Option(help="Run folder. [default: runs/<data>-<date>-<time>]")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run folder below runs/.")] = None,
    norm: Annotated[str, typer.Option(help="Normalization: batch, instance or none.")] = "batch",
    padding: Annotated[str, typer.Option(help="Padding of the generator: zeros or reflect.")] = "zeros",
    decoder: Annotated[
        str, typer.Option(help="transposed, or resize (no checkerboard, quantizes whole).")
    ] = "transposed",
    gan: Annotated[str, typer.Option(help="Adversarial objective: bce, lsgan or hinge.")] = "bce",
    l1: Annotated[float, typer.Option(help="Weight of the L1 distance.")] = 100.0,
    lr: Annotated[
        float, typer.Option(help="Learning rate; constant, then from half of the steps on down to 0.")
    ] = 2e-4,
    receptive_field: Annotated[int, typer.Option(help="Of the discriminator: 1, 16, 34, 70, 142 or 286 pixels.")] = 70,
    d_width: Annotated[
        int | None, typer.Option(help="Channels of the discriminator's first layer. [default: as --width]")
    ] = None,
    dropout: Annotated[bool, typer.Option(help="Dropout in the three deepest decoder layers.")] = True,
    sample_every: Annotated[
        int | None, typer.Option(help="Steps between sample sheets, each with a checkpoint. [default: a tenth]")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=512, help="CPU threads. [default: all cores]")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON; progress goes to stderr.")
    ] = False,
) -> None:
    """Train a paired image translator (pix2pix) and leave it, its samples and its figures in a run folder."""
    options = dict(locals())
    for own in ("out", "name", "as_json"):
        options.pop(own)
    _train(options, out=out, name=name, as_json=as_json)


def _train(options: dict[str, Any], *, out: Path | None, name: str | None, as_json: bool) -> None:
    require_opencv()
    from train.preparation import prepare_job

    job = prepare_job(options, out=out, name=name)
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("torch", "train", "training") from error
    from train.training import run_job

    summary = run_job(job, stream=sys.stderr if as_json else sys.stdout)
    if as_json:
        print(json.dumps(summary, indent=2))


def main() -> None:
    """Entry point of ``p2p-train``."""
    run_command(train, name="p2p-train")


if __name__ == "__main__":
    main()
