"""CUDA graphs, acted out on the CPU: what a step must not do while it is captured fails here as it does there.

A capture notes every operation PyTorch dispatches, with the very tensors it was given, and takes back what it changed,
as a capture on a GPU runs none of its kernels. A replay runs the noted operations on the same tensors. So a number that
Python computed between two steps, a tensor that was put in another's place, or a value read by the host shows here as
it would on a GPU: by a stale figure, or by an error.

Source: PyTorch documentation, "CUDA semantics", CUDA graphs, on what a capture must not hold.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

WAIT_FOR_THE_DEVICE: Final = ("_local_scalar_dense", "nonzero", "lift_fresh", "masked_select", "_unique2", "equal")
"""Operations that make the host wait, or copy from memory that is not pinned: an error during a capture. Every tensor
that is made of Python's numbers (``torch.tensor``) goes through ``lift_fresh``."""
CHANGES_WITHOUT_SAYING: Final = {"native_batch_norm": (3, 4)}
"""Arguments that an operation writes to though its schema does not tell."""


class RecordedGraph(TorchDispatchMode):
    """Stands in for ``torch.cuda.CUDAGraph``: a capture is what happens within it as a context."""

    made: Final[list["RecordedGraph"]] = []

    def __init__(self) -> None:
        super().__init__()
        self.replays = 0
        self._calls: list[tuple[Any, Any, Any, list[Tensor | None]]] = []
        self._before: dict[int, tuple[Tensor, Tensor]] = {}
        self._own: set[int] = set()
        self.made.append(self)

    def __enter__(self) -> "RecordedGraph":
        self._random = torch.get_rng_state()
        super().__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        torch.set_rng_state(self._random)
        with torch.no_grad():
            for changed, before in self._before.values():
                changed.copy_(before)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().split("::")[1].split(".")[0]
        if name in WAIT_FOR_THE_DEVICE:
            raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing ({name})")
        kwargs = kwargs or {}
        for changed in _changed(func, args, kwargs):
            storage = _memory(changed)
            if storage not in self._own and storage not in self._before:
                self._before[storage] = (changed, changed.clone())
        made = func(*args, **kwargs)
        # Whether it is new memory or a view, the schema does not always tell: ``reshape`` may be either.
        old = {_memory(each) for each in _tensors((args, kwargs))}
        fresh = [None if _memory(each) in old else each for each in _tensors(made)]
        self._own |= {_memory(each) for each in fresh if each is not None}
        self._calls.append((func, args, kwargs, fresh))  # the tensors are kept, and so their memory is no one else's
        return made

    @torch.no_grad()
    def replay(self) -> None:
        """Run what was captured, on the memory it was captured with."""
        self.replays += 1
        for func, args, kwargs, fresh in self._calls:
            made = func(*args, **kwargs)
            for old, new in zip(fresh, _tensors(made), strict=True):
                if old is not None:
                    old.copy_(new)


def _changed(func: Any, args: Any, kwargs: Any) -> Iterator[Tensor]:
    """The tensors among the arguments that ``func`` writes to."""
    quiet = CHANGES_WITHOUT_SAYING.get(func.name().split("::")[1].split(".")[0], ())
    for place, argument in enumerate(func._schema.arguments):
        value = kwargs.get(argument.name, args[place] if place < len(args) else None)
        if place in quiet or (argument.alias_info is not None and argument.alias_info.is_write):
            yield from _tensors(value)


def _tensors(values: Any) -> list[Tensor]:
    return [each for each in tree_flatten(values)[0] if isinstance(each, Tensor)]


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class _Stream:
    def wait_stream(self, other: "_Stream") -> None:
        """Everything is done already."""


def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[RecordedGraph]:
    """Let ``torch.cuda``'s graphs and streams be stand-ins; every graph that is made from now on is in the list."""

    @contextmanager
    def capture(graph: RecordedGraph, **_: Any) -> Iterator[None]:
        with graph:
            try:
                yield
            except RuntimeError:  # the error of the capture's end is what is seen
                raise RuntimeError("CUDA error: operation failed due to a previous error during capture") from None

    monkeypatch.setattr(RecordedGraph, "made", [])
    monkeypatch.setattr(torch.cuda, "CUDAGraph", RecordedGraph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "Stream", _Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", _Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _stream: nullcontext())
    return RecordedGraph.made
