"""What every engine must do, whatever it wraps. A backend's tests subclass this and say how to open the engine."""

import threading
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import pytest

from core.errors import BundleError, EdgeError, InvalidInputError, UnavailableError
from core.frames import Size
from runtime.engines import Engine

SIZE = Size(48, 64)
"""Not square, so that a mistaken order of height and width shows."""


class EngineContract(ABC):
    """The tests; the artifact that ``open`` loads inverts every value of a frame of ``SIZE``."""

    damaged_error: type[EdgeError] = BundleError

    @abstractmethod
    def open(self, folder: Path) -> Engine:
        """Make the artifact in ``folder`` and load it."""

    @abstractmethod
    def open_damaged(self, folder: Path) -> Engine:
        """Load an artifact whose file is damaged."""

    @pytest.fixture
    def frame(self) -> np.ndarray:
        return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)

    def test_says_what_it_takes_and_where_it_runs(self, tmp_path: Path) -> None:
        with self.open(tmp_path) as engine:
            assert engine.size == SIZE
            assert engine.batch == 1
            assert engine.device
            assert engine.threads >= 1

    def test_translates_a_frame_and_leaves_it_as_it_was(self, tmp_path: Path, frame: np.ndarray) -> None:
        before = frame.copy()
        with self.open(tmp_path) as engine:
            translated = engine.translate(frame)
        assert translated.dtype == np.uint8
        assert np.array_equal(translated, 255 - before)
        assert np.array_equal(frame, before)

    def test_a_translation_is_the_callers_to_keep(self, tmp_path: Path, frame: np.ndarray) -> None:
        with self.open(tmp_path) as engine:
            first = engine.translate(frame)
            engine.translate(255 - frame)
            assert np.array_equal(first, 255 - frame)

    def test_takes_views(self, tmp_path: Path, frame: np.ndarray) -> None:
        mirrored = frame[:, ::-1]
        with self.open(tmp_path) as engine:
            assert np.array_equal(engine.translate(mirrored), 255 - mirrored)

    def test_works_in_another_thread_than_it_was_opened_in(self, tmp_path: Path, frame: np.ndarray) -> None:
        answers: list[np.ndarray] = []
        with self.open(tmp_path) as engine:
            worker = threading.Thread(target=lambda: answers.append(engine.translate(frame)))
            worker.start()
            worker.join(timeout=30)
        assert np.array_equal(answers[0], 255 - frame)

    @pytest.mark.parametrize(
        "frame_in",
        [np.zeros((64, 48, 3), np.uint8), np.zeros((48, 64, 3), np.float32), np.zeros((48, 64), np.uint8)],
        ids=["transposed", "float", "gray"],
    )
    def test_refuses_other_frames(self, tmp_path: Path, frame_in: np.ndarray) -> None:
        with self.open(tmp_path) as engine, pytest.raises(InvalidInputError, match="this engine takes uint8"):
            engine.translate(frame_in)

    def test_can_be_closed_twice_and_is_closed_then(self, tmp_path: Path) -> None:
        engine = self.open(tmp_path)
        engine.close()
        engine.close()
        with pytest.raises(UnavailableError, match="closed"):
            engine.translate(np.zeros((*SIZE, 3), np.uint8))

    def test_refuses_a_damaged_file_in_one_line(self, tmp_path: Path) -> None:
        with pytest.raises(self.damaged_error) as caught:
            self.open_damaged(tmp_path)
        assert "\n" not in str(caught.value).strip()
