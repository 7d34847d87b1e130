"""Another project's generator as a run of this one: ready to be exported, evaluated, or trained on."""

from pathlib import Path
from typing import Any, TextIO

from core.checkpoint import load_generator
from core.configuration import Architecture
from train.preparation import choose_folder
from train.run_folder import write_imported
from train.training import export_argument
from train.world import World


def import_generator(file: Path, *, out: Path | None, name: str | None, stream: TextIO) -> dict[str, Any]:
    """Convert the checkpoint ``file`` into a run's folder, telling ``stream``; the summary that ``--json`` prints.

    Raises:
        CheckpointError: if it is no generator that this project knows.
        InvalidInputError: if the folder will not do or cannot be written.
    """
    generator, info = load_generator(file)
    folder = choose_folder(out, name, data=info.name, world=World())
    info = info.model_copy(update={"name": folder.resolve().name})
    write_imported(folder, generator, info)
    config = info.generator
    blocks = f"{config.blocks} blocks" if config.architecture is Architecture.RESNET else f"{config.levels} levels"
    print(
        f"{info.origin or file}: {config.architecture}, width {config.width}, {blocks}, {config.norm} norm, "
        f"{config.in_channels} to {config.out_channels} channels, {info.data.height}x{info.data.width}\n"
        f"{folder}\nnext: p2p-export {export_argument(folder)}".rstrip(),
        file=stream,
        flush=True,
    )
    return {"run": str(folder.resolve()), "name": info.name, "generator": config.model_dump(mode="json")}
