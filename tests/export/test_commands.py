"""Bad input to ``p2p-export`` and ``p2p-bench``, through the real commands: one line, exit code 2, nothing written."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.configuration import DataConfig
from tests.export.conftest import p2p, save_run


def refused(module: str, *arguments: str | Path, cwd: Path) -> str:
    """The one line that the command answers with."""
    before = sorted(path.name for path in cwd.rglob("*"))
    done = p2p(module, *arguments, cwd=cwd)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert sorted(path.name for path in cwd.rglob("*")) == before, "something was written"
    return lines[0]


def test_no_run(tmp_path: Path) -> None:
    assert "train one with p2p-train" in refused("export.command", cwd=tmp_path)
    assert "there is no run or checkpoint nowhere" in refused("export.command", "nowhere", cwd=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--target", "coreml"], "unknown target coreml: choose from onnx, openvino"),
        (["--size", "100x"], "size '100x' is not understood"),
        (["--size", "100"], "not a multiple of 16"),
        (["--target", "tensorrt"], "NVIDIA GPU"),
        (["--int4"], "No such option"),
        (["--data", "missing"], "there is no folder"),
    ],
)
def test_options(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    run = save_run(tmp_path / "run")
    assert complaint in refused("export.command", run, *arguments, cwd=tmp_path)


def test_a_truncated_checkpoint(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run")
    file = run / "generator.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    assert "is damaged or incomplete" in refused("export.command", run, cwd=tmp_path)


def test_data_that_has_gone(tmp_path: Path) -> None:
    gone = DataConfig(source=str(tmp_path / "photos"), height=64, width=64)
    assert "there is no folder" in refused("export.command", save_run(tmp_path / "run", data=gone), cwd=tmp_path)


def test_a_failed_export_leaves_the_old_bundle_alone(exported: tuple[Path, dict[str, object]], tmp_path: Path) -> None:
    bundle = shutil.copytree(exported[0] / "exports" / "small", tmp_path / "bundle")
    run = save_run(tmp_path / "run")
    hashes = {path.name: path.read_bytes() for path in bundle.iterdir()}
    refused("export.command", run, "--out", bundle, "--target", "tensorrt", cwd=tmp_path)
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == hashes


def test_a_folder_with_anything_else_in_it_is_not_replaced(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").touch()
    assert "holds holiday.jpg" in refused("export.command", run, "--out", tmp_path / "photos", cwd=tmp_path)
    line = refused("export.command", run, "--out", tmp_path / "photos" / "holiday.jpg", cwd=tmp_path)
    assert "is a file" in line
    assert "the name latest is kept" in refused("export.command", run, "--out", "exports/latest", cwd=tmp_path)


def test_bench_without_or_with_a_damaged_bundle(exported: tuple[Path, dict[str, object]], tmp_path: Path) -> None:
    assert "make one with p2p-export" in refused("export.bench_command", "missing", cwd=tmp_path)
    bundle = shutil.copytree(exported[0] / "exports" / "small", tmp_path / "bundle")
    model = bundle / "generator.fp32.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    assert "generator.fp32.onnx is not the file" in refused("export.bench_command", bundle, cwd=tmp_path)
    (bundle / "manifest.json").write_text("{")
    assert "cannot be read as JSON" in refused("export.bench_command", bundle, cwd=tmp_path)


def test_bench_plots_only_what_it_can_write(exported: tuple[Path, dict[str, object]], tmp_path: Path) -> None:
    bundle = exported[0] / "exports" / "small"
    line = refused("export.bench_command", bundle, "--plot", tmp_path / "plot.docx", "--runs", "2", cwd=tmp_path)
    assert "plots are written as .png, .svg or .pdf" in line
    (tmp_path / "file").touch()
    line = refused("export.bench_command", bundle, "--plot", "file/plot.png", "--runs", "2", cwd=tmp_path)
    assert "cannot be written to" in line


def test_bench_says_what_it_needs_before_it_measures(exported: tuple[Path, dict[str, object]], tmp_path: Path) -> None:
    bundle = exported[0] / "exports" / "small"
    (tmp_path / "table.md").mkdir()
    (tmp_path / "old.json").write_text("{}", encoding="utf-8")
    for given, words in {
        ("--markdown", "table.txt"): "table.txt: the table is written as .md",
        ("--markdown", "table.md"): "table.md is a folder",
        ("--compare", "old.json"): "old.json is no report of a benchmark",
        ("--compare", "missing.json"): "missing.json cannot be read",
        ("--depth", "3"): "--depth is how many calls --throughput keeps under way",
    }.items():
        assert words in refused("export.bench_command", bundle, *given, cwd=tmp_path)


@pytest.mark.parametrize("module", ["export.command", "export.bench_command", "export.demo_command"])
def test_help_answers_without_loading_anything_heavy(module: str, tmp_path: Path) -> None:
    code = f"""
import sys
import {module} as command
sys.argv[1:] = ["--help"]
try:
    command.main()
except SystemExit:
    print(sorted({{"torch", "onnx", "numpy", "cv2", "openvino"}} & sys.modules.keys()), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Usage: p2p-" in done.stdout
    assert done.stderr.strip() == "[]"


def test_without_a_bundle_the_built_in_one_is_timed_and_said(tmp_path: Path) -> None:
    done = p2p("export.bench_command", "--no-baselines", "--runs", "6", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no bundle in exports/: timing builtin:labels" in done.stderr
    assert json.loads(done.stdout)["bundle"] == "builtin:labels"
