"""Which artifact is taken: by the manifest where it was measured here, else by a probe that is remembered."""

import json
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from core.errors import InvalidInputError, UnavailableError
from core.frames import Size
from core.machine import usable_cores
from core.manifest import Artifact
from core.precision import Precision
from runtime import selection
from runtime.bundle import Bundle, open_bundle
from runtime.engines import Engine, compiled_model, parse_device
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
        self.devices: list[str | None] = []

    def __call__(
        self, _bundle: Bundle, candidates: list[Artifact], _threads: int | None, device: str | None, _say: object
    ) -> dict[str, Timing]:
        self.calls += 1
        self.devices.append(device)
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
    timings = selection._measure(open_bundle(tiny_bundle), open_bundle(tiny_bundle).usable(), 1, "cpu", print)
    (timing,) = timings.values()
    assert 0 < timing.p50 <= timing.p90


def test_what_cannot_be_loaded_is_said_once_and_remembered_too(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def time_it(_bundle: Bundle, artifact: Artifact, *_: object) -> list[float]:
        calls.append(artifact.name)
        if artifact.target == "openvino":
            raise UnavailableError("built for another GPU")
        return [5.0 if artifact.precision is Precision.INT8 else 9.0] * 10

    calls: list[str] = []
    said: list[str] = []
    monkeypatch.setattr(selection, "_time", time_it)
    for _ in range(2):
        choice = choose_artifact(elsewhere(bundle), say=said.append)
        assert [one.name for one in choice.usable] == ["generator.int8.onnx", "generator.fp32.onnx"]
    assert len(calls) == 6, "three artifacts, two rounds, once"
    assert said[1:] == ["generator.fp32.xml is left out: built for another GPU"]


def test_figures_of_other_threads_are_not_used(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = Probe(onnx_fp32=3.0, onnx_int8=9.0, openvino_fp32=5.0)
    monkeypatch.setattr(selection, "_measure", probe)
    assert choose_artifact(bundle, threads=usable_cores() + 1).artifact.name == "generator.fp32.onnx"
    assert choose_artifact(bundle, threads=usable_cores()).artifact.name == "generator.int8.onnx"
    assert probe.calls == 1


def test_where_nothing_can_be_loaded_the_error_is_all_that_is_said(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> list[float]:
        raise UnavailableError("no driver")

    said: list[str] = []
    monkeypatch.setattr(selection, "_time", refuse)
    with pytest.raises(UnavailableError, match=r"^no driver$"):
        choose_artifact(elsewhere(bundle), say=said.append)
    assert not [line for line in said if "left out" in line]


def test_a_probe_that_nothing_passes_says_why(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise UnavailableError("no such device")

    monkeypatch.setattr(Bundle, "open", refuse)
    bundle = open_bundle(tiny_bundle)
    with pytest.raises(UnavailableError, match="no such device"):
        choose_artifact(bundle, hold_fps=1.0, size=Size(48, 64))


def test_what_is_asked_for_is_taken_even_if_nothing_passed_its_gate(tiny_bundle: Path) -> None:
    bundle = open_bundle(with_artifacts(tiny_bundle, artifact("onnx", "int8", 2.0, "failed")))
    choice = choose_artifact(bundle, target="onnx", precision=Precision.INT8)
    assert [one.name for one in choice.usable] == ["generator.int8.onnx"]
    assert choice.artifact == choice.usable[0]


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime has CUDA, and OpenVINO a GPU of its own."""
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    monkeypatch.setattr(compiled_model, "available_devices", lambda: ("CPU", "GPU"))


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(
    ("device", "targets"),
    [
        (None, ["onnx", "onnx", "openvino"]),
        ("cpu", ["onnx", "onnx", "openvino"]),
        ("cuda:1", ["onnx", "onnx"]),
        ("GPU.0", ["openvino"]),
    ],
)
def test_only_what_can_run_on_the_device_is_considered(
    device: str | None, targets: list[str], bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "_measure", Probe(onnx_fp32=3.0, onnx_int8=9.0, openvino_fp32=5.0))
    choice = choose_artifact(bundle, device=device)
    assert sorted(one.target for one in choice.usable) == targets
    assert choice.device == parse_device(device)


@pytest.mark.usefixtures("gpus")
def test_what_is_asked_for_by_name_must_run_on_the_device_too(bundle: Bundle) -> None:
    choice = choose_artifact(bundle, target="onnx", precision=Precision.FP32, device="CUDA")
    assert (choice.artifact.name, choice.device) == ("generator.fp32.onnx", "cuda")
    assert {one.target for one in choice.usable} == {"onnx"}
    with pytest.raises(UnavailableError, match=r"can run on cuda: openvino: OpenVINO has no device cuda here"):
        choose_artifact(bundle, target="openvino", precision=Precision.FP32, device="cuda")


@pytest.mark.usefixtures("gpus")
def test_where_nothing_can_each_target_says_why_in_one_line(bundle: Bundle) -> None:
    with pytest.raises(UnavailableError) as refusal:
        choose_artifact(bundle, device="npu")
    assert "can run on npu: onnx: ONNX Runtime runs on cpu and cuda" in str(refusal.value)
    assert "; openvino: OpenVINO has no device npu here, only CPU, GPU (or AUTO)" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    with pytest.raises(InvalidInputError, match="'c p u' is not understood"):
        choose_artifact(bundle, device="c p u")


def test_a_missing_library_is_a_reason_as_well(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.formats.is_installed", lambda module: module != "openvino")
    with pytest.raises(UnavailableError, match=r"openvino: .*pip install 'pix2pix-edge\[openvino\]'"):
        choose_artifact(bundle, device="gpu")


@pytest.mark.usefixtures("gpus")
def test_figures_of_another_device_are_not_used(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = Probe(onnx_fp32=3.0, onnx_int8=9.0, openvino_fp32=5.0)
    monkeypatch.setattr(selection, "_measure", probe)
    recorded = choose_artifact(bundle, device="cpu")
    assert (recorded.artifact.name, probe.calls) == ("generator.int8.onnx", 0), "measured on the CPU when exported"
    assert [one.name for one in bundle.usable(device="cuda")] == ["generator.fp32.onnx", "generator.int8.onnx"]
    probed = choose_artifact(bundle, device="cuda")
    assert (probed.artifact.name, probe.calls) == ("generator.fp32.onnx", 1)
    assert "measured just now: 3.0 ms" in probed.reason


@pytest.mark.usefixtures("gpus")
def test_what_was_measured_is_remembered_for_its_device_alone(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = Probe(onnx_fp32=3.0, onnx_int8=9.0, openvino_fp32=5.0)
    monkeypatch.setattr(selection, "_measure", probe)
    for device in (None, "cpu", "cuda", "cuda:1", None, "CPU", "cuda", "CUDA:1"):
        choose_artifact(elsewhere(bundle), target="onnx", device=device)
    assert probe.devices == [None, "cpu", "cuda", "cuda:1"]


def test_a_promise_is_measured_on_the_device(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = Probe(onnx_fp32=3.0, onnx_int8=9.0, openvino_fp32=5.0)
    monkeypatch.setattr(selection, "_measure", probe)
    assert choose_artifact(bundle, device="cpu", hold_fps=30.0).device == "cpu"
    assert probe.devices == ["cpu"]


def test_the_probe_opens_artifacts_on_the_device(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    real = Bundle.open

    def spy(bundle: Bundle, one: Artifact, **options: Any) -> Engine:
        asked.append(options["device"])
        return real(bundle, one, **options)

    monkeypatch.setattr(selection, "PROBE_SECONDS", 0.02)
    monkeypatch.setattr(Bundle, "open", spy)
    choose_artifact(open_bundle(tiny_bundle), device="CPU", hold_fps=1.0)
    assert set(asked) == {"cpu"}
