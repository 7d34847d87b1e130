"""The sound of a source video in its translation; FFmpeg's program is stood in for."""

import sys
from pathlib import Path

import pytest

from runtime.pipeline import run_pipeline
from runtime.sinks import open_sink
from tests.runtime.pipeline_stand_ins import ListSource
from tests.runtime.stream_helpers import read_clip, read_number
from tests.runtime.test_sinks import contents, picture

FAKE_FFMPEG = """#!{python}
import shutil, sys
arguments = sys.argv[1:]
inputs = [arguments[i + 1] for i, one in enumerate(arguments) if one == "-i"]
open({log!r}, "a").write(" ".join(arguments) + chr(10))
if {failing!r} in ("always", "copy") and ({failing!r} == "always" or "-c" in arguments):
    print("first line", file=sys.stderr)
    print("the codec is not supported", file=sys.stderr)
    sys.exit(1)
shutil.copy(inputs[0], arguments[-1])
open(arguments[-1], "ab").write(b"sound")
"""


@pytest.mark.parametrize("failing", ["never", "copy", "always"])
def test_the_sound_of_the_source_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    program, log = tmp_path / "bin" / "ffmpeg", tmp_path / "log"
    program.parent.mkdir()
    program.write_text(FAKE_FFMPEG.format(python=sys.executable, log=str(log), failing=failing))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    sink = open_sink(str(tmp_path / "out" / "x.mp4"), fps=25, live=False, frames=9, audio_from=Path("clip.mp4"))
    for index in range(9):
        sink.write(picture(index))
    sink.close()
    assert contents(tmp_path / "out") == ["x.mp4"]
    assert (tmp_path / "out" / "x.mp4").read_bytes().endswith(b"sound") is (failing != "always")
    assert [read_number(frame) for frame in read_clip(tmp_path / "out" / "x.mp4")] == list(range(9))
    assert log.read_text().count("clip.mp4") == (1 if failing == "never" else 2)
    expected = "the sound of clip.mp4 was not kept: the codec is not supported"
    assert sink.note == (expected if failing == "always" else None)


@pytest.mark.parametrize("whole", [True, False])
def test_a_video_that_ends_early_has_as_much_sound_as_pictures(
    whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, log = tmp_path / "bin" / "ffmpeg", tmp_path / "log"
    program.parent.mkdir()
    program.write_text(FAKE_FFMPEG.format(python=sys.executable, log=str(log), failing="never"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    path = str(tmp_path / "out" / "x.mp4")
    beside = open_sink(path, fps=25, live=False, frames=9, side_by_side=True, audio_from=Path("clip.mp4"))
    source = ListSource(50)
    run_pipeline(source, lambda frame: 255 - frame, [beside], max_frames=None if whole else 20)
    assert ("-t 0.800" in log.read_text()) is not whole


def test_without_ffmpeg_the_missing_sound_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    sink = open_sink(str(tmp_path / "x.mp4"), fps=25, live=False, frames=9, audio_from=Path("clip.mp4"))
    sink.write(picture(0))
    sink.close()
    assert sink.note is not None
    assert "ffmpeg is not installed" in sink.note
