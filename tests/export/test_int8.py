"""The choice of ranges and of layers that return to float, with a quantizer whose damage is known."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.export_record import RangeMethod
from core.fidelity import Gate
from core.frames import Frame
from export.fidelity import HeldOut
from export.int8 import Int8Maker, Int8Options

DAMAGE = {"first": 2, "harmful": 40, "worst": 80, "last": 3}
"""8-bit steps that every layer in INT8 adds to the picture."""
FRAME = np.full((32, 32, 3), 60, np.uint8)


class KnownDamage:
    """Writes what was asked for as text; ``entropy`` finds better ranges than ``minmax``."""

    scheme = "as a test wants it"
    methods = (RangeMethod.MIN_MAX, RangeMethod.ENTROPY)
    layers = tuple(DAMAGE)
    outer = ("input", "output")

    def __init__(self, too_optimistic: int = 0) -> None:
        self.too_optimistic = too_optimistic

    def write(self, path: Path, *, method: RangeMethod, layers: Collection[str]) -> None:
        damage = sum(DAMAGE[layer] for layer in layers)
        path.write_text(str(damage // (2 if method is RangeMethod.ENTROPY else 1)))

    def write_draft(self, path: Path, *, method: RangeMethod, layers: Collection[str]) -> None:
        self.write(path, method=method, layers=layers)
        path.write_text(str(max(0, int(path.read_text()) - self.too_optimistic)))


class Reader:
    batch = 1

    def __init__(self, path: Path) -> None:
        self.damage = int(path.read_text())

    def infer(self, frames: np.ndarray) -> np.ndarray:
        return frames + np.uint8(self.damage)


@contextmanager
def open_reader(path: Path) -> Iterator[Reader]:
    yield Reader(path)


def maker(folder: Path, *, quantizer: KnownDamage | None = None, steps: int = 45, **options: object) -> Int8Maker:
    def same(frames: Sequence[Frame]) -> list[Frame]:
        return list(frames)

    gate = Gate(max_abs=steps)
    return Int8Maker(
        quantizer=quantizer or KnownDamage(),
        open_engine=open_reader,
        calibration=[FRAME] * 10,
        held_out=HeldOut(frames=[FRAME], references=[FRAME]),
        translate=same,
        options=Int8Options(gate=gate, **options),
        workshop=folder,
        suffix=".txt",
        say=lambda _line: None,
    )


def test_what_passes_is_left_whole_and_unmeasured(tmp_path: Path) -> None:
    made = maker(tmp_path, steps=125).make(tmp_path / "int8.txt")
    assert (made.layers, made.kept_float, made.sensitivity) == (4, (), ())
    assert made.outer_float == ("input", "output")
    assert (tmp_path / "int8.txt").read_text() == "125"


def test_the_fewest_of_the_most_harmful_layers_return_to_float(tmp_path: Path) -> None:
    made = maker(tmp_path, steps=45).make(tmp_path / "int8.txt")
    assert made.kept_float == ("worst",)
    assert made.layers == 3
    assert [damage.layer for damage in made.sensitivity] == ["worst", "harmful", "last", "first"]
    assert (tmp_path / "int8.txt").read_text() == "45"
    made = maker(tmp_path, steps=44).make(tmp_path / "int8.txt")
    assert made.kept_float == ("worst", "harmful")


def test_a_draft_that_promises_too_much_is_not_believed(tmp_path: Path) -> None:
    made = maker(tmp_path, quantizer=KnownDamage(too_optimistic=2), steps=44).make(tmp_path / "int8.txt")
    assert made.kept_float == ("worst", "harmful")
    assert int((tmp_path / "int8.txt").read_text()) <= 44


def test_what_no_layer_can_mend_stays_as_it_was_and_fails(tmp_path: Path) -> None:
    made = maker(tmp_path, steps=1).make(tmp_path / "int8.txt")
    assert made.kept_float == ()
    assert made.layers == 4, "an artifact without an INT8 layer would not be INT8"
    assert (tmp_path / "int8.txt").read_text() == "125"


class Controlled(KnownDamage):
    def write_with_accuracy_control(
        self,
        path: Path,
        *,
        method: RangeMethod,
        frames_held: Sequence[Frame],
        references: Sequence[Frame],
        min_psnr: float,
    ) -> tuple[str, ...]:
        assert (len(frames_held), len(references), min_psnr) == (1, 1, 30.0)
        self.write(path, method=method, layers=("first", "harmful", "last"))
        return ("worst",)


def test_accuracy_control_chooses_where_it_is_asked_for_and_had(tmp_path: Path) -> None:
    gate = Gate(psnr_db=30.0, max_abs=1)
    options = Int8Options(gate=gate, accuracy_control=True, method=RangeMethod.ENTROPY)
    made = replace(maker(tmp_path, quantizer=Controlled()), options=options).make(tmp_path / "int8.txt")
    assert (made.accuracy_control, made.kept_float, made.layers) == (True, ("worst",), 3)
    assert made.method is RangeMethod.ENTROPY
    assert (tmp_path / "int8.txt").read_text() == "22"
    plain = replace(maker(tmp_path), options=options).make(tmp_path / "plain.txt")
    assert not plain.accuracy_control


def test_a_draft_that_promises_too_little_is_not_the_last_word(tmp_path: Path) -> None:
    made = maker(tmp_path, quantizer=KnownDamage(too_optimistic=-50), steps=2).make(tmp_path / "int8.txt")
    assert made.kept_float == ("worst", "harmful", "last")
    assert (tmp_path / "int8.txt").read_text() == "2"


def test_sensitivity_can_be_asked_for(tmp_path: Path) -> None:
    made = maker(tmp_path, steps=255, sensitivity=True).make(tmp_path / "int8.txt")
    assert made.kept_float == ()
    assert made.sensitivity[0].layer == "worst"
    assert made.sensitivity[0].psnr_db == pytest.approx(20 * np.log10(255 / 80), abs=0.01)


def test_the_best_method_is_kept(tmp_path: Path) -> None:
    made = maker(tmp_path, steps=255, sweep=True).make(tmp_path / "int8.txt")
    assert made.method is RangeMethod.ENTROPY
    assert [trial.method for trial in made.tried] == [RangeMethod.ENTROPY, RangeMethod.MIN_MAX]
    assert (tmp_path / "int8.txt").read_text() == "62"
    assert maker(tmp_path, steps=255, method=RangeMethod.ENTROPY).make(tmp_path / "x.txt").method is RangeMethod.ENTROPY
