"""What ``benchmarks.training`` compares, each in a process of its own that trains a block of steps when told to.

A process each: so that memory is a candidate's own, and none trains with another's global switches (cuDNN, threads).
Between its blocks a process waits and uses no core; on a GPU it gives cached memory back.
"""

import time
from dataclasses import dataclass, field
from multiprocessing import active_children, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Literal, Protocol, Self

import torch

from benchmarks.reference_training import WORKERS, ReferenceLoop
from core.errors import EdgeError
from core.frames import Size
from core.image_pairs import find_images
from core.machine import usable_cores
from core.splits import Split
from train.augmentation import jitter_size
from train.defaults import resolve
from train.devices import check_device, peak_memory_gib, prepare
from train.preparation import prepare_job
from train.trainer import Trainer
from train.training import open_feed

READ_EVERY: Final = 50
"""Steps between two readings of our losses, as ``train.session`` does in long runs."""
ENDLESS: Final = 10**9
"""Steps of the run that blocks are taken from."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to train."""

    name: str
    width: int
    batch: int
    size: int
    device: Literal["cpu", "cuda"]
    data: Path
    """Folder with ``train/`` and ``val/``, side-by-side images."""
    reference: bool = False
    """The plain loop instead of this project's; what follows is for the latter."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of ``TrainingOptions``, such as precision and compile."""
    channels_last: bool = False
    """On the CPU too."""
    default_adam: bool = False
    """PyTorch's choice of implementation instead of the fused one."""

    @property
    def workers(self) -> int:
        """DataLoader processes of the reference: no more than cores."""
        return min(WORKERS, usable_cores())


@dataclass(frozen=True, kw_only=True)
class Block:
    """A number of steps in a row, timed."""

    steps: int
    seconds: float
    """From the first step's request for data until the device has finished the last step."""
    waited: float
    """Of these, until batches were handed over."""
    step_seconds: tuple[float, ...]
    """Of each step; none on a GPU, where waiting for each would hold up the next."""
    memory_gib: float
    """Peak so far: on the GPU what tensors took, on the CPU the process and what its workers do not share."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A candidate that has trained its first steps."""

    seconds: float
    """From opening the data until then: decoding, compiling, choosing kernels."""
    parameters: tuple[int, int]
    """Of the generator and of the discriminator."""


@dataclass(frozen=True)
class Refused:
    """A candidate that cannot be measured, and why."""

    reason: str


class Loop(Protocol):
    """Something that trains step by step."""

    waited: float

    def step(self) -> None:
        """Fetch a batch and train on it."""

    def close(self) -> None:
        """Stop what runs in the background."""


class OwnLoop:
    """``Trainer`` and its feed, with the options of a candidate; losses are read as a session does."""

    def __init__(self, candidate: Candidate) -> None:
        values = candidate.options | {
            "data": str(candidate.data),
            "layout": "pairs",
            "size": str(candidate.size),
            "width": candidate.width,
            "batch": candidate.batch,
            "steps": ENDLESS,
            "device": candidate.device,
        }
        job = prepare_job(values, out=candidate.data / "never-written", name=None, say=lambda _line: None)
        config = resolve(job.options, device=candidate.device, pairs=len(job.pairs), cores=usable_cores())
        check_device(config, job.world)
        prepare(config, job.world)
        self.trainer = Trainer(config)
        if candidate.channels_last:
            self.trainer._layout = torch.channels_last
            for network in (self.trainer.generator, self.trainer.discriminator):
                network.to(memory_format=torch.channels_last)
        if candidate.default_adam:
            self.trainer._optimizers = [
                torch.optim.Adam(network.parameters(), lr=config.lr, betas=(config.beta1, 0.999))
                for network in (self.trainer.generator, self.trainer.discriminator)
            ]
        self._feed = open_feed(job, config, self.trainer)
        self._unread: list[torch.Tensor] = []
        self.waited = 0.0

    def step(self) -> None:
        """Fetch a batch and train on it."""
        started = time.perf_counter()
        batch = next(self._feed)
        self.waited += time.perf_counter() - started
        self._unread.append(self.trainer.step(batch))
        if len(self._unread) >= READ_EVERY:
            torch.stack(self._unread).cpu()
            self._unread.clear()

    def close(self) -> None:
        """Stop the threads that make batches."""
        self._feed.__exit__()


def open_loop(candidate: Candidate) -> tuple[Loop, tuple[int, int]]:
    """The loop of ``candidate``, and the parameters of its generator and discriminator.

    Raises:
        EdgeError: if the device cannot do what the candidate asks for.
    """
    if not candidate.reference:
        own = OwnLoop(candidate)
        return own, (count_parameters(own.trainer.generator), count_parameters(own.trainer.discriminator))
    torch.set_num_threads(usable_cores())  # what ours gets
    size = Size(candidate.size, candidate.size)
    loop = ReferenceLoop(
        find_images(candidate.data, Split.TRAIN),
        width=candidate.width,
        levels=levels_of(candidate.size),
        batch=candidate.batch,
        load_size=jitter_size(size).height,
        crop_size=candidate.size,
        device=torch.device(candidate.device),
        workers=candidate.workers,
    )
    return loop, (count_parameters(loop.model.generator), count_parameters(loop.model.discriminator))


def levels_of(side: int) -> int:
    """Levels of a U-Net for square pictures: as many as the size allows, up to 8."""
    return min(8, (side & -side).bit_length() - 1)


def count_parameters(network: torch.nn.Module) -> int:
    """Numbers that training changes."""
    return sum(parameter.numel() for parameter in network.parameters())


def run_block(loop: Loop, device: torch.device, *, warm_up: int, steps: int) -> Block:
    """Train ``warm_up`` steps that are not counted, then ``steps`` that are."""
    on_gpu = device.type == "cuda"
    for _ in range(warm_up):
        loop.step()
    synchronize(device)
    waited, each = loop.waited, []
    started = before = time.perf_counter()
    for _ in range(steps):
        loop.step()
        now = time.perf_counter()
        each.append(now - before)
        before = now
    synchronize(device)
    return Block(
        steps=steps,
        seconds=time.perf_counter() - started,
        waited=loop.waited - waited,
        step_seconds=() if on_gpu else tuple(each),
        memory_gib=peak_memory_gib(device) + (0.0 if on_gpu else workers_gib()),
    )


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def workers_gib() -> float:
    """Memory that child processes of this one share with nobody, in GiB (Linux; elsewhere 0)."""
    kib = 0
    for child in active_children():
        try:
            lines = Path(f"/proc/{child.pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        kib += sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return kib / 2**20


class CandidateProcess:
    """A candidate in its own process."""

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate
        context = get_context("spawn")
        self._ours, theirs = context.Pipe()
        # Not a daemon: these may have no children, and the reference has its DataLoader workers.
        self._process = context.Process(target=_serve, args=(candidate, theirs), daemon=False)
        self._process.start()
        theirs.close()

    def start(self, steps: int) -> Ready | Refused:
        """Open it and train its first ``steps``."""
        return self._ask(steps)  # type: ignore[no-any-return]

    def block(self, *, warm_up: int, steps: int) -> Block | Refused:
        """Train and time a block."""
        return self._ask((warm_up, steps))  # type: ignore[no-any-return]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.close()  # ends it
        self._process.join(20)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _ask(self, question: object) -> Any:
        try:
            self._ours.send(question)
            return self._ours.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._process.join(20)
            return Refused(f"its process ended with code {self._process.exitcode}")


def _serve(candidate: Candidate, parent: Connection) -> None:
    loop: Loop | None = None
    device = torch.device(candidate.device)
    try:
        while True:
            question = parent.recv()
            try:
                if loop is None:
                    started = time.perf_counter()
                    loop, parameters = open_loop(candidate)
                    run_block(loop, device, warm_up=0, steps=question)
                    parent.send(Ready(seconds=time.perf_counter() - started, parameters=parameters))
                else:
                    warm_up, steps = question
                    parent.send(run_block(loop, device, warm_up=warm_up, steps=steps))
            except EdgeError as error:
                parent.send(Refused(str(error)))
                break
            except torch.OutOfMemoryError:
                parent.send(Refused("the GPU has too little memory"))
                break
            except Exception as error:  # a kernel or a compiler that cannot: the table's row says so
                first = (str(error).strip().splitlines() or ["no message"])[0]
                parent.send(Refused(f"{type(error).__name__}: {first[:200]}"))
                break
            if device.type == "cuda":
                torch.cuda.empty_cache()
    except (EOFError, ConnectionError, KeyboardInterrupt):
        pass  # the parent has enough, or was interrupted
    finally:
        if loop is not None:
            loop.close()
