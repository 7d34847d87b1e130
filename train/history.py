"""``history.csv``: the figures of a run over its steps, written so that a killed run loses none of them."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from core.atomic import write_text
from core.errors import InvalidInputError

HISTORY_FILE: Final = "history.csv"
MEASURES: Final = (
    "discriminator_real",
    "discriminator_fake",
    "generator_gan",
    "generator_distance",
    "score_real",
    "score_fake",
)
"""What a step reports, in this order: the discriminator's two losses before they are halved, the generator's before
the distance is weighted, and the discriminator's mean scores (``core.objective.mean_score``)."""
VALIDATION: Final = ("validation_l1", "validation_psnr_db", "validation_ssim")
COLUMNS: Final = (*MEASURES, "learning_rate", "images_per_second", *VALIDATION)
"""What a run records: losses, the discriminator's mean scores, rates, and figures of the validation pairs."""

Row = dict[str, float]
"""``step`` and the columns that have a value there."""


class History:
    """An append-only table on disk; every row is written with one call, before ``append`` returns.

    Whatever kills the process, at most the last line is torn, and it is dropped when the file is opened again. Columns
    that an older file has beyond ``columns`` are kept.
    """

    def __init__(self, path: Path, columns: Sequence[str] = COLUMNS) -> None:
        """Open ``path``, or begin it.

        Raises:
            InvalidInputError: if it cannot be written, or a line other than the last is damaged.
        """
        self.path = path
        header, rows, whole = _read(path) if path.exists() else ([], [], False)
        self.columns = (*columns, *(name for name in header if name not in ("step", *columns)))
        if not whole or tuple(header[1:]) != self.columns:
            self._rewrite(rows)

    def append(self, step: int, values: Mapping[str, float]) -> None:
        """Write the row of ``step``; columns that ``values`` lacks stay blank.

        Raises:
            InvalidInputError: if it cannot be written; the rows before it stay.
            ValueError: for a column that this history does not have.
        """
        unknown = set(values) - set(self.columns)
        if unknown:
            raise ValueError(f"{self.path.name} has no column {', '.join(sorted(unknown))}")
        line = self._line({"step": step, **values}).encode()
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
            try:
                before = os.fstat(file).st_size
                if os.write(file, line) != len(line):  # the disk is full: no torn line for the next row to follow
                    os.ftruncate(file, before)
                    raise OSError(None, "no space left")
            finally:
                os.close(file)
        except OSError as error:
            raise InvalidInputError(f"cannot write {self.path}: {error.strerror}") from error

    def truncate_after(self, step: int) -> None:
        """Drop all rows of later steps than ``step``: those of steps that a resumed run takes again."""
        rows = self.rows()
        kept = [row for row in rows if row["step"] <= step]
        if len(kept) < len(rows):
            self._rewrite(kept)

    def rows(self) -> list[Row]:
        """All rows, in the order they were written; ``step`` and the columns that are not blank."""
        return read_history(self.path)

    def _rewrite(self, rows: Iterable[Row]) -> None:
        write_text(self.path, ",".join(("step", *self.columns)) + "\n" + "".join(self._line(row) for row in rows))

    def _line(self, row: Mapping[str, float]) -> str:
        cells = [f"{row[name]:.9g}" if name in row else "" for name in self.columns]
        return ",".join([str(int(row["step"])), *cells]) + "\n"


def read_history(path: Path) -> list[Row]:
    """The rows of the history at ``path``, without a torn last one.

    Raises:
        InvalidInputError: if it cannot be read, or a line other than the last is damaged.
    """
    return _read(path)[1]


def _read(path: Path) -> tuple[list[str], list[Row], bool]:
    """Header and rows, and whether nothing had to be dropped."""
    try:
        text = path.read_bytes().decode(errors="replace")
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}") from error
    complete, newline, torn = text.rpartition("\n")
    header, *lines = [line.rstrip("\r").split(",") for line in complete.split("\n")]
    if header[0] != "step" and not (not newline and "step,".startswith(torn[:5])):
        raise InvalidInputError(f"{path} is not the history of a run: move it away")
    if not newline:
        return [], [], False
    rows: list[Row] = []
    for number, cells in enumerate(lines, start=2):
        row = _parse(header, cells)
        if row is None:
            raise InvalidInputError(f"{path} is damaged in line {number}: remove that line, or move the file away")
        rows.append(row)
    return header, rows, not torn


def _parse(header: Sequence[str], cells: Sequence[str]) -> Row | None:
    if len(cells) != len(header):
        return None
    try:
        row = {name: float(cell) for name, cell in zip(header, cells, strict=True) if cell}
    except ValueError:
        return None
    return row if math.isfinite(row.get("step", math.nan)) else None
