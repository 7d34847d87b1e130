"""What the main process of a run writes down and tells: losses, samples, validation, checkpoints."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.configuration import GanObjective
from core.networks import Generator
from core.objective import CERTAINTY
from core.pairs import Pair
from train.devices import full_precision, peak_memory_gib
from train.evaluation import Quality, evaluate, translate
from train.history import COLUMNS, HISTORY_FILE, VALIDATION, History
from train.history_plot import plot_history
from train.run_folder import PLOT_FILE, RunFolder
from train.trainer import Trainer
from train.watching import SAMPLED_PAIRS, Watcher, sample_sheet

FEWEST_CERTAIN_STEPS: Final = 200
CERTAIN_SHARE: Final = 0.05
"""A discriminator that was certain for so many steps, and for this share of the run, is worth a word."""


class CertaintyAlarm:
    """Notices a discriminator that has won: its scores have been beyond doubt for long.

    Args:
        objective: what the scores mean (``core.objective.CERTAINTY``).
        steps: of the whole run.
    """

    def __init__(self, objective: GanObjective, steps: int) -> None:
        self._real, self._fake = CERTAINTY[objective]
        self._patience = max(FEWEST_CERTAIN_STEPS, round(CERTAIN_SHARE * steps))
        self._since: int | None = None
        self._told = False

    def certain_steps(self, step: int, *, real: float, fake: float) -> int | None:
        """Take in the mean scores up to ``step``; how many steps it has been certain for, once, when that is long."""
        if real < self._real or fake > self._fake:
            self._since, self._told = None, False
            return None
        self._since = step if self._since is None else self._since
        if self._told or step - self._since < self._patience:
            return None
        self._told = True
        return step - self._since


class Recorder:
    """Keeps a run's folder and tells how it goes."""

    def __init__(self, run: RunFolder, watcher: Watcher, held_out: Sequence[Pair], *, first_step: int) -> None:
        self.run = run
        self.quality: Quality | None = None
        """Of the generator when it was last looked at."""
        self._watcher = watcher
        self._held_out = held_out
        self._history = History(run.path / HISTORY_FILE, COLUMNS)
        self._history.truncate_after(first_step)
        self._alarm = CertaintyAlarm(run.config.gan, run.config.steps)
        self._pending: dict[str, float] = {}

    def step(self, done: int) -> None:
        """Show that ``done`` steps are done."""
        self._watcher.step(done)

    def report(
        self, trainer: Trainer, measures: Mapping[str, float], *, rate: float, amounts: Mapping[str, float]
    ) -> None:
        """Record the means of the latest steps, and the rate and the stabilizing measures of the last of them."""
        done = trainer.steps_done
        speed = self._watcher.report(done, measures, rate)
        self._watcher.scalars(done, {f"stabilization/{name}": amount for name, amount in amounts.items()})
        self._watcher.scalars(done, {"memory_gib": peak_memory_gib(trainer.device)})
        values = {**measures, "learning_rate": rate, "images_per_second": speed}
        self._pending = values
        real, fake = measures["score_real"], measures["score_fake"]
        certain = self._alarm.certain_steps(done, real=real, fake=fake)
        if certain is not None:
            self._watcher.say(
                f"step {done}: the discriminator has been certain for {certain} steps (scores {real:.2f} and "
                f"{fake:.2f}), so the generator learns from the distance alone: --smooth-labels, --instance-noise 0.1 "
                "or a smaller --d-width may help"
            )

    def write_row(self, step: int) -> None:
        """Write the latest report, with the validation if there was one, as a row of the history."""
        self._history.append(step, self._pending)

    def look(self, trainer: Trainer, generator: Generator) -> None:
        """Make a sample sheet of, and measure, what ``generator`` is like now."""
        done, batch = trainer.steps_done, trainer.config.batch
        shown = self._held_out[:SAMPLED_PAIRS]
        with full_precision():
            sheet = sample_sheet(shown, translate(generator, (pair.input for pair in shown), batch=batch))
            self.quality = evaluate(generator, self._held_out, batch=batch)
        self.run.save_sample(sheet, done)
        self._watcher.sample(done, sheet)
        values = (self.quality.l1, self.quality.psnr_db, self.quality.ssim)
        self._pending |= dict(zip(VALIDATION, values, strict=True))
        for name, value in zip(VALIDATION, values, strict=True):
            self._watcher.scalars(done, {f"validation/{name.removeprefix('validation_')}": value})
        self._watcher.restart_clock()

    def save(self, generator: Generator, state: dict[str, Any]) -> None:
        """Replace the run's checkpoint."""
        self.run.save(generator, state)
        self._watcher.restart_clock()

    def say(self, line: str) -> None:
        """Print one line."""
        self._watcher.say(line)

    def finish(self) -> None:
        """Draw the history."""
        plot_history(self._history.rows(), self.run.path / PLOT_FILE, steps=self.run.config.steps)
