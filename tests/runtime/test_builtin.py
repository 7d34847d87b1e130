"""The bundles that ship inside the package load, are faithful, and make the pictures they made when they shipped."""

import json
from pathlib import Path

import pytest

from core.conditions import Condition
from core.facades import FacadeStream
from core.fidelity import Fidelity
from core.frames import Frame, read_image, side_by_side, write_image
from core.manifest import Manifest, Status, verify_files
from core.precision import Precision
from export.fidelity import fidelity_of
from runtime.bundle import BUILT_IN_FOLDER, BUILTINS, Bundle, open_builtin, open_bundle
from runtime.translator import open_translator
from tests.runtime.stream_helpers import run_command_line

RECORDED = Path(__file__).parent / "recorded"
"""Translations by the fp16 artifacts when they were made, one frame each: see ``docs/builtin-models.md``."""
FRAME = 40
SIZE = 256
LIMIT_BYTES = 8_000_000
LOOKS_THE_SAME_DB = {Precision.FP16: 50.0, Precision.INT8: 32.0}
"""fp16, which CPUs compute in fp32, differs on others by rounding (0 or 1 step of 255: 48 dB if all pixels did)."""


def inputs(name: str, count: int = 1) -> list[Frame]:
    """What the stream shows a generator: label maps, or pictures, which ``prepare`` makes edges of."""
    stream = FacadeStream(seed=0, size=SIZE)
    return [(stream.labels if name == "labels" else stream.photo)(FRAME + 60 * i) for i in range(count)]


def psnr(one: Frame, other: Frame) -> float:
    return fidelity_of([one], [other]).psnr_db


@pytest.fixture(params=BUILTINS)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return open_builtin(request.param)


def test_it_is_whole_and_says_where_it_comes_from(bundle: Bundle) -> None:
    manifest: Manifest = bundle.manifest
    assert {artifact.precision for artifact in manifest.artifacts} == {Precision.FP16, Precision.INT8}
    for artifact in manifest.artifacts:
        assert artifact.target == "onnx", "what the base installation runs"
        assert artifact.status is Status.PASSED
        assert artifact.fidelity is not None
        verify_files(bundle.folder, artifact)
    expected = {"labels": Condition.IDENTITY, "edges": Condition.EDGES}
    assert manifest.condition is expected[bundle.folder.name]
    assert "make builtin-models" in manifest.notes[0]
    files = {file.name for artifact in manifest.artifacts for file in artifact.files}
    assert {path.name for path in bundle.folder.iterdir()} == {*files, "manifest.json"}
    texts = json.dumps(json.loads((bundle.folder / "manifest.json").read_text()))
    assert not any(word in texts for word in ("/tmp", "/home", "/work", "/root"))


def test_both_together_are_small() -> None:
    files = [path for path in BUILT_IN_FOLDER.rglob("*") if path.is_file()]
    assert 0 < sum(path.stat().st_size for path in files) <= LIMIT_BYTES


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8])
def test_it_looks_as_recorded(bundle: Bundle, precision: Precision) -> None:
    name = bundle.folder.name
    recorded = read_image(RECORDED / f"{name}.png")
    with open_translator(f"builtin:{name}", target="onnx", precision=precision) as translator:
        made = translator(inputs(name)[0])
    assert psnr(made, recorded) >= LOOKS_THE_SAME_DB[precision]
    other = read_image(RECORDED / f"{next(one for one in BUILTINS if one != name)}.png")
    assert psnr(made, other) < 25, "the two would be told apart"
    assert psnr(made[:, :, ::-1], recorded) < 25, "so would swapped colours"


def test_int8_still_passes_its_gate(bundle: Bundle) -> None:
    name = bundle.folder.name
    made: dict[Precision, list[Frame]] = {}
    for precision in (Precision.FP16, Precision.INT8):
        with open_translator(f"builtin:{name}", target="onnx", precision=precision) as translator:
            made[precision] = [translator(frame) for frame in inputs(name, 4)]
    fidelity: Fidelity = fidelity_of(made[Precision.INT8], made[Precision.FP16])
    assert bundle.manifest.gates[Precision.INT8].complaint(fidelity, None, None) is None


def test_a_fresh_installation_streams_without_a_bundle(tmp_path: Path) -> None:
    done = run_command_line("--no-show", "--output", "out.png", "--frames", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no bundle in exports/: taking builtin:labels" in done.stdout
    assert "taking the built-in demo" in done.stdout
    with open_translator("builtin:labels") as translator:
        expected = translator(FacadeStream(seed=0, size=SIZE).labels(0))
    assert psnr(read_image(tmp_path / "out.png"), expected) > 30


def test_pictures_are_given_the_bundle_for_edges(tmp_path: Path) -> None:
    write_image(tmp_path / "in.png", side_by_side(*inputs("edges", 2)))
    done = run_command_line("--source", "in.png", "--no-show", "--output", "out.png", "--native-size", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "taking builtin:edges" in done.stdout
    assert "condition edges" in done.stdout
    assert "add --half A or B" in done.stdout
    assert read_image(tmp_path / "out.png").shape == (SIZE, 2 * SIZE, 3)


def test_a_bundle_in_exports_goes_before(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "exports").mkdir()
    tiny_bundle.rename(tmp_path / "exports" / "mine")
    (tmp_path / "exports" / "latest").symlink_to("mine")
    monkeypatch.chdir(tmp_path)
    assert open_bundle(condition=Condition.EDGES).folder == Path("exports/mine")
