"""What one sees of a run: a progress bar or plain lines, TensorBoard, and sample sheets."""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self, TextIO

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from core.errors import MissingDependencyError
from core.frames import Frame, contact_sheet
from core.pairs import Pair

SAMPLED_PAIRS: Final = 4
PLAIN_LINES: Final = 10


class Watcher:
    """Shows and records a run of ``steps`` steps of ``batch`` pairs; TensorBoard's files go to ``folder``.

    A resumed run goes on after ``first_step``: what an earlier process recorded beyond it is taken back.
    """

    def __init__(
        self, folder: Path, *, steps: int, batch: int, first_step: int = 0, stream: TextIO = sys.stdout
    ) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingDependencyError("tensorboard", "train", "training") from error
        self._steps = steps
        self._batch = batch
        self._stream = stream
        self._console = Console(file=stream)
        self._opened = ExitStack()
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step + 1)
        self._progress: Progress | None = None
        if self._console.is_terminal:
            columns = (BarColumn(None), MofNCompleteColumn(), TextColumn("{task.fields[text]}"))
            times = (TextColumn("elapsed"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
            self._progress = Progress(*columns, *times, console=self._console)
            self._task = self._progress.add_task("training", total=steps, completed=first_step, text="")
        self._started = self._last = time.perf_counter()
        self._first_step = self._last_step = first_step
        self._lines = first_step * PLAIN_LINES // steps

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

    def report(self, done: int, measures: Mapping[str, float], rate: float) -> float:
        """Show and record mean ``measures`` (``history.MEASURES``) up to step ``done``, and its learning ``rate``.

        Returns images a second since the last report.
        """
        now = time.perf_counter()
        speed = (done - self._last_step) / (now - self._last)
        self._last, self._last_step = now, done
        for name, value in measures.items():
            group = "score" if name.startswith("score_") else "loss"
            self.scalars(done, {f"{group}/{name.removeprefix('score_')}": value})
        self.scalars(done, {"learning_rate": rate, "images_per_second": speed * self._batch})
        text = (
            f"D {measures['discriminator_real']:.2f}+{measures['discriminator_fake']:.2f}  "
            f"G {measures['generator_gan']:.2f}  distance {measures['generator_distance']:.3f}  {speed:.2f} steps/s"
        )
        if self._progress is not None:
            self._progress.update(self._task, text=text)
        elif done * PLAIN_LINES // self._steps > self._lines:
            self._lines = done * PLAIN_LINES // self._steps
            elapsed = now - self._started
            left = elapsed / (done - self._first_step) * (self._steps - done)
            self.say(f"step {done}/{self._steps}  {text}  elapsed {_clock(elapsed)}  left {_clock(left)}")
        return speed * self._batch

    def restart_clock(self) -> None:
        """Count what was done since the last report to no step: looking and saving is not training."""
        self._last = time.perf_counter()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Record ``values`` of step ``step`` under their names."""
        for tag, value in values.items():
            self._board.add_scalar(tag, value, step)

    def sample(self, done: int, sheet: Frame) -> None:
        """Record the sample ``sheet`` of step ``done``."""
        self._board.add_image("samples", sheet[..., ::-1], done, dataformats="HWC")

    def say(self, line: str) -> None:
        """Print one line, above the bar if there is one."""
        if self._progress is not None:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=self._stream, flush=True)


def sample_sheet(pairs: Sequence[Pair], translations: Sequence[Frame]) -> Frame:
    """Three rows of pictures: what went in, what came out, what was wanted."""
    rows = ([pair.input for pair in pairs], list(translations), [pair.target for pair in pairs])
    return np.ascontiguousarray(contact_sheet(rows))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
