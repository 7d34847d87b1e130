"""Training against a plain loop as the public pix2pix repositories have it, on the same images, in one run.

``python -m benchmarks.training [--width 64] [--batch 1,4,16] [--precision fp32,bf16] [--compile] [--cuda-graph]
[--channels-last] [--default-adam] [--other-cache] [--steps 5] [--blocks 6] [--data DIR] [--json OUT]``

The reference (``benchmarks.reference_training``) decodes, resizes and normalizes with PIL and torchvision in DataLoader
workers and trains eagerly in PyTorch's default fp32 (on a GPU cuDNN then uses TF32) with the default Adam. Ours is
``train.trainer.Trainer`` with the feed that ``p2p-train`` opens. Before anything is timed, parameters and FLOP of both
are counted and must be equal. All candidates of one width and batch size are open at once, a process each; they take
turns in blocks whose order rotates from round to round, with warm-up steps in each block that do not count. Speed-ups
are ratios of blocks of one round. On a CPU every step is timed; on a GPU whole blocks are, between two
synchronizations. *Waiting* is the time until a batch was handed over, in both loops alike; *memory* the peak of the
process with its workers (GPU: of tensors); *start* the time from opening the data to the end of the first steps, with
decoding, compiling and the choice of kernels.
"""

import contextlib
import itertools
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

import torch
import typer
from rich.console import Console
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import reference_training
from benchmarks.training_candidates import (
    Candidate,
    CandidateProcess,
    Ready,
    Refused,
    count_parameters,
    levels_of,
)
from benchmarks.training_report import Row, table
from core.atomic import write_text
from core.command_line import run_command
from core.configuration import DiscriminatorConfig, GeneratorConfig
from core.data_layout import find_root
from core.errors import InvalidInputError
from core.facades import facade_pair
from core.frames import side_by_side, write_image
from core.image_pairs import find_images
from core.machine import library_versions, this_machine
from core.networks import PatchDiscriminator, UNetGenerator
from core.splits import Split
from train.devices import choose_device
from train.settings import Precision

RESULTS: Final = Path(__file__).parent / "results"
SMALLEST: Final = 32
"""Pixels a side: the reference's U-Net halves at least five times."""
FIRST_STEPS: Final = {"cpu": 2, "cuda": 6}
"""Steps that are part of the start: a CUDA graph is captured in the fourth."""
WARM_UP: Final = {"cpu": 1, "cuda": 10}
STEPS: Final = {"cpu": 5, "cuda": 100}
BATCHES: Final = {"cpu": (1, 4), "cuda": (1, 4, 16)}
PRECISIONS: Final[dict[str, tuple[Precision, ...]]] = {"cpu": ("fp32",), "cuda": ("fp32", "tf32", "bf16")}


def candidates(
    device: Literal["cpu", "cuda"],
    *,
    width: int,
    batch: int,
    size: int,
    data: Path,
    precisions: tuple[Precision, ...],
    compiled: bool,
    graphed: bool,
    channels_last: bool = False,
    default_adam: bool = False,
    other_cache: bool = False,
) -> list[Candidate]:
    """The reference; ours in every combination of precision and compilation; and variations of one of them.

    Graphs are of the last precision, which on a GPU is the fastest; the other variations of the first one.
    """
    same: dict[str, Any] = {"width": width, "batch": batch, "size": size, "device": device, "data": data}
    made = [Candidate(name=f"reference, eager {'TF32' if device == 'cuda' else 'fp32'}", reference=True, **same)]
    combined = [(precision, False, compile_) for precision in precisions for compile_ in (False, True)[: 1 + compiled]]
    combined += [(precisions[-1], True, compile_) for compile_ in (False, True)[: 1 + compiled] if graphed]
    for precision, graph, compile_ in combined:
        name = f"ours, {precision}" + ", compiled" * compile_ + ", CUDA graph" * graph
        options = {"precision": precision, "compile": compile_, "cuda_graph": graph}
        made.append(Candidate(name=name, options=options, **same))
    plain = {"precision": precisions[0]}
    begin = f"ours, {precisions[0]}"
    if channels_last:
        made.append(Candidate(name=f"{begin}, channels last", options=plain, channels_last=True, **same))
    if default_adam:
        made.append(Candidate(name=f"{begin}, default Adam", options=plain, default_adam=True, **same))
    if other_cache:
        other = "host" if device == "cuda" else "device"
        made.append(Candidate(name=f"{begin}, cache on the {other}", options=plain | {"cache": other}, **same))
    return made


def measure(tried: list[Candidate], *, steps: int, blocks: int, warm_up: int, console: Console) -> list[Row]:
    """Time ``tried``, which belong together, in ``blocks`` rounds of rotating order."""
    rows = [Row(candidate=candidate) for candidate in tried]
    with ExitStack() as opened:
        processes = [opened.enter_context(CandidateProcess(candidate)) for candidate in tried]
        for row, process in zip(rows, processes, strict=True):
            console.print(f"opening {row.candidate.name}, width {row.candidate.width}, batch {row.candidate.batch}")
            answer = process.start(FIRST_STEPS[row.candidate.device])
            if isinstance(answer, Ready):
                row.ready = answer
            else:
                row.reason = answer.reason
        for number in range(blocks):
            turn = number % len(rows)
            for row, process in [*zip(rows, processes, strict=True)][turn:] + [*zip(rows, processes, strict=True)][
                :turn
            ]:
                if row.reason is not None:
                    continue
                block = process.block(warm_up=warm_up, steps=steps)
                if isinstance(block, Refused):
                    row.reason = block.reason
                else:
                    row.blocks[number] = block
            console.print(f"round {number + 1} of {blocks} done")
    _check_parameters(rows)
    return rows


def check_same_work(width: int, size: int) -> dict[str, int]:
    """Parameters of both networks and FLOP of their forward passes on one pair, after both sides gave the same.

    Raises:
        AssertionError: if the reference does other work than ours.
    """
    levels = levels_of(size)
    with torch.device("meta"):
        image, pair = torch.empty(1, 3, size, size), torch.empty(1, 6, size, size)
        ours = _work(UNetGenerator(GeneratorConfig(width=width, levels=levels)), image)
        discriminator = PatchDiscriminator(DiscriminatorConfig(width=width))
        ours |= {f"discriminator_{key}": value for key, value in _work(discriminator.layers, pair).items()}
        theirs = _work(reference_training.unet(width, levels), image)
        judge = _work(reference_training.patch_gan(width), pair)
        theirs |= {f"discriminator_{key}": value for key, value in judge.items()}
    if ours != theirs:
        raise AssertionError(f"the reference is not the same work: {theirs}, ours {ours}")
    return ours


def _work(network: nn.Module, images: torch.Tensor) -> dict[str, int]:
    with FlopCounterMode(display=False) as counter:
        network(images)
    return {"parameters": count_parameters(network), "flop": counter.get_total_flops()}


def _check_parameters(rows: list[Row]) -> None:
    counts = {row.ready.parameters for row in rows if row.ready is not None}
    if len(counts) > 1:
        raise AssertionError(f"candidates trained networks of other sizes: {counts}")


@contextlib.contextmanager
def opened_data(given: Path | None, *, pairs: int, size: int) -> Iterator[Path]:
    """The folder of images: the one given, or a temporary one with ``pairs`` built-in houses as JPEG, side by side."""
    if given is not None:
        yield find_root(given.resolve())
        return
    with tempfile.TemporaryDirectory() as folder:
        for i in range(pairs + 1):
            pair = facade_pair(i, size=size)
            place = Path(folder) / ("train" if i < pairs else "val")
            place.mkdir(exist_ok=True)
            write_image(place / f"{i}.jpg", side_by_side(pair.labels, pair.photo))
        yield Path(folder)


def main(
    width: Annotated[str, typer.Option(help="Widths of both networks, comma-separated.")] = "64",
    batch: Annotated[str, typer.Option(help="Batch sizes, comma-separated: 1,4 on a CPU, 1,4,16 on a GPU.")] = "",
    precision: Annotated[
        str, typer.Option(help="Of ours, comma-separated: fp32 on a CPU, fp32,tf32,bf16 on a GPU.")
    ] = "",
    compile_: Annotated[
        bool | None, typer.Option("--compile/--no-compile", help="Also with torch.compile; the default on a GPU.")
    ] = None,
    cuda_graph: Annotated[
        bool | None, typer.Option("--cuda-graph/--no-cuda-graph", help="Also as one CUDA graph; the default on a GPU.")
    ] = None,
    channels_last: Annotated[bool, typer.Option("--channels-last", help="Also with channels last on a CPU.")] = False,
    default_adam: Annotated[bool, typer.Option("--default-adam", help="Also with Adam that is not fused.")] = False,
    other_cache: Annotated[bool, typer.Option("--other-cache", help="Also with images cached elsewhere.")] = False,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to train.")] = "auto",
    steps: Annotated[int | None, typer.Option(min=1, help="Counted steps a block: 5 on a CPU, 100 on a GPU.")] = None,
    blocks: Annotated[int, typer.Option(min=1, help="Blocks per candidate.")] = 6,
    size: Annotated[int, typer.Option(min=SMALLEST, help="Height and width of the pictures.")] = 256,
    pairs: Annotated[int, typer.Option(min=1, help="Built-in houses to train on.")] = 400,
    data: Annotated[Path | None, typer.Option(help="A folder of side-by-side images instead.")] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="Where to keep the raw figures.")] = None,
) -> None:
    """Compare training with the plain loop of the public repositories."""
    kind, why = choose_device(device)
    widths, batches = _numbers(width, "--width"), _numbers(batch, "--batch") or BATCHES[kind]
    precisions = _precisions(precision) or PRECISIONS[kind]
    if size % SMALLEST:
        raise InvalidInputError(
            f"--size {size} is not a multiple of {SMALLEST}, which both networks can halve: use 256"
        )
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{this_machine()}; {kind}: {why}")
    load = os.getloadavg()
    options: dict[str, Any] = {"precisions": precisions, "compiled": compile_, "graphed": cuda_graph}
    options = {key: kind == "cuda" if value is None else value for key, value in options.items()}
    singles: dict[str, Any] = {"channels_last": channels_last, "default_adam": default_adam, "other_cache": other_cache}
    work = {str(each): check_same_work(each, size) for each in widths}
    rows: list[Row] = []
    with opened_data(data, pairs=pairs, size=size) as folder:
        count = len(find_images(folder, Split.TRAIN))
        if count < max(batches):
            raise InvalidInputError(f"{count} pairs make no batch of {max(batches)}: give --data or --pairs with more")
        for each, number in itertools.product(widths, batches):
            tried = candidates(kind, width=each, batch=number, size=size, data=folder, **options, **singles)
            counted, warm_up = steps or STEPS[kind], WARM_UP[kind]
            rows += measure(tried, steps=counted, blocks=blocks, warm_up=warm_up, console=console)
    if kind == "cpu" and not torch.cuda.is_available():
        rows += _not_run(widths, size)
    console.print(f"\n{table(rows, unit='s' if kind == 'cpu' else 'ms')}\n")
    record = {
        "benchmark": "training",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": this_machine().model_dump(mode="json"),
        "libraries": library_versions(),
        "load_before": [round(value, 2) for value in load],
        "load_after": [round(value, 2) for value in os.getloadavg()],
        "size": size,
        "pairs": count,
        "built_in_data": data is None,
        "steps": counted,
        "warm_up": warm_up,
        "work": work,
        "rows": [row.record() for row in rows],
    }
    named = f"{record['date']}-training-{kind}-width{'-'.join(map(str, widths))}-{this_machine().fingerprint[:6]}.json"
    path = json_ or RESULTS / named
    write_text(path, json.dumps(record) + "\n")
    console.print(f"raw figures: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def _not_run(widths: tuple[int, ...], size: int) -> list[Row]:
    """What would be measured on a GPU: the same rows, with the reason."""
    common: dict[str, Any] = {"width": max(widths), "batch": 1, "size": size, "data": Path()}
    tried = candidates("cuda", precisions=PRECISIONS["cuda"], compiled=True, graphed=True, **common)
    batches = ", ".join(map(str, BATCHES["cuda"]))
    return [Row(candidate=each, reason=f"not run (batch {batches}): no CUDA device") for each in tried]


def _numbers(text: str, option: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and 0 < int(part) <= 1024 for part in parts) or (option == "--width" and not parts):
        raise InvalidInputError(f"{option} {text!r} is not understood: give numbers from 1 to 1024, like 1,4")
    return tuple(int(part) for part in parts)


def _precisions(text: str) -> tuple[Precision, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    unknown = set(parts) - set(get_args(Precision))
    if unknown:
        raise InvalidInputError(f"--precision {min(unknown)} is unknown: choose from {', '.join(get_args(Precision))}")
    return tuple(known for known in get_args(Precision) if known in parts)


if __name__ == "__main__":
    run_command(main, name="training")
