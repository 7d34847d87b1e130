"""A run that is killed in the middle and goes on."""

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

import torch

from benchmarks.gpu_check.checks import Figures, Setting
from benchmarks.gpu_check.commands import command, surroundings
from core.errors import GateMissedError

STEPS: Final = 300
POLL_SECONDS: Final = 0.05
PATIENCE_SECONDS: Final = 90.0


def kill_and_resume(setting: Setting) -> Figures:
    """``p2p-train``, killed with SIGKILL after its first checkpoint, then ``--resume``: it must end whole.

    Raises:
        GateMissedError: if it does not.
    """
    run = setting.folder / "killed"
    steps = STEPS if not setting.brief else 8
    options = {
        "--device": setting.device,
        "--width": setting.width,
        "--size": setting.size,
        "--steps": steps,
        "--sample-every": steps // 2,
        "--cache": "host",  # to have all pairs drawn and sent to the GPU, twice, would take longer than to train
        "--out": run,
    }
    arguments = [part for option in options.items() for part in option]
    place = surroundings(setting)
    state = run / "training_state.pt"
    first = subprocess.Popen(
        command("train.command", *arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **place
    )
    try:
        killed = _kill_once(first, state)
    finally:
        first.kill()
        _, said = first.communicate()
    if not state.is_file():
        raise GateMissedError(f"no checkpoint within {PATIENCE_SECONDS:g} s: {_last_line(said)}")
    saved = int(torch.load(state, weights_only=True, map_location="cpu")["trainer"]["step"])
    resuming = command("train.command", "--resume", run, "--json")
    second = subprocess.run(resuming, capture_output=True, text=True, check=False, **place)
    if second.returncode:
        raise GateMissedError(f"resuming ended with code {second.returncode}: {_last_line(second.stderr)}")
    summary = json.loads(second.stdout)
    if summary["steps"] != steps:
        raise GateMissedError(f"resumed, it ended after {summary['steps']} of {steps} steps")
    return {
        "killed": killed,
        "steps": steps,
        "resumed_from": saved,
        "device": summary["device"],
        "validation_l1": summary["validation"]["l1"],
    }


def _kill_once(process: "subprocess.Popen[str]", state: Path) -> bool:
    """Kill ``process`` as soon as ``state`` is there; whether it was still at work then."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if state.is_file():
            process.send_signal(signal.SIGKILL)
            return process.wait() == -signal.SIGKILL
        time.sleep(POLL_SECONDS)
    return False


def _last_line(text: str) -> str:
    return next(iter(text.strip().splitlines()[::-1]), "it said nothing")
