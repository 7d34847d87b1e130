"""The yardsticks of ``benchmarks.gpu_check`` give the pictures of the network that they are yardsticks of."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.gpu_check.checks import Setting
from benchmarks.gpu_check.runners import TorchEngine
from core.facades import facade_pair
from core.precision import Precision
from tests.train.recorded_graph import stand_in


def test_pytorch_by_a_graph_translates_each_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = stand_in(monkeypatch)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    setting = Setting(device="cpu", width=4, size=64, folder=tmp_path)
    eager = TorchEngine(setting, Precision.FP32, graph=False)
    graphed = TorchEngine(setting, Precision.FP32, graph=True)
    frames = [facade_pair(i, size=64).labels[np.newaxis] for i in range(3)]
    translated = [graphed.infer(frame) for frame in frames]
    assert [graph.replays for graph in graphs] == [3]
    assert len({frame.tobytes() for frame in translated}) == 3
    for frame, given in zip(frames, translated, strict=True):
        assert np.array_equal(given, eager.infer(frame))
