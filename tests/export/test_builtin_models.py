"""``make builtin-models``, with two steps of training and into another folder."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.errors import GateMissedError
from core.manifest import Status, read_manifest, write_manifest
from export.builtin_models import RECIPE, install
from tests.export.conftest import p2p


@pytest.mark.slow
def test_a_bundle_is_trained_exported_and_installed(tmp_path: Path) -> None:
    options = ("--only", "edges", "--steps", "2", "--work", "work", "--out", "package")
    done = p2p("export.builtin_models", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "package").iterdir()] == ["edges"]
    manifest = read_manifest(tmp_path / "package" / "edges")
    assert manifest.source.name == "builtin-edges"
    assert manifest.condition == "edges"
    assert manifest.notes[0].startswith("Trained for 2 steps on the built-in facades (edges in, facades out)")
    assert str(tmp_path) not in json.dumps(manifest.model_dump(mode="json"))
    for artifact in manifest.artifacts:
        assert str(tmp_path).encode() not in (tmp_path / "package" / "edges" / artifact.name).read_bytes()
    again = p2p("export.builtin_models", *options, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "p2p-train" not in again.stdout, "what is trained is not trained again"
    assert {path.name for path in tmp_path.iterdir()} == {"work", "package"}, "no link of the user's own is moved"


@pytest.mark.slow
def test_an_interrupted_run_goes_on_and_is_not_shipped_as_it_is(tmp_path: Path) -> None:
    run = tmp_path / "work" / "builtin-edges-3"
    recipe = (*RECIPE, "--condition", "edges", "--steps", "3", "--sample-every", "1", "--out", str(run))
    line = [sys.executable, "-m", "train.command", *recipe]
    with subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        while child.poll() is None and not (run / "generator.safetensors").is_file():
            time.sleep(0.02)
        child.kill()
    assert not (run / "metrics.json").exists(), "it was to be killed after its first step"
    options = ("--only", "edges", "--steps", "3", "--work", "work", "--out", "package")
    done = p2p("export.builtin_models", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "$ p2p-train --resume builtin-edges-3" in done.stdout
    manifest = read_manifest(tmp_path / "package" / "edges")
    assert manifest.source.step == 3
    assert manifest.notes[0].startswith("Trained for 3 steps")


def test_what_missed_its_gate_is_not_shipped(tmp_path: Path) -> None:
    from runtime.bundle import open_builtin

    bundle = open_builtin("labels")
    failed = bundle.manifest.artifacts[0].model_copy(update={"status": Status.FAILED, "reason": "blurred"})
    (tmp_path / "bundle").mkdir()
    write_manifest(
        tmp_path / "bundle", bundle.manifest.model_copy(update={"artifacts": (failed,), "recommended": None})
    )
    with pytest.raises(GateMissedError, match="did not pass"):
        install(tmp_path / "bundle", tmp_path / "package" / "labels", name="labels")
    assert not (tmp_path / "package").exists()


def test_an_unknown_name_is_one_line(tmp_path: Path) -> None:
    done = p2p("export.builtin_models", "--only", "cats", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: --only cats is not understood: choose from labels, edges\n"
