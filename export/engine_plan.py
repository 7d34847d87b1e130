"""TensorRT engines ("plans"), built from an ONNX graph by NVIDIA's TensorRT or by TensorRT-RTX.

The two have one Python API; the module is handed in, and what only one of them has is found with ``hasattr``.
Networks are strongly typed: precision lives in the graph, and TensorRT 11 has no flags left to change it.
"""

import importlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from core.cache_folder import keep_cached, read_cached
from core.errors import InvalidInputError, UnavailableError
from core.foreign_checkpoints.tensor_file import printable
from core.formats import InputShape, Target
from core.machine import this_machine
from runtime.engines.tensorrt_log import collecting_logger

CAPABILITIES: Final = {
    "7.5": "SM75",
    "8.0": "SM80",
    "8.6": "SM86",
    "8.9": "SM89",
    "12.0": "SM120",
    "12.1": "SM121",
}
"""CUDA compute capabilities that TensorRT-RTX builds for, and what it calls them: Turing (RTX 20), Ampere (A100; RTX
30), Ada (RTX 40), Blackwell (RTX 50; GB10). All have FP16 and INT8; of Hopper (9.0) it knows nothing."""

DEFAULT_CAPABILITIES: Final = ("8.0", "8.6", "8.9", "12.0")
"""What an engine is built for unless it is said. Without Turing: NVIDIA warns that an engine which includes it may be
slow on all the others ("CPU-Only AOT and TensorRT-RTX Engines"), so it wants an engine of its own."""

LARGEST_SIDE: Final = 1024
"""Of the frames that a dynamic engine takes, unless twice the side it is optimized for is more. The smallest side is
one step of the graph. An execution context reserves memory for the largest frames, so this is no place for generosity:
at 1024 x 1024 the full U-Net (width 64) holds 16 times what it does at 256 x 256."""


_MOST_SAID: Final = 950
"""Characters of what a parser has to say of a graph."""
_MOST_NAMES: Final = 200
"""Characters for the names of nodes of which it says the same."""


def parse_capabilities(text: str | None) -> tuple[str, ...]:
    """What TensorRT-RTX calls the compute capabilities in ``text`` (``"8.6,8.9"``), in order; empty for None.

    Raises:
        InvalidInputError: for one that is not in the table.
    """
    if text is None:
        return ()
    wanted = {part.strip() for part in text.split(",") if part.strip()}
    unknown = sorted(wanted - CAPABILITIES.keys())
    if unknown or not wanted:
        raise InvalidInputError(
            f"--compute-capability {', '.join(unknown)[:60] or '(none given)'} is none of those that engines can be "
            f"built for: {', '.join(CAPABILITIES)}"
        )
    return tuple(library_name for number, library_name in CAPABILITIES.items() if number in wanted)


def check_capabilities(capabilities: Sequence[str], targets: Iterable[Target]) -> None:
    """Refuse ``capabilities`` where no target lets them be chosen.

    Raises:
        InvalidInputError: saying which target does.
    """
    if capabilities and not any(target.name == "tensorrt_rtx" for target in targets):
        raise InvalidInputError(
            "--compute-capability is for TensorRT-RTX engines, and none is made here; TensorRT builds for the GPU it "
            "finds, the other targets need none: add --target tensorrt-rtx, or leave it out"
        )


def build_engine(
    source: Path, path: Path, target: Target, *, shape: InputShape, capabilities: Sequence[str] = ()
) -> None:
    """Build the ONNX graph in ``source`` into an engine at ``path``.

    Args:
        source: one file, weights included.
        path: of the engine.
        target: whose library builds it.
        shape: of its frames: what it is optimized for where the graph leaves it open.
        capabilities: compute capabilities, as the library names them (``parse_capabilities``), where they can be
            chosen; default: ``DEFAULT_CAPABILITIES``.

    Raises:
        MissingDependencyError: if the library is not installed.
        UnavailableError: if it refuses the graph or cannot build here; the message quotes it.
    """
    target.require(build=True)
    trt = importlib.import_module(target.modules[0])
    plan = build_plan(trt, source.read_bytes(), title=target.title, shape=shape, capabilities=capabilities)
    path.write_bytes(plan)


def build_plan(
    trt: ModuleType, graph: bytes, *, title: str, shape: InputShape, capabilities: Sequence[str] = ()
) -> memoryview:
    """The engine made of the ONNX ``graph`` by the TensorRT module ``trt``, as it lies in a file.

    Raises:
        UnavailableError: as ``build_engine``.
    """
    log = collecting_logger(trt)
    try:
        builder = trt.Builder(log)
    except TypeError as error:
        if "nullptr" not in str(error):  # "factory function returned nullptr": how it tells of a machine without a GPU
            raise
        builder = None
    if builder is None:
        reason = f": {log.errors[0]}" if log.errors else ""
        raise UnavailableError(f"{title} cannot build here: it found no NVIDIA GPU{reason}")
    # Required on TensorRT 10, the only kind there is on 11.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(graph):
        raise UnavailableError(f"{title} refuses the graph: {_parser_errors(parser)}")
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # on by default, and not what anyone means by fp32
    _add_profile(builder, network, config, shape, title)
    if hasattr(config, "set_compute_capability"):  # builds ahead of time, without a GPU
        _set_capabilities(trt, config, capabilities, title)
        timings = None
    else:
        cache_name = f"{trt.__name__}-{trt.__version__}-{this_machine().gpu}.timings"
        timings = _known_timings(config, cache_name)
        log.errors.clear()  # whatever it thought of an old cache is no reason for what follows
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise UnavailableError(f"{title} could not build the engine: {_one_line(log.errors) or 'it gave no reason'}")
    if timings is not None and (content := timings.serialize()) is not None:
        keep_cached(cache_name, bytes(content))
    return memoryview(plan)


def _set_capabilities(trt: ModuleType, config: Any, capabilities: Sequence[str], title: str) -> None:
    names = capabilities or [CAPABILITIES[number] for number in DEFAULT_CAPABILITIES]
    config.num_compute_capabilities = len(names)
    for i, name in enumerate(names):
        known = getattr(trt.ComputeCapability, name, None)
        if known is None or not config.set_compute_capability(known, i):
            raise UnavailableError(
                f"{title} {trt.__version__} cannot build for {name}: choose others with --compute-capability"
            )


def _add_profile(builder: Any, network: Any, config: Any, shape: InputShape, title: str) -> None:
    """Say which sizes the engine must take, where the graph's input leaves them open."""
    frames = network.get_input(0)
    declared = tuple(frames.shape)
    if min(declared) > 0:
        return
    least, best, most = [], [], []
    for axis, optimal in enumerate((shape.batch, *shape.size, 3)):
        low = high = optimal
        if declared[axis] < 0:
            step = 1 if axis == 0 else _step(frames.get_dimension_name(axis), optimal)
            low, high = step, optimal if axis == 0 else max(2 * optimal, LARGEST_SIDE // step * step)
        least.append(low)
        best.append(optimal)
        most.append(high)
    profile = builder.create_optimization_profile()
    profile.set_shape(frames.name, tuple(least), tuple(best), tuple(most))
    if config.add_optimization_profile(profile) < 0:
        raise UnavailableError(
            f"{title} refuses frames of {least} to {most}, optimized for {best}: give another --size"
        )


def _step(name: str | None, side: int) -> int:
    """What a side must be a multiple of: the factor in its ``name`` (``32*height_steps``).

    Where there is none, the largest power of two in ``side``: a network that halves its input n times takes multiples
    of 2**n, of which ``side`` is one.
    """
    factor = re.match(r"(\d+)\*", name or "")
    return int(factor[1]) if factor else side & -side


def _known_timings(config: Any, name: str) -> Any:
    """The kernel timings of earlier builds on this GPU, as far as they are sound; the build uses and adds to them."""
    if not hasattr(config, "create_timing_cache"):
        return None
    for content in (read_cached(name), b""):  # the library checks that they are of this GPU and of its own version
        timings = config.create_timing_cache(content)
        if timings is not None and config.set_timing_cache(timings, False):
            return timings
    return None


def _parser_errors(parser: Any) -> str:
    """What they say, once each, with the names and operator of the nodes and the local functions that these are in.

    Of very many, the first.
    """
    groups: dict[tuple[str, str], dict[str, None]] = {}
    for error in (parser.get_error(i) for i in range(parser.num_errors)):
        where = "".join(f", in {frame}" for frame in error.local_function_stack())
        kind = getattr(error.code(), "name", str(error.code())).lower().replace("_", " ")
        operator = f" ({error.node_operator()}{where}): " if error.node_operator() else ""
        name = str(error.node_name() or error.node()) if operator else ""
        groups.setdefault((operator, f"{kind}: {error.desc()}"), {})[name] = None
    lines: list[str] = []
    told: set[str] = set()
    for (operator, said), names in groups.items():
        line = printable(_one_line([f"{_list_nodes(list(names)) if operator else ''}{operator}{said}"]), longest=500)
        if lines and len("; ".join(lines)) + len(line) > _MOST_SAID:
            break
        lines.append(line)
        told.update(names)
    left = {name for names in groups.values() for name in names} - told
    return "; ".join([*lines, f"and {len(left)} more nodes"] if left else lines)


def _list_nodes(names: Sequence[str]) -> str:
    shown = 1
    while shown < len(names) and len(", ".join(names[: shown + 1])) <= _MOST_NAMES:
        shown += 1
    more = f" and {len(names) - shown} more nodes" if shown < len(names) else ""
    return f"node{'s' if shown > 1 else ''} {', '.join(names[:shown])}{more}"


def _one_line(messages: Iterable[str]) -> str:
    return "; ".join(" ".join(message.split()) for message in messages)
