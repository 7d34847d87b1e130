"""A run from its first step to its figures."""

import math
import time
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from core.errors import EdgeError
from core.pairs import Pair
from train.evaluation import Quality, evaluate, translate
from train.interruption import interrupts_held
from train.loader import BatchStream
from train.run_folder import RunFolder
from train.trainer import LOSSES, Trainer
from train.watching import SAMPLED_PAIRS, Watcher, sample_sheet

MAX_UNREAD_STEPS: Final = 50
"""Reading the losses waits for the device, so it is done every so many steps, or a hundred times a run."""


class DivergedError(EdgeError):
    """A loss became infinite or not a number."""

    exit_code = 1


class Session:
    """What a run consists of: a trainer, its batches, held-out pairs, a folder and someone watching."""

    def __init__(
        self, trainer: Trainer, batches: BatchStream, held_out: Sequence[Pair], run: RunFolder, watcher: Watcher
    ) -> None:
        self.trainer = trainer
        self.batches = batches
        self.held_out = held_out
        self.run = run
        self.watcher = watcher
        self._unread: list[Tensor] = []

    def train(self) -> float:
        """Train all steps that are left; the seconds that took.

        A checkpoint and a sample sheet are written every ``sample_every`` steps and after the last one. Interrupted,
        the step at hand is finished and its networks are saved.

        Raises:
            DivergedError: if a loss is infinite or not a number; the last checkpoint stays.
            KeyboardInterrupt: after SIGINT or SIGTERM.
        """
        config = self.trainer.config
        report_every = max(1, min(MAX_UNREAD_STEPS, config.steps // 100))
        started = time.perf_counter()
        with interrupts_held() as interrupted:
            for batch in self.batches:
                rate = self.trainer.rate
                self._unread.append(self.trainer.step(batch))
                done = self.trainer.steps_done
                self.watcher.step(done)
                save = done % config.sample_every == 0 or done == config.steps
                if save or interrupted.is_set() or done % report_every == 0:
                    self.watcher.report(done, self._read_losses(), rate)
                if interrupted.is_set():
                    self.run.save_networks(self.trainer)
                    self.watcher.say(f"interrupted after {done} of {config.steps} steps: saved in {self.run.path}")
                    raise KeyboardInterrupt
                if save:
                    self._checkpoint(done)
        if interrupted.is_set():  # during the last checkpoint
            self.watcher.say(f"interrupted after the last step: saved in {self.run.path}")
            raise KeyboardInterrupt
        return time.perf_counter() - started

    def evaluate(self) -> Quality:
        """How good the generator is on the held-out pairs, as deployed."""
        return evaluate(self.trainer.generator, self.held_out, batch=self.trainer.config.batch)

    def _checkpoint(self, step: int) -> None:
        self.run.save_networks(self.trainer)
        shown = self.held_out[:SAMPLED_PAIRS]
        pictures = translate(self.trainer.generator, (p.input for p in shown), batch=self.trainer.config.batch)
        sheet = sample_sheet(shown, pictures)
        self.run.save_sample(sheet, step)
        self.watcher.sample(step, sheet)

    def _read_losses(self) -> list[float]:
        """Mean losses of the steps since the last call, in the order of LOSSES."""
        losses = torch.stack(self._unread).cpu()
        self._unread.clear()
        for row, values in enumerate(losses.tolist()):
            for name, value in zip(LOSSES, values, strict=True):
                if not math.isfinite(value):
                    step = self.trainer.steps_done - len(losses) + row + 1
                    kept = f"; the checkpoint before it is in {self.run.path}" if self.run.has_checkpoint else ""
                    raise DivergedError(
                        f"the loss {name} became {value} in step {step}: train with a lower --lr, or another --gan, "
                        f"--norm or --seed{kept}"
                    )
        return list(losses.mean(0).tolist())
