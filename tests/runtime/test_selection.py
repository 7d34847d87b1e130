"""Which artifact is taken: by the manifest where it was measured here, else by a probe that is remembered."""

import json
from pathlib import Path

import pytest

from core.errors import UnavailableError
from core.frames import Size
from core.manifest import Artifact
from core.precision import Precision
from runtime import selection
from runtime.bundle import Bundle, open_bundle
from runtime.selection import Timing, choose_artifact
from tests.runtime.test_bundle import artifact, with_artifacts

ROWS = [artifact("onnx", "fp32", 10.0), artifact("onnx", "int8", 4.0), artifact("openvino", "fp32", 8.0)]


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = [dict(row) for row in ROWS]
    for row, psnr in zip(rows, (90.0, 45.0, 92.0), strict=True):
        row["fidelity"] = {"psnr_db": psnr, "ssim": 1.0, "max_abs": 1, "mean_abs": 0.1, "frames": 8}
    return open_bundle(with_artifacts(tiny_bundle, *rows))


class Probe:
    """Stands for the measurement: gives what it is told, and counts."""

    def __init__(self, **p50: float) -> None:
        self.p50 = p50
        self.calls = 0

    def __call__(self, _bundle: Bundle, candidates: list[Artifact], _threads: int | None) -> dict[str, Timing]:
        self.calls += 1
        known = {one.name: self.p50[f"{one.target}_{one.precision}"] for one in candidates}
        return {name: Timing(value, 1.1 * value) for name, value in known.items()}


def elsewhere(bundle: Bundle) -> Bundle:
    return Bundle(bundle.folder, bundle.manifest.model_copy(update={"fingerprint": "0" * 16}))


def test_where_it_was_made_the_manifest_decides(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_measure", lambda *_: pytest.fail("measured without need"))
    choice = choose_artifact(bundle)
    assert choice.artifact.name == "generator.int8.onnx"
    assert [one.name for one in choice.usable] == ["generator.int8.onnx", "generator.fp32.xml", "generator.fp32.onnx"]
    assert choice.holds is None


def test_elsewhere_it_is_measured_once_and_remembered(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = Probe(onnx_fp32=3.0, onnx_int8=9.0, openvino_fp32=5.0)
    monkeypatch.setattr(selection, "_measure", probe)
    said: list[str] = []
    for _ in range(2):
        choice = choose_artifact(elsewhere(bundle), say=said.append)
        assert choice.artifact.name == "generator.fp32.onnx"
    assert probe.calls == 1
    assert len(said) == 1
    assert "3 artifacts" in said[0]
    choose_artifact(elsewhere(bundle), threads=1)
    assert probe.calls == 2, "with other threads the figures are others"


def test_a_damaged_memory_is_no_memory(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = Probe(onnx_fp32=3.0, onnx_int8=9.0, openvino_fp32=5.0)
    monkeypatch.setattr(selection, "_measure", probe)
    choose_artifact(elsewhere(bundle))
    (kept,) = (tmp_path / "cache" / "pix2pix-edge").iterdir()
    for content in ("", "[]", '{"a": 1}', "{", json.dumps({"generator.fp32.onnx": [1.0, 1.0]})):
        kept.write_text(content)
        assert choose_artifact(elsewhere(bundle)).artifact.name == "generator.fp32.onnx"
    assert probe.calls == 6


def test_of_those_that_hold_the_rate_the_most_faithful_is_taken(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = Probe(onnx_fp32=20.0, onnx_int8=8.0, openvino_fp32=15.0)
    monkeypatch.setattr(selection, "_measure", probe)
    for fps, taken, holds in (
        (30, "generator.fp32.xml", True),
        (50, "generator.fp32.xml", True),
        (60, "generator.int8.onnx", True),
        (200, "generator.int8.onnx", False),
    ):
        choice = choose_artifact(bundle, hold_fps=fps)
        assert (choice.artifact.name, choice.holds) == (taken, holds)
    assert "none holds 200 fps here; the fastest makes about 102" in choice.reason
    assert probe.calls == 4, "a promise is measured every time"


def test_what_is_asked_for_is_taken(bundle: Bundle) -> None:
    choice = choose_artifact(bundle, target="onnx", precision=Precision.FP32)
    assert (choice.artifact.name, choice.reason) == ("generator.fp32.onnx", "as asked")
    assert len(choice.usable) == 3


def test_the_probe_really_runs_artifacts(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "PROBE_SECONDS", 0.02)
    timings = selection._measure(open_bundle(tiny_bundle), open_bundle(tiny_bundle).usable(), 1)
    (timing,) = timings.values()
    assert 0 < timing.p50 <= timing.p90


def test_a_probe_that_nothing_passes_says_why(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise UnavailableError("no such device")

    monkeypatch.setattr(Bundle, "open", refuse)
    bundle = open_bundle(tiny_bundle)
    with pytest.raises(UnavailableError, match="no such device"):
        choose_artifact(bundle, hold_fps=1.0, size=Size(48, 64))
