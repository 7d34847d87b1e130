"""What an engine really computes in: the share of the work in each precision, whatever the file is called."""

from collections.abc import Mapping
from pathlib import Path

from core.precision import Precision
from export.plan import Planned
from runtime.engines import Engine


def executed_share(
    engine: Engine, planned: Planned, path: Path, operations: Mapping[str, int]
) -> dict[str, float] | None:
    """Share of ``operations`` that ``engine`` executes in each precision, such as ``{"int8": 0.97, "fp32": 0.03}``.

    Read from the graph that the engine made of the artifact here; None where that cannot be read. Of ONNX Runtime's it
    can on the CPU only: what CUDA makes of it is another graph.

    Args:
        engine: has the artifact loaded.
        planned: what the artifact is.
        path: its main file.
        operations: of each layer, by the layer's name.
    """
    match planned.target.name:
        case "openvino":
            from runtime.engines.compiled_model import CompiledModelEngine

            assert isinstance(engine, CompiledModelEngine)
            executed = engine.executed_precisions()
        case "onnx" if planned.precision is not Precision.FP32 and engine.device == "cpu":
            from export.graph_inspection import executed_precisions

            executed = executed_precisions(path)
        case _:
            return None
    return _share(executed, operations)


def _share(executed: Mapping[str, str], operations: Mapping[str, int]) -> dict[str, float] | None:
    """``operations`` added up by what their layers are ``executed`` in; None if a layer is not known by name."""
    if not operations or not operations.keys() <= executed.keys():
        return None
    total = sum(operations.values())
    shares: dict[str, float] = {}
    for layer, count in operations.items():
        kind = executed[layer]
        shares[kind] = shares.get(kind, 0.0) + count / total
    return {kind: round(share, 4) for kind, share in sorted(shares.items(), key=lambda item: -item[1])}
