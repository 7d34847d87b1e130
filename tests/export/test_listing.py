import json
import shutil
from pathlib import Path
from typing import Any

from core.formats import TARGETS
from core.machine import this_machine
from tests.export.conftest import p2p

Exported = tuple[Path, dict[str, Any]]


def test_every_target_is_listed_with_what_can_be_done_here(tmp_path: Path) -> None:
    done = p2p("export.command", "--list", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = {row["target"]: row for row in json.loads(done.stdout)["targets"]}
    assert rows.keys() == TARGETS.keys()
    assert rows["onnx"]["made_here"] == rows["onnx"]["run_here"] == "yes"
    assert rows["openvino"]["files"] == ["generator.fp32.xml", "generator.fp16.xml", "generator.int8.xml"]
    assert rows["onnx_tensorrt"]["run_here"].startswith("no: build an engine of it")
    if this_machine().gpu is None:
        assert rows["tensorrt"]["made_here"].startswith("no: TensorRT builds only on the NVIDIA GPU")
        assert rows["tensorrt_rtx"]["made_here"] == "yes"
        assert rows["tensorrt_rtx"]["run_here"] == "no: there is no NVIDIA GPU"
    table = p2p("export.command", "--list", cwd=tmp_path)
    assert all(name in table.stdout for name in TARGETS)
    assert not list(tmp_path.iterdir())


def test_a_bundle_is_shown_again_as_it_was(exported: Exported) -> None:
    home, manifest = exported
    done = p2p("export.command", "--show", "exports/small", cwd=home)
    assert done.returncode == 0, done.stderr
    assert f"fastest faithful: {manifest['recommended']}" in done.stdout
    assert "report: exports/small/report.html" in done.stdout
    assert "executes" in done.stdout
    as_json = p2p("export.command", "--show", "exports/small", "--json", cwd=home)
    assert json.loads(as_json.stdout) == manifest


def test_what_is_no_bundle_is_not_shown(exported: Exported, tmp_path: Path) -> None:
    done = p2p("export.command", "--show", tmp_path, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is not a bundle" in done.stderr


def test_a_bundle_of_the_first_schema_is_still_read(exported: Exported, tmp_path: Path) -> None:
    bundle = shutil.copytree(exported[0] / "exports" / "small", tmp_path / "old")
    content = json.loads((bundle / "manifest.json").read_text())
    content["schema_version"] = 1
    for later in ("gates", "reference_quality", "normalizations", "calibration", "left_out"):
        del content[later]
    for later in ("batch", "origin"):
        del content["source"][later]
    for row in content["artifacts"]:
        for later in ("batch", "dynamic", "quality", "quantization", "executes"):
            del row[later]
    (bundle / "manifest.json").write_text(json.dumps(content))
    shown = p2p("export.command", "--show", bundle, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    run = p2p("runtime.command", bundle, "--source", "demo", "--frames", "1", "--no-show", "--json", cwd=tmp_path)
    assert json.loads(run.stdout)["artifact"] == content["recommended"]
