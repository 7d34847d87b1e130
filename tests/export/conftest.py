"""A small generator whose pictures have something to lose, and the bundle that the real command makes of it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from core.checkpoint import save_generator
from core.configuration import GENERATOR_FILE, CheckpointInfo, DataConfig, GeneratorConfig
from core.facades import facade_pair
from core.frames import Frame, to_network
from core.networks import UNetGenerator

SIDE = 64
CONFIG = GeneratorConfig(width=8, levels=4)
DATA = DataConfig(height=SIDE, width=SIDE)


def lively_generator(config: GeneratorConfig = CONFIG) -> UNetGenerator:
    """Weights a few times larger than the initial ones, and running statistics of label maps: full use of the range."""
    torch.manual_seed(0)
    generator = UNetGenerator(config)
    with torch.no_grad():
        for module in generator.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.weight *= 3
        frames = torch.stack([torch.from_numpy(facade_pair(i, size=SIDE).labels) for i in range(8)])
        for _ in range(30):
            generator(to_network(frames))
    return generator.eval()


@pytest.fixture(scope="session")
def generator() -> UNetGenerator:
    return lively_generator()


@pytest.fixture(scope="session")
def frames() -> list[Frame]:
    return [facade_pair(i, size=SIDE).labels for i in range(12)]


def save_run(folder: Path, *, batch: int = 4, data: DataConfig = DATA) -> Path:
    """A run folder as ``p2p-train`` leaves it, as far as export needs it."""
    info = CheckpointInfo(generator=CONFIG, data=data, step=30, batch=batch, name=folder.name)
    folder.mkdir(parents=True, exist_ok=True)
    save_generator(folder / GENERATOR_FILE, lively_generator(), info)
    return folder


def p2p(module: str, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of this project as its user would, in ``cwd``."""
    line = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(line, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Folder with ``runs/`` and ``exports/``, and the manifest, after ``p2p-export --all --json``."""
    home = tmp_path_factory.mktemp("home")
    run = save_run(home / "runs" / "small")
    (home / "runs" / "latest").symlink_to(run.name)
    done = p2p("export.command", "--all", "--json", cwd=home)
    assert done.returncode in (0, 1), done.stderr
    return home, json.loads(done.stdout)
