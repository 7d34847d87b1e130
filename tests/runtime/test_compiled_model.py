"""OpenVINO models that take frames of any size."""

from pathlib import Path

import numpy as np
import openvino
import pytest
from openvino import opset13

from core.errors import BundleError, InvalidInputError
from core.frames import Size
from runtime.engines import Engine, open_engine
from tests.runtime.engine_contract import SIZE, EngineContract


def write_inverting_model(path: Path, *, batch: int = -1, channels: int = 3, columns: int = 1) -> Path:
    """An IR that inverts frames of any size, or (``columns`` given) of that width."""
    frames = opset13.parameter([batch, -1, -1, channels], np.uint8, name="frames")
    white = opset13.constant(np.full((1, 1, columns, 1), 255, np.uint8))
    openvino.save_model(openvino.Model([opset13.subtract(white, frames)], [frames]), path)
    return path


class TestAnySize(EngineContract):
    def open(self, folder: Path) -> Engine:
        return open_engine("openvino", write_inverting_model(folder / "any.xml"), threads=1, size=SIZE)

    def open_damaged(self, folder: Path) -> Engine:
        path = write_inverting_model(folder / "any.xml")
        path.write_bytes(path.read_bytes()[:-200])
        return open_engine("openvino", path, threads=1, size=SIZE)


def test_it_has_to_be_told_which(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="any size: say which"):
        open_engine("openvino", write_inverting_model(tmp_path / "any.xml"))


def test_a_size_that_its_layers_cannot_take_is_refused(tmp_path: Path) -> None:
    path = write_inverting_model(tmp_path / "any.xml", columns=64)
    open_engine("openvino", path, size=Size(10, 64)).close()
    with pytest.raises(InvalidInputError, match=r"any\.xml cannot take frames of 64x10: give a size"):
        open_engine("openvino", path, size=Size(64, 10))


def test_its_batch_is_kept(tmp_path: Path) -> None:
    path = write_inverting_model(tmp_path / "any.xml", batch=2)
    with open_engine("openvino", path, threads=1, size=SIZE) as engine:
        assert engine.batch == 2
        assert np.all(engine.infer(np.zeros((2, *SIZE, 3), np.uint8)) == 255)


def test_a_static_model_refuses_another_size(tmp_path: Path) -> None:
    model = openvino.Core().read_model(write_inverting_model(tmp_path / "any.xml"))
    model.reshape([1, *SIZE, 3])
    openvino.save_model(model, tmp_path / "static.xml")
    open_engine("openvino", tmp_path / "static.xml", size=SIZE).close()
    with pytest.raises(InvalidInputError, match=r"48x64.*, not 64x48"):
        open_engine("openvino", tmp_path / "static.xml", size=Size(64, 48))


def test_what_does_not_take_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not uint8 frames"):
        open_engine("openvino", write_inverting_model(tmp_path / "four.xml", channels=4), size=SIZE)
