"""The command ``p2p-train``: parse, check, build, run, close. PyTorch is imported once the input is checked."""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer

from core.command_line import run_command
from core.errors import InvalidInputError, MissingDependencyError
from core.opencv import require_opencv

NEVER_CONFIGURED: Final = {"context", "config", "resume", "evaluate", "import_file", "as_json"}
"""Parameters that are no options of a run, and so of no configuration file."""
OF_EVALUATION: Final = {"split", "paper_mode", "limit"}
OF_A_FOLDER: Final = {"out", "name", "skip_broken"}
GOES_WITH: Final = {
    "resume": {"device", "threads"},
    "evaluate": {"data", "layout", "direction", "device", "threads", "seed", "out"} | OF_EVALUATION,
    "import_file": {"out", "name"},
}
"""What may be said beside the options that train no new run."""


def train(
    context: typer.Context,
    data: Annotated[
        str | None,
        typer.Option(
            help="A folder of side-by-side A|B images, of A/ and B/, or of photographs; a video; or a set of the "
            "paper by name: facades, maps, edges2shoes, edges2handbags, night2day, cityscapes. "
            "[default: the built-in facades]"
        ),
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="How the pairs lie there: pairs, folders or photos. [default: found out]")
    ] = None,
    direction: Annotated[str, typer.Option(help="Which half is the input: AtoB or BtoA.")] = "AtoB",
    condition: Annotated[
        str,
        typer.Option(
            help="What is made of a live frame before the generator: identity, edges, grayscale. "
            "Photographs, videos and the built-in data are trained on the same, made of their pictures."
        ),
    ] = "identity",
    task: Annotated[str, typer.Option(help="translate, or colorize: lightness to colour.")] = "translate",
    config: Annotated[
        Path | None, typer.Option(help="Options from a .yaml or .toml file, or a run's config.json; others go before.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with a run: its folder or name, or latest.")] = None,
    init: Annotated[
        Path | None, typer.Option(help="Start from the generator of a run, or of another project's .pth file.")
    ] = None,
    size: Annotated[str, typer.Option(help="256, or height x width: 384x640.")] = "256",
    jitter: Annotated[
        float, typer.Option(help="Enlarge pairs by this, then cut out a random part; 1: take them as they are.")
    ] = 286 / 256,
    mirror: Annotated[bool, typer.Option(help="Mirror half of the pairs.")] = True,
    architecture: Annotated[str, typer.Option(help="Generator: unet or resnet.")] = "unet",
    width: Annotated[
        int | None, typer.Option(help="Channels of the first layer. [default: 64 on CUDA, 32 on a CPU]")
    ] = None,
    levels: Annotated[int | None, typer.Option(help="Halvings. [default: all the size allows, up to 8]")] = None,
    blocks: Annotated[int, typer.Option(help="Residual blocks of a ResNet.")] = 9,
    in_channels: Annotated[int, typer.Option(help="3: colours; 1: brightness only.")] = 3,
    out_channels: Annotated[int, typer.Option(help="3: colours; 1: shades of gray.")] = 3,
    norm: Annotated[str, typer.Option(help="Normalization: batch, instance or none.")] = "batch",
    padding: Annotated[str, typer.Option(help="Padding of the generator: zeros, or reflect as ResNets do.")] = "zeros",
    decoder: Annotated[
        str, typer.Option(help="transposed, or resize (no checkerboard, quantizes whole).")
    ] = "transposed",
    skip_activation: Annotated[
        str, typer.Option(help="What a U-Net's skip connections carry: relu or leaky_relu.")
    ] = "relu",
    dropout: Annotated[bool, typer.Option(help="Dropout in the three deepest decoder layers.")] = True,
    batch: Annotated[int, typer.Option(help="Pairs a step, of all processes together.")] = 1,
    steps: Annotated[
        int | None,
        typer.Option(help="Training steps. [default: 2000 on a CPU; on CUDA 20000, or 200 epochs of a folder]"),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data, instead of --steps.")] = None,
    gan: Annotated[str, typer.Option(help="Adversarial objective: bce, lsgan or hinge.")] = "bce",
    distance: Annotated[str, typer.Option(help="Distance to the target: l1 or l2.")] = "l1",
    l1: Annotated[float, typer.Option(help="Weight of that distance.")] = 100.0,
    smooth_labels: Annotated[
        bool, typer.Option("--smooth-labels", help="Tell the discriminator 0.8 to 1.2 of real patches instead of 1.")
    ] = False,
    switch_labels: Annotated[
        float, typer.Option(help="Probability of switching the discriminator's answers; falls to 0.")
    ] = 0.0,
    instance_noise: Annotated[
        float, typer.Option(help="Standard deviation of noise on the discriminator's inputs; falls to 0.")
    ] = 0.0,
    lr: Annotated[float, typer.Option(help="Adam's learning rate.")] = 2e-4,
    beta1: Annotated[float, typer.Option(help="Adam's first momentum.")] = 0.5,
    schedule: Annotated[
        str, typer.Option(help="Of the rate: linear (to 0 in the second half), cosine or constant.")
    ] = "linear",
    ema: Annotated[
        float, typer.Option(help="Decay of a moving average of the generator (0.999), for samples and export; 0: none.")
    ] = 0.0,
    receptive_field: Annotated[int, typer.Option(help="Of the discriminator: 1, 16, 34, 70, 142 or 286 pixels.")] = 70,
    d_width: Annotated[
        int | None, typer.Option(help="Channels of the discriminator's first layer. [default: as --width]")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="auto (16 bits on CUDA, fp32 on a CPU), fp32, tf32, bf16 or fp16.")
    ] = "auto",
    compile: Annotated[bool, typer.Option("--compile", help="Compile the networks (torch.compile).")] = False,  # noqa: A002
    cuda_graph: Annotated[bool, typer.Option("--cuda-graph", help="Replay the step as one CUDA graph.")] = False,
    cache: Annotated[
        str, typer.Option(help="Where images are kept and augmented: host, device (GPU memory) or auto.")
    ] = "auto",
    shard: Annotated[bool, typer.Option("--shard", help="Spread the networks over all GPUs (FSDP).")] = False,
    threads: Annotated[int | None, typer.Option(min=1, max=512, help="CPU threads. [default: all cores]")] = None,
    seed: Annotated[
        int, typer.Option(help="Of weights, order, augmentation and dropout; not of the built-in data.")
    ] = 0,
    sample_every: Annotated[
        int | None,
        typer.Option(
            help="Steps between sample sheets (rows: input, output, target), each with a validation and a checkpoint. "
            "[default: a tenth]"
        ),
    ] = None,
    checkpoint_minutes: Annotated[float, typer.Option(help="Make a checkpoint when the last one is so old.")] = 5.0,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Go on without images that cannot be read.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Run folder. [default: runs/<data>-<date>-<time>]")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run folder below runs/.")] = None,
    evaluate: Annotated[
        Path | None, typer.Option(help="Train nothing; measure a run or a checkpoint on --split of its data or --data.")
    ] = None,
    split: Annotated[str, typer.Option(help="With --evaluate: train, val or test.")] = "val",
    paper_mode: Annotated[
        bool, typer.Option("--paper-mode", help="With --evaluate: as the paper tests, with dropout.")
    ] = False,
    limit: Annotated[int | None, typer.Option(help="With --evaluate: measure so many pairs at most.")] = None,
    import_file: Annotated[
        Path | None,
        typer.Option("--import", help="Train nothing; make a run of another project's generator (.pth), to export."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON; progress goes to stderr.")
    ] = False,
) -> None:
    """Train a paired image translator (pix2pix) and leave it, its samples and its figures in a run folder."""
    parameters = dict(locals())
    given = {key for key in context.params if _is_given(context, key)}
    modes = [mode for mode in GOES_WITH if mode in given]
    if len(modes) > 1:
        raise InvalidInputError(f"{_option(modes[0])} and {_option(modes[1])} exclude each other: give one of them")
    stream = sys.stderr if as_json else sys.stdout
    require_opencv()
    from core.opencv import quiet_opencv

    quiet_opencv(threads=1)  # frames are small, and the cores belong to the networks
    if modes:
        _refuse_beside(modes[0], given - NEVER_CONFIGURED - GOES_WITH[modes[0]])
        values = {key: parameters[key] for key in given & GOES_WITH[modes[0]]}
        summary = {"resume": _resume, "evaluate": _evaluate, "import_file": _import}[modes[0]](
            parameters[modes[0]], values, stream
        )
    else:
        _refuse_beside("", given & OF_EVALUATION)
        values = {key: parameters[key] for key in given - NEVER_CONFIGURED}
        if config is not None:
            from train.config_file import read_config

            values = read_config(config, parameters.keys() - NEVER_CONFIGURED - OF_EVALUATION) | values
        summary = _train(values, stream)
    if as_json and summary:
        print(json.dumps(summary, indent=2))


def _train(values: dict[str, Any], stream: TextIO) -> dict[str, Any]:
    from train.preparation import check_text, prepare_job

    options = {key: value for key, value in values.items() if key not in OF_A_FOLDER}
    out, name = values.get("out"), values.get("name")
    for key in ("out", "name"):
        check_text(key, values.get(key))
    skip_broken = values.get("skip_broken", False)
    if not isinstance(skip_broken, bool):
        raise InvalidInputError(f"skip_broken = {skip_broken!r}: input should be true or false")
    job = prepare_job(
        options, out=out if out is None else Path(out), name=name, skip_broken=skip_broken, say=_sayer(stream)
    )
    _require_torch("training")
    from train.training import run_job

    return run_job(job, stream=stream)


def _resume(place: Path, values: dict[str, Any], stream: TextIO) -> dict[str, Any]:
    from train.preparation import prepare_resumption

    job = prepare_resumption(place, values, say=_sayer(stream))
    _require_torch("training")
    from train.training import run_job

    return run_job(job, stream=stream)


def _evaluate(place: Path, values: dict[str, Any], stream: TextIO) -> dict[str, Any]:
    from train.preparation import prepare_evaluation

    request = prepare_evaluation(place, values)
    _require_torch("evaluation")
    from train.evaluate import evaluate_job
    from train.evaluation_data import with_data

    return evaluate_job(with_data(request, say=_sayer(stream)), stream=stream)


def _import(file: Path, values: dict[str, Any], stream: TextIO) -> dict[str, Any]:
    from train.preparation import check_import

    check_import(file)
    _require_torch("an import")
    from train.importing import import_generator

    return import_generator(file, out=values.get("out"), name=values.get("name"), stream=stream)


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _refuse_beside(mode: str, others: Iterable[str]) -> None:
    wrong = sorted(_option(other) for other in others)
    if wrong and mode:
        raise InvalidInputError(f"{wrong[0]} has no meaning with {_option(mode)}: leave it out")
    if wrong:
        raise InvalidInputError(f"{wrong[0]} has a meaning with --evaluate only: leave it out")


def _option(parameter: str) -> str:
    return "--" + parameter.removesuffix("_file").replace("_", "-")


def _sayer(stream: TextIO) -> Callable[[str], None]:
    """Prints lines; of several processes only the main one does."""
    from train.world import World

    if not World.from_environment().is_main:
        return lambda _line: None
    return lambda line: print(line, file=stream, flush=True)


def _require_torch(purpose: str) -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("torch", "train", purpose) from error


def main() -> None:
    """Entry point of ``p2p-train``."""
    run_command(train, name="p2p-train")


if __name__ == "__main__":
    main()
