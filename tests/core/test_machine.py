"""What is known of a machine."""

from pathlib import Path

import pytest

from core import machine


def test_a_gpu_is_what_its_tool_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some virtual machines have a driver, and nothing of it below /proc."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine._gpu() is None, "there is no tool"
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 580.159.04'\necho 'NVIDIA L4, 580.159.04'\n")
    tool.chmod(0o755)
    assert machine._gpu() == "NVIDIA H100 80GB HBM3, 580.159.04"
    tool.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n")
    assert machine._gpu() is None
