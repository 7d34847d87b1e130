"""A checked job, trained: devices, networks, threads and folders are opened here, and closed again."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

import torch

from core.checkpoint import load_generator
from core.configuration import build_settings
from core.errors import EdgeError, InvalidInputError
from core.machine import usable_cores
from core.networks import Generator
from train.defaults import resolve
from train.devices import check_device, choose_device, computed_in, local_device, prepare
from train.feeding import DeviceFeed, Feed, HostFeed, fits_in_device_memory
from train.loader import BatchStream
from train.order import DataOrder
from train.parallel import joined
from train.preparation import Job
from train.recording import Recorder
from train.run_folder import RunFolder, open_run, reopen_run
from train.run_record import RunRecord
from train.session import Session
from train.settings import TrainingConfig, TrainingOptions
from train.trainer import Trainer
from train.training_state import Progress, restore_state
from train.watching import Watcher
from train.world import World


def run_job(job: Job, *, stream: TextIO) -> dict[str, Any]:
    """Train ``job``, telling ``stream`` how it goes; the summary that ``--json`` prints (of the main process only).

    Raises:
        EdgeError: if the device is not there, the run diverges, or its files cannot be written.
        KeyboardInterrupt: after SIGINT or SIGTERM, once the networks have been saved.
    """
    device, why = choose_device(job.options.device)
    options, initial = _with_initial_weights(job)
    config = resolve(options, device=device, pairs=len(job.pairs), cores=own_cores(job.world))
    check_device(config, job.world)
    if job.world.is_main:
        print(describe(config, why=why, job=job), file=stream, flush=True)
    prepare(config, job.world)
    try:
        with ExitStack() as opened:
            opened.enter_context(joined(job.world, local_device(config.device, job.world)))
            trainer = Trainer(config, world=job.world, initial=initial)
            run = opened.enter_context(_folder(job, config)) if job.world.is_main else None
            state = RunFolder(job.folder, config).state
            before = restore_state(state, trainer) if job.resumed and state.is_file() else Progress(0, 0.0, 0.0)
            feed = opened.enter_context(open_feed(job, config, trainer))
            recorder = opened.enter_context(_recorder(job, run, stream, before.step)) if run else None
            progress = Session(trainer, feed, recorder, before).train()
            return _finish(recorder, config, progress) if recorder else {}
    except torch.OutOfMemoryError as error:
        raise EdgeError("the GPU has too little memory: train with a smaller --batch, --size or --width") from error


def open_feed(job: Job, config: TrainingConfig, trainer: Trainer) -> Feed:
    """The batches of ``job`` from the step on that ``trainer`` has come to, on its device."""
    order = DataOrder(
        pairs=len(job.pairs),
        batch=config.batch,
        large=job.pairs.size,
        size=config.size,
        seed=config.seed,
        mirror=config.mirror,
        world=job.world,
    )
    on_gpu = trainer.device.type == "cuda"
    threads = max(1, own_cores(job.world) // 2) if on_gpu else 1  # a GPU takes more than one can make
    if config.cache == "device" or (config.cache == "auto" and fits_in_device_memory(job.pairs, trainer.device)):
        return DeviceFeed(
            job.pairs,
            order,
            steps=config.steps,
            first_step=trainer.steps_done,
            device=trainer.device,
            threads=own_cores(job.world),
        )
    batches = BatchStream(job.pairs, order, steps=config.steps, first_step=trainer.steps_done, threads=threads)
    return HostFeed(batches, trainer.device)


def _with_initial_weights(job: Job) -> tuple[TrainingOptions, Generator | None]:
    """The job's options, and the generator to start from, whose kind and size are taken over.

    Raises:
        InvalidInputError: if an option that the user set contradicts it.
    """
    if job.options.init is None or job.resumed:  # a resumed run has its weights in its state
        return job.options, None
    generator, _ = load_generator(Path(job.options.init))
    if generator.config.task is not job.options.task:  # which decides how the data is read
        raise InvalidInputError(
            f"{job.options.init} was trained to {generator.config.task}: give --task {generator.config.task}"
        )
    brought = {
        name: value for name, value in generator.config.model_dump().items() if name in TrainingOptions.model_fields
    }
    for name, value in brought.items():
        if name in job.given and getattr(job.options, name) != value:
            option = f"--{name.replace('_', '-')}"
            raise InvalidInputError(
                f"{option} {getattr(job.options, name)} is not what {job.options.init} has ({value}): leave it out"
            )
    options = build_settings(TrainingOptions, **(job.options.model_dump() | brought))
    return options, generator


@contextmanager
def _folder(job: Job, config: TrainingConfig) -> Iterator[RunFolder]:
    if job.resumed:
        with reopen_run(job.folder, config) as run:
            yield run
        return
    record = RunRecord.of(config, job.pairs.source)
    with open_run(job.folder, record, named=job.folder_named) as run:
        yield run


@contextmanager
def _recorder(job: Job, run: RunFolder, stream: TextIO, first_step: int) -> Iterator[Recorder]:
    config = run.config
    with Watcher(run.path, steps=config.steps, batch=config.batch, first_step=first_step, stream=stream) as watcher:
        yield Recorder(run, watcher, job.held_out, first_step=first_step)


def _finish(recorder: Recorder, config: TrainingConfig, progress: Progress) -> dict[str, Any]:
    run, quality = recorder.run, recorder.quality
    assert quality is not None  # the last step is always looked at
    recorder.finish()
    run.write_metrics(quality, progress)
    recorder.say(
        f"held out ({quality.pairs} pairs): L1 {quality.l1:.4f}, PSNR {quality.psnr_db:.2f} dB, "
        f"SSIM {quality.ssim:.4f}\n{run.path}\nnext: p2p-export {export_argument(run.path)}".rstrip()
    )
    return {
        "run": str(run.path.resolve()),
        "name": run.name,
        "steps": progress.step,
        "seconds": round(progress.seconds, 3),
        "steps_per_second": round(progress.step / progress.seconds, 4),
        "device": config.device,
        "width": config.width,
        "levels": config.levels,
        "validation": quality.model_dump(),
    }


def own_cores(world: World) -> int:
    """This process's share of the cores that it and the others on this machine may use."""
    return max(1, usable_cores() // world.local_size)


def export_argument(path: Path) -> str:
    """What ``p2p-export`` has to be given for the run in ``path``: nothing, it takes the newest one."""
    return "" if path.parent == Path("runs") else str(path)


def describe(config: TrainingConfig, *, why: str, job: Job) -> str:
    """The line a run begins with: what it trains on, and which choices were made for the user."""
    options = job.options

    def chosen(value: object) -> str:
        return "as asked" if value is not None else f"default on {config.device}"

    width = f"of {config.init}" if config.init else chosen(options.width)

    processor = computed_in(config.precision, torch.device(config.device))
    if config.device == "cpu":
        processor += f", {config.threads} threads"
    processes = f", {job.world.size} processes" if job.world.size > 1 else ""
    length = "as asked" if options.steps or options.epochs else f"default on {config.device}"
    kind = "ResNet " if config.architecture == "resnet" else ""
    task = f"{config.task}, " if config.task != "translate" else ""
    begin = f"resuming {job.folder}, " if job.resumed else ""
    return (
        f"{begin}training on {config.device} ({why}; {processor}{processes}): {task}{kind}width {config.width} "
        f"({width}), {config.levels} levels, {config.size}, batch {config.batch}, {config.steps} steps "
        f"({length}), {len(job.pairs)} pairs of {config.data} ({config.layout})"
    )
