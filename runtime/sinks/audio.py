"""The sound of a source video, for its translation: OpenCV writes pictures only, FFmpeg's program does this."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

SECONDS: Final = 600
"""For copying; a film's sound takes seconds."""

WAYS: Final = (("-c", "copy"), ("-c:v", "copy"))
"""As it is, or, where the container does not take it, encoded anew as it takes it. Pictures are never touched."""


def add_audio(video: Path, source: Path, *, seconds: float | None = None) -> str | None:
    """Put the sound of ``source``, or its first ``seconds``, into the file ``video``, whole or not at all.

    Returns:
        Why that was not done, for the user; None if it was, or if there is no sound.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        return f"the sound of {source}, if it has any, was not kept: ffmpeg is not installed"
    joined = video.with_name(f"{video.stem}.sound{video.suffix}")
    reason = ""
    try:
        for way in WAYS:
            command = [program, "-nostdin", "-v", "error", "-y", "-i", str(video), "-i", str(source.absolute())]
            length = [] if seconds is None else ["-t", f"{seconds:.3f}"]
            command += ["-map", "0:v:0", "-map", "1:a?", *way, *length, str(joined)]
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False
            )
            if done.returncode == 0:
                joined.replace(video)
                return None
            reason = (done.stderr.strip().splitlines() or [f"ffmpeg ended with {done.returncode}"])[-1]
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    finally:
        joined.unlink(missing_ok=True)
    return f"the sound of {source} was not kept: {reason}"
