"""What every engine must do, whatever it wraps. A backend's tests subclass this and say how to open the engine."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
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

    def test_what_is_submitted_is_translated(self, tmp_path: Path, frame: np.ndarray) -> None:
        with self.open(tmp_path) as engine:
            first, second = engine.submit(frame), engine.submit(255 - frame)
            assert np.array_equal(second.result(), frame)
            assert np.array_equal(first.result(), 255 - frame)
            with pytest.raises(InvalidInputError, match="this engine takes uint8"):
                engine.submit(frame[:, :10])

    def test_what_is_submitted_stays_while_others_are_translated(self, tmp_path: Path, frame: np.ndarray) -> None:
        with self.open(tmp_path) as engine:
            pending = engine.submit(frame)
            assert np.array_equal(engine.translate(255 - frame), frame)
            assert np.array_equal(pending.result(), 255 - frame)


class DeepEngineContract(EngineContract):
    """Of engines that can have several calls under way."""

    @abstractmethod
    def open_deep(self, folder: Path, depth: int) -> Engine:
        """Make the artifact in ``folder`` and load it for ``depth`` calls under way."""

    @pytest.mark.parametrize("depth", [1, 2, 3])
    def test_several_are_under_way_and_each_gives_its_own(self, tmp_path: Path, depth: int) -> None:
        frames = [np.full((*SIZE, 3), number, np.uint8) for number in range(20)]
        with self.open_deep(tmp_path, depth) as engine:
            assert engine.depth == depth
            pending = [engine.submit(frame) for frame in frames]
            assert [int(one.result().max()) for one in pending] == [255 - number for number in range(20)]
            assert np.array_equal(engine.translate(frames[3]), 255 - frames[3])

    @pytest.mark.parametrize("depth", [1, 2, 3])
    def test_no_more_are_under_way_than_its_depth(
        self, tmp_path: Path, depth: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with self.open_deep(tmp_path, depth) as engine:
            start = engine._start
            under_way: list[int] = []
            counts: list[int] = []

            def counting(frames: np.ndarray, slot: int) -> Callable[[], np.ndarray]:
                assert slot not in under_way, "what was begun there before was not waited for"
                wait = start(frames, slot)
                under_way.append(slot)
                counts.append(len(under_way))

                def finish() -> np.ndarray:
                    translated = wait()
                    assert under_way.pop(0) == slot, "the oldest is waited for first"
                    return translated

                return finish

            monkeypatch.setattr(engine, "_start", counting)
            pending = [engine.submit(np.full((*SIZE, 3), number, np.uint8)) for number in range(3 * depth)]
            assert counts == [min(number, depth) for number in range(1, 3 * depth + 1)]
            assert len(under_way) == depth, "the newest are still under way"
            assert [int(one.result().min()) for one in pending] == [255 - number for number in range(3 * depth)]

    @pytest.mark.parametrize("depth", [1, 2, 3])
    def test_results_may_be_taken_in_another_thread_and_after_the_end(
        self, tmp_path: Path, frame: np.ndarray, depth: int
    ) -> None:
        answers: list[np.ndarray] = []
        with self.open_deep(tmp_path, depth) as engine:
            taken, left = engine.submit(frame), engine.submit(255 - frame)
            worker = threading.Thread(target=lambda: answers.append(taken.result()))
            worker.start()
            worker.join(timeout=30)
        assert np.array_equal(answers[0], 255 - frame)
        assert np.array_equal(left.result(), frame)

    @pytest.mark.parametrize("depth", [1, 2, 3])
    def test_what_fails_comes_out_of_the_result(
        self, tmp_path: Path, frame: np.ndarray, depth: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_arguments: object) -> None:
            raise RuntimeError("the device is gone")

        with self.open_deep(tmp_path, depth) as engine:
            with monkeypatch.context() as patch:
                patch.setattr(engine, "_start", fail)
                pending = engine.submit(frame)
            with pytest.raises(RuntimeError, match="the device is gone"):
                pending.result()
            assert np.array_equal(engine.submit(frame).result(), 255 - frame)
