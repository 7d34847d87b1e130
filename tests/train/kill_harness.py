"""A run that is killed again and again, in a process that has loaded PyTorch once and forks for every attempt.

Called as ``python -m tests.train.kill_harness DATA OUT KILLS SEED``: trains DATA into OUT, kills the trainer with
SIGKILL at KILLS random moments, resumes it each time, and lets it end. With no kills it is the uninterrupted run.
Prints as JSON how many attempts were really killed, and at which steps they had last been saved.
"""

import io
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

import torch
from torch import Tensor
from torch.utils import tensorboard  # noqa: F401 - loaded here, every attempt need not

from train.feeding import DeviceBatch
from train.preparation import Job, prepare_job, prepare_resumption
from train.trainer import Trainer
from train.training import run_job

OPTIONS: Final[dict[str, Any]] = {
    "size": "32",
    "width": 2,
    "levels": 4,
    "steps": 120,
    "threads": 1,
    "device": "cpu",
    "sample_every": 37,
    "checkpoint_minutes": 1e-9,  # at every report
    "ema": 0.9,
    "smooth_labels": True,
    "switch_labels": 0.1,
    "instance_noise": 0.1,
    "seed": 5,
}
"""Everything that draws random numbers or keeps a state is on."""


def attempt(prepare: Callable[[], Job], *, steps: int | None, then: float = 0.0) -> bool:
    """Train in a child process that is killed ``then`` seconds after it has done ``steps`` more steps.

    Whether it was still at it then.
    """
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(told)
        train(prepare, tell)
    os.close(tell)
    with os.fdopen(told, "rb") as steps_done:
        if steps is not None:
            steps_done.read(steps)
            time.sleep(then)
            os.kill(child, signal.SIGKILL)
        else:
            steps_done.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0, "the run failed"
    return False


def train(prepare: Callable[[], Job], tell: int) -> NoReturn:
    """The child: every step is told as one byte."""
    step = Trainer.step

    def telling(trainer: Trainer, batch: DeviceBatch) -> Tensor:
        measures = step(trainer, batch)
        os.write(tell, b".")
        return measures

    Trainer.step = telling  # type: ignore[method-assign]
    code = 1
    try:
        run_job(prepare(), stream=io.StringIO())
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    """Run as the module says."""
    data, out, kills, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    moments = random.Random(seed)

    def begin() -> Job:
        return prepare_job({**OPTIONS, "data": data}, out=out, name=None, say=lambda _line: None)

    def go_on() -> Job:
        return prepare_resumption(out, {}, say=lambda _line: None)

    killed, saved = 0, []
    for _ in range(kills):
        begun = (out / "config.json").is_file()
        if (out / "metrics.json").is_file():
            break
        steps, then = moments.randint(0, 7), moments.uniform(0, 0.05)
        killed += attempt(go_on if begun else begin, steps=steps, then=then)
        state = out / "training_state.pt"
        saved.append(torch.load(state, weights_only=True)["trainer"]["step"] if state.is_file() else 0)
    if not (out / "metrics.json").is_file():
        attempt(go_on if (out / "config.json").is_file() else begin, steps=None)
    print(json.dumps({"killed": killed, "saved": saved}))


if __name__ == "__main__":
    main()
