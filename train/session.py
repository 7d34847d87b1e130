"""A run from the step it is at to its last."""

import math
import time
from typing import Final

import torch
from torch import Tensor

from core.errors import EdgeError
from train.feeding import Feed
from train.history import MEASURES
from train.interruption import interrupts_held
from train.parallel import mean_over_processes
from train.recording import Recorder
from train.sharding import local
from train.trainer import Trainer
from train.training_state import Progress, collect_state

MAX_UNREAD_STEPS: Final = 50
"""Reading the losses waits for the device, so it is done every so many steps, or a hundred times a run."""


class DivergedError(EdgeError):
    """A loss or a weight became infinite or not a number."""

    exit_code = 1


class Session:
    """What a run consists of: a trainer, its batches, and, in the main process, somebody who takes notes.

    Of several processes, all go through the same steps, reports and checkpoints; what one of them is told (an
    interrupt, the time) becomes known to all at the next report.
    """

    def __init__(self, trainer: Trainer, feed: Feed, recorder: Recorder | None, before: Progress) -> None:
        self.trainer = trainer
        self._feed = feed
        self._recorder = recorder
        self._before = before
        """What was spent on the steps that a resumed run had done already."""
        self._unread: list[Tensor] = []
        self._started = self._saved = 0.0

    def train(self) -> Progress:
        """Train all steps that are left.

        Every ``sample_every`` steps and after the last one, samples, a validation and a checkpoint are made, and a
        checkpoint also when the last one is older than ``checkpoint_minutes``. Interrupted, the step at hand (of
        several processes, the ones up to the next report) is finished and a checkpoint made.

        Raises:
            DivergedError: if a loss or a weight is infinite or not a number; the last checkpoint stays.
            KeyboardInterrupt: after SIGINT or SIGTERM.
        """
        config = self.trainer.config
        alone = self.trainer.world.size == 1
        report_every = max(1, min(MAX_UNREAD_STEPS, config.steps // 100))
        if not alone and self.trainer.device.type == "cpu":
            report_every = 1  # the others hear of an interrupt only then, and such a report costs next to nothing
        self._started = self._saved = time.perf_counter()
        with interrupts_held() as interrupted:
            for batch in self._feed:
                rate, amounts = self.trainer.rate, self.trainer.amounts
                self._unread.append(self.trainer.step(batch))
                done = self.trainer.steps_done
                if self._recorder:
                    self._recorder.step(done)
                look = done % config.sample_every == 0 or done == config.steps
                if not (look or done % report_every == 0 or (alone and interrupted.is_set())):
                    continue
                measures, stop, is_due = self._read(stop=interrupted.is_set())
                if self._recorder:
                    self._recorder.report(self.trainer, measures, rate=rate, amounts=amounts)
                if look:
                    self._look()
                if self._recorder:
                    self._recorder.write_row(done)
                if look or stop or is_due:
                    self._save()
                if stop:
                    self._end_interrupted()
        if interrupted.is_set():  # while the last checkpoint was made
            self._end_interrupted()
        if self._before.step == config.steps:  # resumed when all was done but the generator's file or the figures
            self._look()
            self._save()
        return self._progress()

    def _progress(self) -> Progress:
        return Progress(
            step=self.trainer.steps_done,
            seconds=self._before.seconds + time.perf_counter() - self._started,
            waited=self._before.waited + self._feed.waited,
        )

    def _look(self) -> None:
        generator = self.trainer.deployable()
        if self._recorder and generator:
            self._recorder.look(self.trainer, generator)

    def _save(self) -> None:
        self._check_weights()
        state, generator = collect_state(self.trainer, self._progress()), self.trainer.deployable()
        if self._recorder and generator:
            self._recorder.save(generator, state)
        self._saved = time.perf_counter()

    def _end_interrupted(self) -> None:
        if self._recorder:
            run = self._recorder.run
            self._recorder.say(
                f"interrupted after {self.trainer.steps_done} of {run.config.steps} steps: saved in {run.path}\n"
                f"go on with: p2p-train --resume {run.path}"
            )
        raise KeyboardInterrupt

    def _read(self, *, stop: bool) -> tuple[dict[str, float], bool, bool]:
        """Mean measures of the steps since the last call, whether to stop, and whether a checkpoint is due."""
        is_due = time.perf_counter() - self._saved > 60 * self.trainer.config.checkpoint_minutes
        unread = torch.stack(self._unread)
        self._unread.clear()
        flags = unread.new_tensor([stop, is_due and self.trainer.world.is_main])
        told = mean_over_processes(torch.cat([unread.flatten(), flags]), self.trainer.world).cpu()
        measures, (stops, due) = told[:-2].view(unread.shape), told[-2:].tolist()
        for row, values in enumerate(measures.tolist()):
            for name, value in zip(MEASURES, values, strict=True):
                if not math.isfinite(value):
                    step = self.trainer.steps_done - len(measures) + row + 1
                    raise self._diverged(f"the loss {name} became {value} in step {step}")
        return dict(zip(MEASURES, measures.mean(0).tolist(), strict=True)), stops > 0, due > 0

    def _check_weights(self) -> None:
        """A finite loss may be the last one: its update may have been infinite, and is not to be saved."""
        for which, network in (("generator", self.trainer.generator), ("discriminator", self.trainer.discriminator)):
            norms = torch._foreach_norm([local(parameter) for parameter in network.parameters()])
            if not bool(mean_over_processes(torch.stack(norms).sum(), self.trainer.world).isfinite()):
                raise self._diverged(f"a weight of the {which} became infinite in step {self.trainer.steps_done}")

    def _diverged(self, what: str) -> DivergedError:
        kept = ""
        if self._recorder and self._recorder.run.has_checkpoint:
            kept = f"; the last good checkpoint is in {self._recorder.run.path}"
        return DivergedError(f"{what}: train with a lower --lr, or another --gan, --norm or --seed{kept}")
