"""The demo, as ``make demo`` runs it, only shorter."""

import json
import re
from pathlib import Path

import cv2

from tests.export.conftest import p2p


def test_the_demo_trains_exports_streams_and_reports(tmp_path: Path) -> None:
    done = p2p("export.demo_command", "--steps", "2", "--width", "2", "--frames", "8", cwd=tmp_path)
    assert done.returncode in (0, 1), done.stderr
    typed = re.findall(r"^\$ (p2p-\w+)", done.stdout, re.MULTILINE)
    assert typed == ["p2p-train", "p2p-export", "p2p-run"]
    assert (tmp_path / "runs" / "latest").resolve() == (tmp_path / "demo" / "run").resolve()
    assert (tmp_path / "exports" / "latest").resolve() == (tmp_path / "demo" / "bundle").resolve()
    video = cv2.VideoCapture(str(tmp_path / "demo" / "output.mp4"))
    shapes = [frame.shape for ok, frame in iter(video.read, (False, None)) if ok]
    assert shapes == [(256, 512, 3)] * 8
    page = (tmp_path / "demo" / "report.html").read_text()
    manifest = json.loads((tmp_path / "demo" / "bundle" / "manifest.json").read_text())
    assert page.count("data:image/jpeg;base64,") == 3 * 4 + 6
    assert "<svg" in page
    for artifact in manifest["artifacts"]:
        if artifact["latency_ms"]:
            assert f"{artifact['latency_ms']['p50']:.2f}" in page
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", page), "the page must need nothing but itself"


def test_a_folder_with_anything_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "demo" / "run").mkdir(parents=True)
    (tmp_path / "demo" / "run" / "config.json").write_text("{}")
    (tmp_path / "demo" / "run" / "thesis.txt").write_text("mine")
    done = p2p("export.demo_command", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [
        "error: demo/run holds thesis.txt, which is no part of a run: give --out another folder"
    ]
    assert (tmp_path / "demo" / "run" / "thesis.txt").read_text() == "mine"
