"""``p2p-run`` in a process of its own, as its user meets it."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.frames import read_image, write_image
from core.manifest import MANIFEST_NAME
from tests.runtime.stream_helpers import (
    environment,
    numbered_frame,
    read_clip,
    read_number,
    run_command_line,
    write_clip,
)

FORBIDDEN = ("torch", "torchvision", "onnx", "nncf")


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_video_is_translated_whole_and_reported(tiny_bundle: Path, clip: Path, tmp_path: Path) -> None:
    done = run_command_line(tiny_bundle, "--source", clip, "--output", "out.mp4", "--no-show", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert "generator.fp32.onnx" in done.stderr
    assert "cpu" in done.stderr
    assert (report["frames"], report["captured"], sum(report["dropped"].values())) == (40, 40, 0)
    assert report["live"] is False
    assert report["interrupted"] is False
    assert set(report["latency_ms"]) == {"capture", "convert", "infer", "output", "end_to_end"}
    assert all(stage["count"] == 40 and stage["p99"] is None for stage in report["latency_ms"].values())
    assert report["first_frame_seconds"] > 0.1, "the interpreter's start is part of it"
    numbers = [255 - read_number(frame) for frame in read_clip(tmp_path / "out.mp4")]
    assert numbers == list(range(40))


def test_images_keep_their_names_and_the_left_half_can_be_taken(tiny_bundle: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs"
    for number in (3, 12):
        both = np.concatenate((numbered_frame(number), numbered_frame(200)), axis=1)
        write_image(pairs / f"house{number}.png", both)
    arguments = ("--source", pairs, "--output", "made", "--no-show", "--half", "a", "--side-by-side")
    done = run_command_line(tiny_bundle, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert tree(tmp_path / "made") == ["house12.png", "house3.png"]
    made = read_image(tmp_path / "made" / "house12.png")
    np.testing.assert_array_equal(made[:, :64], numbered_frame(12))
    np.testing.assert_array_equal(made[:, 64:], 255 - numbered_frame(12))


def test_without_a_source_it_takes_the_demo_and_says_so(tiny_bundle: Path, tmp_path: Path) -> None:
    done = run_command_line(tiny_bundle, "--frames", "12", "--no-show", "--condition", "edges", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "taking the built-in demo" in done.stdout
    assert "condition edges" in done.stdout
    assert "12 frames in" in done.stdout
    assert "dropped: none" in done.stdout
    assert "end to end" in done.stdout


def test_no_training_or_conversion_library_is_loaded(tiny_bundle: Path, tmp_path: Path) -> None:
    arguments = ["p2p-run", str(tiny_bundle), "--source", "demo", "--frames", "3", "--no-show", "--json"]
    program = f"""
import sys
import runtime.command
loaded_early = [name for name in ("numpy", "cv2", "pydantic", "rich.table") if name in sys.modules]
sys.argv = {arguments!r}
try:
    runtime.command.main()
except SystemExit as end:
    print([end.code, loaded_early, [name for name in {FORBIDDEN!r} if name in sys.modules]])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[0, [], []]"


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_finishes_the_file_and_prints_the_summary(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    command = [sys.executable, "-m", "runtime.command", str(tiny_bundle), "--no-show", "--output", "recordings/x.mp4"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            for _ in range(1000):
                if folder.is_dir() and any(path.stat().st_size for path in folder.iterdir()):
                    break
                assert process.poll() is None, process.communicate()
                threading.Event().wait(0.02)
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130, stderr
    assert stderr == "interrupted\n"
    assert tree(folder) == ["x.mp4"]
    frames = read_clip(folder / "x.mp4")
    assert f"{len(frames)} frame" in stdout
    assert "written to recordings/x.mp4" in stdout


def broken_image(folder: Path) -> list[str]:
    write_image(folder / "images" / "a.png", numbered_frame(0))
    (folder / "images" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return ["--source", "images", "--no-show"]


def empty_folder(folder: Path) -> list[str]:
    (folder / "images").mkdir()
    return ["--source", "images", "--no-show"]


def text_as_video(folder: Path) -> list[str]:
    (folder / "clip.mp4").write_text("this is no video\n" * 100)
    return ["--source", "clip.mp4", "--no-show"]


def noise_as_video(folder: Path) -> list[str]:
    (folder / "clip.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    return ["--source", "clip.mp4", "--no-show"]


def output_is_source(folder: Path) -> list[str]:
    write_image(folder / "images" / "a.png", numbered_frame(0))
    return ["--source", "images", "--no-show", "--output", "images"]


def manifest_with(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], list[str]]:
    def damage(folder: Path) -> list[str]:
        path = folder / "tiny" / MANIFEST_NAME
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))
        return ["--no-show", "--frames", "1"]

    return damage


def cut_short(name: str) -> Callable[[Path], list[str]]:
    def damage(folder: Path) -> list[str]:
        path = folder / "tiny" / name
        path.write_bytes(path.read_bytes()[:-40])
        return ["--no-show", "--frames", "1"]

    return damage


def other_model(folder: Path) -> list[str]:
    path = folder / "tiny" / "generator.fp32.onnx"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    return ["--no-show", "--frames", "1"]


def options(*arguments: str) -> Callable[[Path], list[str]]:
    return lambda _folder: list(arguments)


def pattern_over_itself(folder: Path) -> list[str]:
    (folder / "photos").mkdir()
    write_image(folder / "photos" / "a.png", numbered_frame(1))
    return ["--source", "photos/*.png", "--no-show", "--output", "photos"]


def image_over_itself(folder: Path) -> list[str]:
    (folder / "photos").mkdir()
    for name in ("a.png", "b.png"):
        write_image(folder / "photos" / name, numbered_frame(1))
    return ["--source", "photos", "--no-show", "--frames", "1", "--output", "photos/b.png"]


def output_is_a_pipe(folder: Path) -> list[str]:
    os.mkfifo(folder / "pipe.mp4")
    return ["--no-show", "--frames", "1", "--output", "pipe.mp4"]


def figures_to_a_pipe(folder: Path) -> list[str]:
    os.mkfifo(folder / "pipe.csv")
    return ["--no-show", "--frames", "1", "--csv", "pipe.csv"]


def figures_over_the_source(folder: Path) -> list[str]:
    write_clip(folder / "c.mp4", [numbered_frame(1)])
    return ["--source", "c.mp4", "--no-show", "--csv", "c.mp4"]


MISTAKES: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "no camera": (options("--camera", "9", "--no-show"), "no camera 9 could be opened"),
    "missing source": (options("--source", "nowhere.mp4", "--no-show"), "no file or folder nowhere.mp4"),
    "empty folder": (empty_folder, "holds no images"),
    "broken image": (broken_image, "b.png"),
    "text as video": (text_as_video, "is a text file"),
    "noise as video": (noise_as_video, "cannot be opened as a video"),
    "output is source": (output_is_source, "would write over the source"),
    "pattern over itself": (pattern_over_itself, "--output photos would write over the source"),
    "figures over the source": (figures_over_the_source, "--csv c.mp4 would write over the source"),
    "one place twice": (
        options("--no-show", "--frames", "1", "--output", "out/d.mp4", "--output", "out/../out/d.mp4"),
        "out/../out/d.mp4 is given twice",
    ),
    "raw output twice": (options("--no-show", "--frames", "1", "--output", "-", "--output", "-"), "is given twice"),
    "output to an address": (
        options("--no-show", "--frames", "1", "--output", "rtsp://me:S3CRET@host/x"),
        "--output rtsp://host/x is an address",
    ),
    "into the bundle": (options("--no-show", "--frames", "1", "--csv", "tiny/manifest.json"), "into the bundle"),
    "over one image": (image_over_itself, "--output photos/b.png would write over the source"),
    "to a pipe": (output_is_a_pipe, "it is a pipe, a device or a socket"),
    "figures to a pipe": (figures_to_a_pipe, "it is a folder, a pipe or a device"),
    "nobody's home": (options("--no-show", "--source", "~no-such-user/x.mp4"), "no file or folder ~no-such-user/x.mp4"),
    "name is no text": (options("--no-show", "--source", "\udcff.mp4"), "is not UTF-8 text"),
    "thresholds of nothing": (options("--no-show", "--edge-thresholds", "10,20"), "add --condition edges"),
    "no display": (options("--source", "demo"), "--no-show"),
    "damaged manifest": (cut_short(MANIFEST_NAME), "cannot be read as JSON"),
    "truncated model": (cut_short("generator.fp32.onnx"), "is not the file its manifest describes"),
    "other model": (other_model, "is not the file its manifest describes"),
    "path escape": (
        manifest_with(lambda manifest: manifest["artifacts"][0]["files"][0].update(name="../x.onnx")),
        "not a plain file name",
    ),
    "unknown schema": (manifest_with(lambda manifest: manifest.update(schema_version=99)), "schema version 99"),
    "two sources": (options("--camera", "0", "--source", "demo", "--no-show"), "exclude each other"),
    "unknown option": (options("--sorce", "demo"), "--sorce"),
    "unknown condition": (options("--condition", "sepia", "--no-show"), "identity, edges"),
    "unknown half": (options("--half", "C", "--no-show"), "--half C"),
    "missing precision": (options("--precision", "int8", "--no-show"), "has no artifact"),
    "one image for many frames": (options("--output", "out/x.png", "--no-show"), "holds one image"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(mistake: str, tiny_bundle: Path, tmp_path: Path) -> None:
    make, message = MISTAKES[mistake]
    arguments = make(tmp_path)
    if "--output" not in arguments:
        arguments += ["--output", "out/result.mp4"]
    before = tree(tmp_path)
    done = run_command_line(tiny_bundle.name, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("\n")
    assert message in done.stderr
    assert "S3CRET" not in done.stderr
    assert [name for name in tree(tmp_path) if name != "out"] == before
    assert all(read_image(path).shape == (48, 64, 3) for path in tmp_path.glob("photos/*.png"))


def test_a_missing_bundle_is_one_line(tmp_path: Path) -> None:
    done = run_command_line("nothing", "--no-show", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "p2p-export" in done.stderr
    assert tree(tmp_path) == []


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        ("ImportError('libGL.so.1: cannot open shared object file')", "libgl1 and libglib2.0-0"),
        ("ModuleNotFoundError('no cv2', name='cv2')", "pip install opencv-python"),
    ],
)
def test_a_missing_system_library_is_named(raised: str, message: str, tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "cv2.py").write_text(f"raise {raised}\n")
    variables = environment()
    variables["PYTHONPATH"] = f"{tmp_path / 'broken'}:{variables['PYTHONPATH']}"
    command = [sys.executable, "-m", "runtime.command", str(tiny_bundle), "--no-show"]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
