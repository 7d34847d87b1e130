"""A training step as one CUDA graph: replayed, all its kernels cost the host a single launch."""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from core.errors import EdgeError

WARM_UP_STEPS: Final = 3
"""Eager steps before the capture: libraries choose their kernels and allocate what they keep in these. They are steps
of the run like any other."""


class GraphedStep:
    """Calls ``step`` as it is a few times, then captures it, then only replays the graph.

    Everything ``step`` reads that changes between calls must lie in tensors that stay where they are. Source: PyTorch
    documentation, "CUDA semantics", whole-network capture.
    """

    def __init__(self, step: Callable[[Tensor, Tensor], Tensor]) -> None:
        self._step = step
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._static: tuple[Tensor, Tensor] | None = None
        self._result: Tensor | None = None
        self._side: torch.cuda.Stream | None = None

    def __call__(self, source: Tensor, target: Tensor) -> Tensor:
        """One step on ``source`` and ``target``; its result is a copy that the next step leaves alone."""
        self._calls += 1
        if self._calls <= WARM_UP_STEPS:
            return self._warm_up(source, target)
        if self._graph is None:
            self._capture(source, target)
        assert self._graph is not None
        assert self._static is not None
        assert self._result is not None
        for static, given in zip(self._static, (source, target), strict=True):
            static.copy_(given, non_blocking=True)
        self._graph.replay()
        return self._result.clone()

    def _warm_up(self, source: Tensor, target: Tensor) -> Tensor:
        self._side = side = self._side or torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            result = self._step(source, target)
        torch.cuda.current_stream().wait_stream(side)
        return result

    def _capture(self, source: Tensor, target: Tensor) -> None:
        self._static = (source.clone(), target.clone())
        self._graph = torch.cuda.CUDAGraph()
        failure: Exception | None = None
        try:
            with torch.cuda.graph(self._graph):  # records the kernels and runs none of them
                try:
                    self._result = self._step(*self._static)
                except Exception as error:
                    failure = error  # the end of a capture that has failed fails as well, and says nothing of why
                    raise
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            if isinstance(failure, torch.OutOfMemoryError):
                raise failure from error
            reason = next(iter(str(failure or error).splitlines()), type(failure or error).__name__)
            raise EdgeError(
                f"the step cannot be captured as a CUDA graph ({reason}): leave out --cuda-graph"
            ) from error
