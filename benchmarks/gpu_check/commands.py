"""The project's commands as processes of their own, away from the user's runs and exports."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks.gpu_check.checks import Setting

ROOT: Final = Path(__file__).parents[2]


def command(module: str, *arguments: object) -> list[str]:
    """The command line of a module such as ``train.command``."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def surroundings(setting: Setting) -> dict[str, Any]:
    """Where a command runs: in the folder of the checks, so that ``runs/latest`` and ``exports/latest`` of the user
    stay what they are; with this checkout's packages, installed or not. For ``subprocess``.
    """
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"cwd": setting.folder, "env": os.environ | {"PYTHONPATH": os.pathsep.join(paths)}}


def error_of(done: "subprocess.CompletedProcess[str]") -> str:
    """What a command says that it failed of, without what libraries print before."""
    lines = done.stderr.strip().splitlines()
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (told or lines or [f"it ended with code {done.returncode}"])[-1]
