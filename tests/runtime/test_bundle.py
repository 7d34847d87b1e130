import json
from pathlib import Path
from typing import Any

import pytest

from core.errors import BundleError, InvalidInputError, MissingDependencyError, UnavailableError
from core.formats import TARGETS
from core.machine import this_machine, usable_cores
from core.precision import Precision
from runtime.bundle import open_bundle


def artifact(target: str, precision: str, p50: float | None, status: str = "passed") -> dict[str, Any]:
    made = TARGETS[target]
    names = (made.file_name(Precision(precision)), *made.companion_names(Precision(precision)))
    latency = {"p50": p50, "p90": None, "p99": None, "runs": 9, "threads": usable_cores(), "device": "cpu"}
    return {
        "target": target,
        "precision": precision,
        "files": [{"name": name, "sha256": "0" * 64, "bytes": 1} for name in names],
        "height": 48,
        "width": 64,
        "fidelity": None,
        "latency_ms": None if p50 is None else latency,
        "status": status,
        "reason": None if status == "passed" else "stated",
        "build_seconds": 0.0,
    }


def with_artifacts(bundle: Path, *rows: dict[str, Any]) -> Path:
    content = json.loads((bundle / "manifest.json").read_text())
    content.update(artifacts=list(rows), recommended=None)
    (bundle / "manifest.json").write_text(json.dumps(content))
    return bundle


def test_the_fastest_faithful_artifact_is_taken(tiny_bundle: Path) -> None:
    rows = [
        artifact("onnx", "fp32", 10.0),
        artifact("onnx", "int8", 2.0, "failed"),
        artifact("openvino", "fp32", 8.0),
        artifact("openvino", "fp16", 9.0),
    ]
    bundle = open_bundle(with_artifacts(tiny_bundle, *rows))
    assert bundle.choose().name == "generator.fp32.xml"
    assert bundle.choose(target="onnx").name == "generator.fp32.onnx"
    assert bundle.choose(precision=Precision.FP16).name == "generator.fp16.xml"


def test_one_that_missed_its_gate_is_taken_only_when_it_is_asked_for_by_name(tiny_bundle: Path) -> None:
    bundle = open_bundle(with_artifacts(tiny_bundle, artifact("onnx", "int8", 2.0, "failed")))
    with pytest.raises(UnavailableError, match=r"generator\.int8\.onnx: failed: stated"):
        bundle.choose()
    assert bundle.choose(target="onnx", precision=Precision.INT8).name == "generator.int8.onnx"


def test_what_the_bundle_does_not_have_is_said_with_what_it_has(tiny_bundle: Path) -> None:
    with pytest.raises(InvalidInputError, match="it has: onnx fp32"):
        open_bundle(tiny_bundle).choose(target="openvino")


def test_an_engine_that_was_never_run_is_not_taken_by_itself(tiny_bundle: Path) -> None:
    rows = [artifact("onnx", "fp32", 10.0), artifact("tensorrt_rtx", "fp16", None, "built, not run")]
    bundle = open_bundle(with_artifacts(tiny_bundle, *rows))
    assert bundle.choose().target == "onnx"
    assert bundle.choose(target="tensorrt_rtx", precision=Precision.FP16).target == "tensorrt_rtx"


def test_an_engine_that_passed_on_a_gpu_is_not_taken_without_one(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [artifact("onnx", "fp32", 10.0), artifact("tensorrt_rtx", "fp16", 0.5)]
    bundle = open_bundle(with_artifacts(tiny_bundle, *rows))
    monkeypatch.setattr("core.formats.is_installed", lambda _module: True)
    for gpu, taken in ((None, "onnx"), ("NVIDIA GeForce RTX 4070", "tensorrt_rtx")):
        machine = this_machine().model_copy(update={"gpu": gpu})
        monkeypatch.setattr("runtime.bundle.this_machine", lambda machine=machine: machine)
        assert bundle.choose().target == taken


def test_a_missing_library_names_its_extra(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = open_bundle(with_artifacts(tiny_bundle, artifact("openvino", "fp32", 1.0)))
    monkeypatch.setattr("core.formats.is_installed", lambda module: module != "openvino")
    with pytest.raises(MissingDependencyError, match=r"pip install 'pix2pix-edge\[openvino\]'"):
        bundle.choose()


def test_an_engine_of_another_size_than_the_manifest_says_is_refused(tiny_bundle: Path) -> None:
    content = json.loads((tiny_bundle / "manifest.json").read_text())
    content["artifacts"][0].update(height=64, width=48)
    (tiny_bundle / "manifest.json").write_text(json.dumps(content))
    bundle = open_bundle(tiny_bundle)
    with pytest.raises(BundleError, match="takes 48x64 frames, its manifest says 64x48"):
        bundle.open(bundle.choose())
