"""The Python interface: the same as the command, for programs."""

import itertools
import shutil
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import BundleError, InvalidInputError, UnavailableError
from core.manifest import Artifact, Manifest, describe_file, read_manifest, write_manifest
from core.precision import Precision
from runtime.bundle import Bundle, open_bundle
from runtime.engines import Engine
from runtime.pipeline import run_pipeline
from runtime.translator import Translator, open_translator
from tests.runtime.pipeline_stand_ins import ListSink, ListSource
from tests.runtime.stream_helpers import numbered_frame


def test_frames_of_any_size_are_translated(tiny_bundle: Path) -> None:
    with open_translator(tiny_bundle) as translator:
        assert translator.size == (48, 64)
        assert translator.label == "onnx fp32"
        assert translator.device == "cpu"
        frame = numbered_frame(77)
        assert np.array_equal(translator(frame), 255 - frame)
        assert translator(np.zeros((480, 640, 3), np.uint8)).shape == (48, 64, 3)


def test_translations_of_native_size_lie_over_their_frames(tiny_bundle: Path) -> None:
    frame = np.full((96, 256, 3), 10, np.uint8)
    with open_translator(tiny_bundle, native_size=True) as translator:
        made = translator(frame)
    assert made.shape == frame.shape
    assert (made[:, 64:192] == 245).all()
    assert (made[:, :64] == 10).all()
    with open_translator(tiny_bundle, native_size=True, fit="stretch") as translator:
        assert (translator(frame) == 245).all()


def test_it_streams_what_one_brings(tiny_bundle: Path) -> None:
    sink = ListSink()
    with open_translator(tiny_bundle) as translator:
        result = run_pipeline(ListSource(9), translator, [sink])
    assert result.frames == 9
    assert np.array_equal(sink.pictures[4].frame, 255 - numbered_frame(4))
    assert np.array_equal(sink.pictures[4].seen, numbered_frame(4))
    assert sink.pictures[4].label == "onnx fp32"


def with_a_second(bundle: Path) -> Path:
    """The same graph under the name of another precision."""
    shutil.copy(bundle / "generator.fp32.onnx", bundle / "generator.int8.onnx")
    manifest = read_manifest(bundle)
    second = manifest.artifacts[0].model_copy(
        update={"precision": Precision.INT8, "files": (describe_file(bundle / "generator.int8.onnx"),)}
    )
    both = manifest.model_dump() | {"artifacts": (*manifest.artifacts, second)}
    write_manifest(bundle, Manifest.model_validate(both))
    return bundle


def wait_for(translator: Translator) -> None:
    while (loading := translator._loading) is not None:
        loading.join(10)
        if not loading.is_alive():
            break


def test_the_next_artifact_takes_over_and_the_first_comes_again(tiny_bundle: Path) -> None:
    frame = numbered_frame(5)
    with open_translator(with_a_second(tiny_bundle)) as translator:
        labels = []
        for _ in range(3):
            assert np.array_equal(translator(frame), 255 - frame)
            labels.append(translator.label)
            translator.next_artifact()
            wait_for(translator)
    assert labels[0] == labels[2] != labels[1]


def test_one_that_cannot_be_loaded_is_passed_over(tiny_bundle: Path) -> None:
    bundle = with_a_second(tiny_bundle)
    with open_translator(bundle, precision="fp32", target="onnx") as translator:
        (bundle / "generator.int8.onnx").write_bytes(b"damaged")
        translator.next_artifact()
        wait_for(translator)
        translator(numbered_frame(5))
        assert translator.label == "onnx fp32"


def test_asking_twice_before_a_frame_loads_one_engine(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Engine] = []
    real = Bundle.open

    def spy(bundle: Bundle, artifact: Artifact, **options: Any) -> Engine:
        opened.append(real(bundle, artifact, **options))
        return opened[-1]

    monkeypatch.setattr(Bundle, "open", spy)
    with open_translator(with_a_second(tiny_bundle)) as translator:
        opened.clear()
        for _ in range(3):
            translator.next_artifact()
            wait_for(translator)
        assert translator.changes
        translator(numbered_frame(1))
        assert not translator.changes
    assert [engine._closed for engine in opened] == [True]


def test_a_fault_while_loading_does_not_end_the_key(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_translator(with_a_second(tiny_bundle)) as translator:

        def fail(*_: object, **__: object) -> Engine:
            raise MemoryError

        with monkeypatch.context() as patch:
            patch.setattr(Bundle, "open", fail)
            translator.next_artifact()
            wait_for(translator)
        assert translator.notes == ["generator.int8.onnx could not be loaded: MemoryError"]
        translator.next_artifact()
        wait_for(translator)
        translator(numbered_frame(1))
        assert translator.label == "onnx int8"


@pytest.mark.parametrize(
    "wrong", [np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.uint8), np.zeros((0, 8, 3), np.uint8)]
)
def test_what_is_no_frame_is_refused(wrong: np.ndarray, tiny_bundle: Path) -> None:
    with open_translator(tiny_bundle) as translator, pytest.raises(InvalidInputError, match="not a uint8 BGR frame"):
        translator(wrong)


def test_it_runs_on_the_device_it_is_given_and_so_does_the_next_artifact(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    real = Bundle.open

    def spy(bundle: Bundle, artifact: Artifact, **options: Any) -> Engine:
        asked.append(options["device"])
        return real(bundle, artifact, **options)

    monkeypatch.setattr(Bundle, "open", spy)
    frame = numbered_frame(5)
    with open_translator(with_a_second(tiny_bundle), device="CPU") as translator:
        assert translator.device == "cpu"
        first = translator.label
        translator.next_artifact()
        wait_for(translator)
        assert np.array_equal(translator(frame), 255 - frame)
        assert translator.label != first
        assert translator.device == "cpu"
    assert asked == ["cpu", "cpu"]


def test_a_device_that_nothing_runs_on_is_an_error(tiny_bundle: Path) -> None:
    with pytest.raises(UnavailableError, match="can run on npu: onnx: ONNX Runtime runs on cpu and cuda"):
        open_translator(tiny_bundle, device="NPU")


def test_it_can_be_closed_while_the_next_is_loading(tiny_bundle: Path) -> None:
    translator = open_translator(with_a_second(tiny_bundle))
    translator.next_artifact()
    translator.close()
    translator.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "p2p-load"]


def test_a_file_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "latest_net_G.pth").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"p2p-export .*latest_net_G.pth makes one"):
        open_bundle(tmp_path / "latest_net_G.pth")


def test_an_unknown_built_in_bundle_names_those_that_there_are() -> None:
    with pytest.raises(BundleError, match="builtin:labels, builtin:edges"):
        open_bundle("builtin:cats")


@pytest.mark.parametrize("page", ["README.md", "docs/runtime.md"])
def test_the_documented_example_runs(page: str, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    start = text.index("    from runtime.translator import open_translator")
    lines = itertools.takewhile(lambda line: not line or line.startswith("    "), text[start:].split("\n"))
    (tiny_bundle.parent / "exports").mkdir()
    (tiny_bundle.parent / "exports" / "latest").symlink_to(tiny_bundle)
    monkeypatch.chdir(tiny_bundle.parent)
    names = {"frame": numbered_frame(3)}
    exec(textwrap.dedent("\n".join(lines)), names)
    assert np.array_equal(names["translation"], 255 - numbered_frame(3))
