"""What one sees of a run: a progress bar or plain lines, TensorBoard, and sample sheets."""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self, TextIO

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from core.errors import MissingDependencyError
from core.frames import Frame, contact_sheet
from core.pairs import Pair
from train.trainer import LOSSES

SAMPLED_PAIRS: Final = 4
PLAIN_LINES: Final = 10


class Watcher:
    """Shows and records a run of ``steps`` steps of ``batch`` pairs; TensorBoard's files go to ``folder``."""

    def __init__(self, folder: Path, *, steps: int, batch: int, stream: TextIO = sys.stdout) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingDependencyError("tensorboard", "train", "training") from error
        self._steps = steps
        self._batch = batch
        self._stream = stream
        self._console = Console(file=stream)
        self._opened = ExitStack()
        self._board = SummaryWriter(str(folder / "tensorboard"))
        self._progress: Progress | None = None
        if self._console.is_terminal:
            columns = (BarColumn(None), MofNCompleteColumn(), TextColumn("{task.fields[text]}"))
            times = (TextColumn("elapsed"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
            self._progress = Progress(*columns, *times, console=self._console)
            self._task = self._progress.add_task("training", total=steps, text="")
        self._started = self._last = time.perf_counter()
        self._last_step = 0
        self._lines = 0

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._opened.enter_context(self._progress)
        self._started = self._last = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()
        self._board.close()

    def step(self, done: int) -> None:
        """Move the bar to ``done`` steps."""
        if self._progress is not None:
            self._progress.update(self._task, completed=done)

    def report(self, done: int, losses: Sequence[float], rate: float) -> None:
        """Show and record mean ``losses`` (in the order of LOSSES) up to step ``done``, and its learning ``rate``."""
        now = time.perf_counter()
        speed = (done - self._last_step) / (now - self._last)
        self._last, self._last_step = now, done
        for name, value in zip(LOSSES, losses, strict=True):
            self._scalar(f"loss/{name}", value, done)
        self._scalar("learning_rate", rate, done)
        self._scalar("images_per_second", speed * self._batch, done)
        real, fake, adversarial, distance = losses
        text = f"D {real:.2f}+{fake:.2f}  G {adversarial:.2f}  L1 {distance:.3f}  {speed:.2f} steps/s"
        if self._progress is not None:
            self._progress.update(self._task, text=text)
        elif done * PLAIN_LINES // self._steps > self._lines:
            self._lines = done * PLAIN_LINES // self._steps
            elapsed = now - self._started
            left = elapsed / done * (self._steps - done)
            self.say(f"step {done}/{self._steps}  {text}  elapsed {_clock(elapsed)}  left {_clock(left)}")

    def sample(self, done: int, sheet: Frame) -> None:
        """Record the sample ``sheet`` of step ``done``."""
        self._board.add_image("samples", sheet[..., ::-1], done, dataformats="HWC")

    def say(self, line: str) -> None:
        """Print one line, above the bar if there is one."""
        if self._progress is not None:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=self._stream, flush=True)

    def _scalar(self, tag: str, value: float, step: int) -> None:
        self._board.add_scalar(tag, value, step)


def sample_sheet(pairs: Sequence[Pair], translations: Sequence[Frame]) -> Frame:
    """Three rows of pictures: what went in, what came out, what was wanted."""
    rows = ([pair.input for pair in pairs], list(translations), [pair.target for pair in pairs])
    return np.ascontiguousarray(contact_sheet(rows))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
