import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.conditions import Condition
from core.configuration import Direction, GeneratorConfig
from core.errors import BundleError
from core.export_record import Normalization
from core.fidelity import Fidelity
from core.machine import this_machine
from core.manifest import (
    MANIFEST_NAME,
    Artifact,
    Latency,
    Manifest,
    Source,
    Status,
    describe_file,
    read_manifest,
    verify_files,
    write_manifest,
)
from core.precision import Precision


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    model = tmp_path / "generator.fp32.onnx"
    model.write_bytes(b"weights")
    artifact = Artifact(
        target="onnx",
        precision=Precision.FP32,
        files=(describe_file(model),),
        height=256,
        width=256,
        fidelity=Fidelity(psnr_db=80.0, ssim=1.0, max_abs=1, mean_abs=0.01, frames=4),
        latency_ms=Latency(p50=10.0, p90=12.0, p99=None, runs=50, threads=2, device="cpu"),
        status=Status.PASSED,
        reason=None,
        build_seconds=1.0,
    )
    manifest = Manifest(
        source=Source(name="run", sha256="0" * 64, step=1),
        generator=GeneratorConfig(),
        condition=Condition.EDGES,
        direction=Direction.B_TO_A,
        normalization=Normalization.RUNNING,
        machine=this_machine(),
        fingerprint=this_machine().fingerprint,
        libraries={},
        artifacts=(artifact,),
        recommended=artifact.name,
    )
    write_manifest(tmp_path, manifest)
    return tmp_path


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / MANIFEST_NAME
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_keys_that_scripts_rely_on(bundle: Path) -> None:
    content = json.loads((bundle / MANIFEST_NAME).read_text())
    assert content["schema_version"] == 2
    assert content["recommended"] == "generator.fp32.onnx"
    (artifact,) = content["artifacts"]
    assert {"target", "precision", "files", "fidelity", "latency_ms", "status", "reason"} <= artifact.keys()
    assert artifact["files"] == [
        {"name": "generator.fp32.onnx", "sha256": hashlib.sha256(b"weights").hexdigest(), "bytes": 7}
    ]
    assert {"psnr_db", "ssim", "max_abs", "mean_abs", "frames"} <= artifact["fidelity"].keys()
    assert {"p50", "p90", "p99", "runs", "threads"} <= artifact["latency_ms"].keys()
    assert artifact["status"] in ("passed", "failed", "built, not run")


def test_what_is_written_is_read_back(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    verify_files(bundle, manifest.artifacts[0])
    assert manifest.condition is Condition.EDGES
    assert manifest.artifacts[0].total_bytes == 7


@pytest.mark.parametrize(("task", "channels"), [("colorize", (1, 2)), ("translate", (1, 3)), ("translate", (3, 1))])
def test_generators_of_other_channels_are_read_back(bundle: Path, task: str, channels: tuple[int, int]) -> None:
    edit(bundle, lambda c: c["generator"].update(task=task, in_channels=channels[0], out_channels=channels[1]))
    generator = read_manifest(bundle).generator
    assert (generator.task, generator.in_channels, generator.out_channels) == (task, *channels)


def test_bundles_made_before_there_were_tasks_are_read(bundle: Path) -> None:
    """The keys of 0.1.0's first bundles."""
    known = {"width", "levels", "in_channels", "out_channels", "norm", "padding", "decoder", "dropout"}
    edit(bundle, lambda c: c.update(generator={key: c["generator"][key] for key in known}))
    assert read_manifest(bundle).generator == GeneratorConfig()


def test_files_that_differ_or_lack_are_refused(bundle: Path) -> None:
    artifact = read_manifest(bundle).artifacts[0]
    model = bundle / artifact.name
    model.write_bytes(b"weighty")
    with pytest.raises(BundleError, match="is not the file its manifest describes"):
        verify_files(bundle, artifact)
    model.unlink()
    with pytest.raises(BundleError, match="is missing"):
        verify_files(bundle, artifact)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "sub/model.onnx", "..", "a\\b.onnx"])
def test_paths_that_leave_the_folder_are_refused(bundle: Path, name: str) -> None:
    edit(bundle, lambda content: content["artifacts"][0]["files"][0].update(name=name))
    with pytest.raises(BundleError, match="plain file name"):
        read_manifest(bundle)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda content: content.update(schema_version=99), "schema version 99"),
        (lambda content: content.update(recommended="other.onnx"), "not in the bundle"),
        (lambda content: content["artifacts"].append(content["artifacts"][0]), "same file"),
        (lambda content: content["artifacts"].clear(), "artifacts"),
        (lambda content: content["artifacts"][0].update(target="coreml"), "coreml"),
        (lambda content: content.update(surprise=1), "surprise"),
        (lambda content: content["generator"].update(in_channels=2), "in_channels = 2, but a frame has 3"),
        (lambda content: content["generator"].update(out_channels=4), "out_channels = 4, but a frame has 3"),
        (lambda content: content["generator"].update(task="colorize"), "in_channels = 1 and out_channels = 2"),
        (lambda content: content["artifacts"][0].update(width=250), "no multiple of 256"),
        (lambda content: content.update(schema_version=True), "schema version True"),
        (lambda content: content["artifacts"][0].update(precision="int8"), "generator.int8.onnx, and no others"),
        (lambda content: content["artifacts"][0].update(target="openvino"), "generator.fp32.xml, generator.fp32.bin"),
        (lambda content: content["artifacts"][0].update(height=0), "height"),
        (lambda content: content["artifacts"][0]["latency_ms"].update(p50=-1.0), "p50"),
        (lambda content: content["artifacts"][0]["fidelity"].update(psnr_db=float("nan")), "psnr_db"),
    ],
)
def test_inconsistent_manifests_are_refused(bundle: Path, change: Callable[..., object], complaint: str) -> None:
    edit(bundle, change)
    with pytest.raises(BundleError, match=complaint):
        read_manifest(bundle)


def test_a_file_that_lies_elsewhere_is_refused(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    model = bundle / "generator.fp32.onnx"
    elsewhere = model.rename(tmp_path_factory.mktemp("elsewhere") / "model")
    model.symlink_to(elsewhere)
    with pytest.raises(BundleError, match="is a link, and a bundle holds its files itself"):
        verify_files(bundle, read_manifest(bundle).artifacts[0])


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00", "[" * 100_000])
def test_damaged_manifests_are_refused(bundle: Path, text: str) -> None:
    (bundle / MANIFEST_NAME).write_text(text)
    with pytest.raises(BundleError):
        read_manifest(bundle)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="p2p-export"):
        read_manifest(tmp_path)
