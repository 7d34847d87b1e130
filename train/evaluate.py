"""The job behind ``p2p-train --evaluate``: the pairs of a split translated, measured, and shown."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TextIO, TypeVar

import cv2
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from core.atomic import atomic_folder, write_text
from core.errors import EdgeError, UnavailableError
from core.frames import HALF_RANGE, Frame, write_image
from core.machine import library_versions, this_machine, usable_cores
from core.metrics import Comparison
from core.pairs import Pair
from train.distribution_metrics import FEATURES, DistributionDistance, PerceptualDistance
from train.evaluation_report import Measured, file_names, means, metrics_table, write_metrics
from train.evaluation_request import (
    IMAGES_FOLDER,
    METRICS_FILE,
    SHEET_FILE,
    SUMMARY_FILE,
    EvaluationRequest,
    check_request,
)
from train.evaluation_sheet import Exhibit, Section, draw_sheet
from train.evaluation_subject import Subject, describe
from train.preparation import spread

SHEET_PAIRS: Final = 24
EXTREMES: Final = 3
"""Where the sheet cannot show all pairs: those that came out best on it, and as many that came out worst."""
SECONDS_BETWEEN_LINES: Final = 10.0
"""Of progress, where there is no terminal to draw a bar on."""

Tell = Callable[[str], None]
MeasureT = TypeVar("MeasureT")


def evaluate_job(request: EvaluationRequest, *, stream: TextIO) -> dict[str, Any]:
    """Measure a generator as ``request`` says, telling ``stream`` how it goes; the summary that ``--json`` prints.

    The folder of figures is written whole or not at all; one of an earlier evaluation is replaced.

    Raises:
        EdgeError: if the checkpoint, the data or the device will not do, or the folder cannot be written.
        KeyboardInterrupt: nothing is left behind then.
    """
    check_request(request)
    console = Console(file=stream)

    def tell(line: str) -> None:
        print(line, file=stream, flush=True)

    torch.set_num_threads(request.threads or usable_cores())
    cv2.setNumThreads(1)  # frames are small, and the cores belong to the networks
    torch.backends.cudnn.allow_tf32 = False  # figures should not depend on the GPU
    try:
        subject = Subject(request)
        tell(describe(subject))
        measurement = Measurement(subject, tell)
        with _whole_or_absent(request.folder) as folder:
            measurement.run(folder, console)
            summary = measurement.summary()
            write_metrics(folder / METRICS_FILE, measurement.measured)
            write_image(folder / SHEET_FILE, contact_sheet(subject, measurement.measured))
            write_text(folder / SUMMARY_FILE, json.dumps(summary, indent=2) + "\n")
    except torch.OutOfMemoryError as error:
        raise EdgeError("the GPU has too little memory for this generator: evaluate with --device cpu") from error
    console.print(metrics_table(measurement.measured))
    for line in measurement.notes():
        tell(line)
    tell(str(request.folder))
    return summary


class Measurement:
    """All figures of a subject."""

    def __init__(self, subject: Subject, tell: Tell) -> None:
        """Load the networks of LPIPS and FID where they can be had."""
        self.subject = subject
        self.measured: list[Measured] = []
        self.overall = Comparison()
        self.not_measured: dict[str, str] = {}
        self.fid: float | None = None
        size, pictures, device = subject.size, len(subject), subject.device
        self._lpips = self._try("LPIPS", lambda: PerceptualDistance(size=size, device=device, tell=tell))
        self._fid = self._try("FID", lambda: DistributionDistance(pictures=pictures, device=device, tell=tell))

    def _try(self, title: str, build: Callable[[], MeasureT]) -> MeasureT | None:
        """A measure that others' weights are needed for; why not, is kept for the report."""
        if not self.subject.request.perceptual:
            return None
        try:
            return build()
        except UnavailableError as error:
            self.not_measured[title] = str(error)
            return None

    def run(self, folder: Path, console: Console) -> None:
        """Translate and measure every pair; its pictures go to ``folder``, if they are wanted."""
        files = file_names(self.subject.names)
        with _progress(len(files), console) as advance:
            for place, file in enumerate(files):
                pair, output = self.subject.read(place), self.subject.translate(place)
                self.measured.append(self._measure(self.subject.names[place], pair, output))
                if self.subject.request.save_images:
                    for kind, frame in (("input", pair.input), ("output", output), ("target", pair.target)):
                        write_image(folder / IMAGES_FOLDER / kind / file, frame)
                advance(place + 1)
        if self._fid is not None:
            self.fid = self._fid.compute()

    def _measure(self, name: str, pair: Pair, output: Frame) -> Measured:
        own = Comparison()
        own.add(output, pair.target)
        self.overall.add(output, pair.target)
        if self._fid is not None:
            self._fid.add(output, pair.target)
        return Measured(
            name=name,
            l1=own.mean_abs / HALF_RANGE,
            psnr_db=own.psnr_db,
            ssim=own.ssim,
            lpips=None if self._lpips is None else self._lpips.measure(output, pair.target),
        )

    def summary(self) -> dict[str, Any]:
        """What was measured, on what, and how."""
        subject, request = self.subject, self.subject.request
        summary = {
            "format_version": 1,
            "folder": str(request.folder.resolve()),
            "checkpoint": str(request.checkpoint.resolve()),
            "name": subject.info.name,
            "step": subject.info.step,
            "mode": "paper" if request.paper_mode else "deployed",
            "split": request.split.value,
            "data": subject.data.model_dump(mode="json"),
            "pairs": len(subject),
            "pairs_in_split": subject.in_split,
            "mean": means(self.measured),
            "psnr_of_mean_error_db": self.overall.psnr_db,
            "not_measured": {title.lower(): reason for title, reason in self.not_measured.items()},
            "device": subject.device.type,
            "libraries": library_versions(),
            "machine": this_machine().model_dump(mode="json"),
        }
        others = {"lpips": self._lpips, "fid": self._fid}
        if unpublished := [name for name, measure in others.items() if measure is not None and not measure.published]:
            summary["measured_with_other_weights"] = unpublished
        if request.paper_mode:
            summary["seed"] = request.seed
        if self.fid is not None:
            summary["fid"] = {"value": self.fid, "pictures": len(self.measured)}
        return summary

    def notes(self) -> list[str]:
        """Lines below the table."""
        lines = []
        if self.fid is not None:
            few = len(self.measured) < FEATURES
            warning = f"; of fewer than {FEATURES} it is biased: compare with figures of as many pictures only"
            lines.append(f"FID {self.fid:.2f} (of {len(self.measured)} pictures{warning if few else ''})")
        lines += [f"{title}: not measured ({reason})" for title, reason in self.not_measured.items()]
        ranked = sorted(self.measured, key=lambda one: one.l1)
        if len(ranked) > 1:
            lines.append(f"best and worst by L1: {ranked[0].name}, {ranked[-1].name}")
        return lines


def contact_sheet(subject: Subject, measured: Sequence[Measured]) -> Frame:
    """Up to ``SHEET_PAIRS`` pairs: all, or the best, the worst, and others evenly spread."""

    def section(heading: str, places: Sequence[int]) -> Section:
        return Section(heading=heading, exhibits=[_exhibit(subject, measured, place) for place in places])

    total = len(measured)
    if total <= SHEET_PAIRS:
        sections = [section("all pairs measured" if total > 1 else "the pair measured", range(total))]
    else:
        ranked = sorted(range(total), key=lambda place: measured[place].l1)
        best, worst = ranked[:EXTREMES], ranked[: -EXTREMES - 1 : -1]
        rest = sorted(ranked[EXTREMES:-EXTREMES])
        others = [rest[i] for i in spread(len(rest), SHEET_PAIRS - 2 * EXTREMES)]
        sections = [
            section("closest to the target, by L1", best),
            section("furthest from the target, by L1", worst),
            section(f"{len(others)} of the {len(rest)} others, evenly spread", others),
        ]
    return draw_sheet(describe(subject).removeprefix("evaluating "), sections)


def _exhibit(subject: Subject, measured: Sequence[Measured], place: int) -> Exhibit:
    pair, one = subject.read(place), measured[place]
    figures = f"L1 {one.l1:.3f}  PSNR {one.psnr_db:.1f} dB  SSIM {one.ssim:.3f}"
    return Exhibit(
        input=pair.input, output=subject.translate(place), target=pair.target, caption=f"{figures}  {one.name}"
    )


@contextmanager
def _progress(total: int, console: Console) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, or a line now and then elsewhere; call what is yielded with the number of pairs done."""
    columns = (TextColumn("evaluating"), BarColumn(None), MofNCompleteColumn(), TimeElapsedColumn())
    left = (TextColumn("left"), TimeRemainingColumn())
    told = time.perf_counter()
    with Progress(*columns, *left, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)

        def advance(done: int) -> None:
            nonlocal told
            progress.update(task, completed=done)
            if not console.is_terminal and time.perf_counter() - told > SECONDS_BETWEEN_LINES:
                told = time.perf_counter()
                print(f"{done}/{total} pairs", file=console.file, flush=True)

        yield advance


@contextmanager
def _whole_or_absent(path: Path) -> Iterator[Path]:
    """``atomic_folder``, which on failure also takes away the parent folders that it made."""
    made = [parent for parent in path.absolute().parents if not parent.exists()]
    try:
        with atomic_folder(path) as folder:
            yield folder
    except BaseException:
        for parent in made:
            with suppress(OSError):  # something else is in it by now
                parent.rmdir()
        raise
