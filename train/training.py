"""A checked job, trained: devices, networks, threads and folders are opened here, and closed again."""

from pathlib import Path
from typing import Any, TextIO

import torch

from core.errors import EdgeError
from core.machine import usable_cores
from train.devices import choose_device, prepare
from train.loader import BatchStream
from train.preparation import Job
from train.run_folder import open_run
from train.session import Session
from train.settings import TrainingConfig, TrainingOptions, resolve
from train.trainer import Trainer
from train.watching import Watcher


def run_job(job: Job, *, stream: TextIO) -> dict[str, Any]:
    """Train ``job``, telling ``stream`` how it goes; the summary that ``--json`` prints.

    Raises:
        EdgeError: if the device is not there, the run diverges, or its files cannot be written.
        KeyboardInterrupt: after SIGINT or SIGTERM, once the networks have been saved.
    """
    device, why = choose_device(job.options.device)
    config = resolve(job.options, device=device, pairs=len(job.pairs), cores=usable_cores())
    print(describe(job.options, config, why=why, pairs=len(job.pairs)), file=stream, flush=True)
    prepare(config)
    try:
        trainer = Trainer(config)
        loader_threads = max(1, usable_cores() // 2) if device == "cuda" else 1  # a GPU takes more than one can make
        with (
            open_run(job.folder, config, named=job.folder_named) as run,
            BatchStream(
                job.pairs,
                size=config.size,
                batch=config.batch,
                steps=config.steps,
                seed=config.seed,
                threads=loader_threads,
            ) as batches,
            Watcher(run.path, steps=config.steps, batch=config.batch, stream=stream) as watcher,
        ):
            session = Session(trainer, batches, job.held_out, run, watcher)
            seconds = session.train()
            quality = session.evaluate()
            run.write_metrics(quality, step=trainer.steps_done, seconds=seconds, waited=batches.waited)
    except torch.OutOfMemoryError as error:
        raise EdgeError("the GPU has too little memory: train with a smaller --batch, --size or --width") from error
    print(
        f"held out ({quality.pairs} pairs): L1 {quality.l1:.4f}, PSNR {quality.psnr_db:.2f} dB, "
        f"SSIM {quality.ssim:.4f}\n{run.path}\nnext: p2p-export {export_argument(run.path)}".rstrip(),
        file=stream,
        flush=True,
    )
    return {
        "run": str(run.path.resolve()),
        "name": run.name,
        "steps": trainer.steps_done,
        "seconds": round(seconds, 3),
        "steps_per_second": round(trainer.steps_done / seconds, 4),
        "device": config.device,
        "width": config.width,
        "levels": config.levels,
        "validation": quality.model_dump(),
    }


def export_argument(path: Path) -> str:
    """What ``p2p-export`` has to be given for the run in ``path``: nothing, it takes the newest one."""
    return "" if path.parent == Path("runs") else str(path)


def describe(options: TrainingOptions, config: TrainingConfig, *, why: str, pairs: int) -> str:
    """The line a run begins with: what it trains on, and which choices were made for the user."""

    def chosen(value: object) -> str:
        return "as asked" if value is not None else f"default on {config.device}"

    processor = f"{config.threads} threads" if config.device == "cpu" else "mixed precision"
    length = "as asked" if options.steps or options.epochs else f"default on {config.device}"
    return (
        f"training on {config.device} ({why}; {processor}): width {config.width} ({chosen(options.width)}), "
        f"{config.levels} levels, {config.size}, batch {config.batch}, {config.steps} steps ({length}), "
        f"{pairs} pairs of {config.data}"
    )
