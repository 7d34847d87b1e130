"""TensorRT engines: built for real by TensorRT-RTX, which needs no GPU for it; the rest against a stand-in."""

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import tensorrt_rtx
from onnx import TensorProto, helper

from core.errors import InvalidInputError, UnavailableError
from core.export_record import Normalization, RangeMethod
from core.formats import TARGETS, InputShape
from core.frames import Frame, Size
from core.networks import UNetGenerator
from core.precision import Precision
from export.deploy_graph import DeployGraph
from export.engine_plan import (
    CAPABILITIES,
    DEFAULT_CAPABILITIES,
    build_engine,
    build_plan,
    check_capabilities,
    parse_capabilities,
)
from export.graph_file import write_graph
from export.quantization import GraphQuantizer
from tests.export.conftest import SIDE
from tests.export.fake_builder import FakeTimings, fake_tensorrt

RTX = TARGETS["tensorrt_rtx"]
SHAPE = InputShape(size=Size(SIDE, SIDE))


@pytest.fixture(scope="module")
def graphs(generator: UNetGenerator, frames: list[Frame], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("graphs")
    written = {name: folder / f"{name}.onnx" for name in ("fp32", "fp16", "int8", "dynamic")}
    for precision in (Precision.FP32, Precision.FP16):
        write_graph(written[precision], DeployGraph(generator, Normalization.RUNNING, precision), SHAPE)
    dynamic = InputShape(size=Size(SIDE, SIDE), batch=2, dynamic=True)
    write_graph(written["dynamic"], DeployGraph(generator, Normalization.RUNNING, Precision.FP16), dynamic)
    quantizer = GraphQuantizer.for_tensorrt(written["fp16"], frames[:2], ranges_from=written["fp32"])
    quantizer.write(written["int8"], method=RangeMethod.MIN_MAX, layers=quantizer.layers)
    return written


def odd_graph(*operators: str, inside: bool = False) -> bytes:
    """A graph of nodes named after their place, of operators that TensorRT may not know."""
    names = ["x", *(f"t{i}" for i in range(len(operators) - 1)), "y"]
    nodes = [
        helper.make_node(operator, [names[i]], [names[i + 1]], name=f"node{i}") for i, operator in enumerate(operators)
    ]
    functions = []
    if inside:
        opset = [helper.make_opsetid("", 20)]
        functions = [helper.make_function("local", "Block", ["x"], ["y"], nodes, opset)]
        nodes = [helper.make_node("Block", ["x"], ["y"], name="outer", domain="local")]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "odd", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("local", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=functions)
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.parametrize("kind", ["fp32", "fp16", "int8", "dynamic"])
@pytest.mark.parametrize("capabilities", [(), ("SM86",), ("SM75",)], ids=["default", "8.6", "7.5"])
def test_tensorrt_rtx_builds_engines_without_a_gpu(
    graphs: dict[str, Path], tmp_path: Path, kind: str, capabilities: tuple[str, ...]
) -> None:
    shape = InputShape(size=Size(SIDE, SIDE), batch=2, dynamic=True) if kind == "dynamic" else SHAPE
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_engine(graphs[kind], tmp_path / "plan", RTX, shape=shape, capabilities=capabilities)
    assert (tmp_path / "plan").stat().st_size > graphs[kind].stat().st_size // 2, "the weights must be in it"


def test_an_engine_is_for_the_capabilities_asked_for(graphs: dict[str, Path]) -> None:
    """A plan cannot be read without a GPU, but what Turing needs makes another one."""

    def size(*capabilities: str) -> int:
        graph = graphs["fp16"].read_bytes()
        return len(build_plan(tensorrt_rtx, graph, title="TensorRT-RTX", shape=SHAPE, capabilities=capabilities))

    assert size() == size(*(CAPABILITIES[number] for number in DEFAULT_CAPABILITIES))
    assert size() != size("SM75")


def test_a_build_says_nothing_on_the_terminal_and_keeps_no_timings(
    graphs: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    build_engine(graphs["fp16"], tmp_path / "plan", RTX, shape=SHAPE)
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "cache").exists(), "TensorRT-RTX times nothing when it builds"


@pytest.mark.parametrize(
    ("operators", "inside", "said"),
    [
        (("Relu", "Det"), False, [r"node node1 \(Det\): unsupported node"]),
        (("Bogus", "Relu", "Bogus"), False, [r"nodes node0, node2 \(Bogus\): .*Plugin not found"]),
        (("Det",), True, [r"node node0 \(Det, in outer \(Block\)\)"]),
    ],
    ids=["one", "several", "inside a function"],
)
def test_a_graph_that_tensorrt_refuses_names_every_node(
    operators: tuple[str, ...], inside: bool, said: list[str]
) -> None:
    with pytest.raises(UnavailableError, match="TensorRT-RTX refuses the graph: ") as caught:
        build_plan(tensorrt_rtx, odd_graph(*operators, inside=inside), title="TensorRT-RTX", shape=SHAPE)
    for pattern in said:
        assert re.search(pattern, str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("operators", [["Bogus"] * 300, [f"Bogus{i}" for i in range(60)]], ids=["alike", "different"])
def test_a_graph_of_many_nodes_that_tensorrt_refuses_stays_readable(operators: list[str]) -> None:
    with pytest.raises(UnavailableError) as caught:
        build_plan(tensorrt_rtx, odd_graph(*operators), title="TensorRT-RTX", shape=SHAPE)
    said = str(caught.value)
    assert len(said) <= 1000 + len("TensorRT-RTX refuses the graph: ")
    left = re.search(r"and (\d+) more nodes", said)
    assert left is not None
    named = set(re.findall(r"\bnode\d+\b", said))
    assert len(named) >= 5
    assert len(named) + int(left[1]) == len(operators)


def test_int8_for_the_cpu_is_refused_and_leaves_no_engine_behind(
    graphs: dict[str, Path], frames: list[Frame], tmp_path: Path
) -> None:
    quantizer = GraphQuantizer.for_cpu(graphs["fp32"], frames[:2], saturates=True)
    quantizer.write(tmp_path / "cpu.onnx", method=RangeMethod.MIN_MAX, layers=quantizer.layers)
    with pytest.raises(UnavailableError, match=r"refuses the graph: node \S*uantizeLinear\S* \(\w*uantizeLinear"):
        build_engine(tmp_path / "cpu.onnx", tmp_path / "plan", RTX, shape=SHAPE)
    assert not (tmp_path / "plan").exists()


def test_garbage_is_refused_by_the_parser() -> None:
    with pytest.raises(UnavailableError, match=r"TensorRT-RTX refuses the graph: .*Failed to parse"):
        build_plan(tensorrt_rtx, b"not a graph", title="TensorRT-RTX", shape=SHAPE)


class TestCapabilities:
    def test_the_table_is_the_librarys(self) -> None:
        known = set(tensorrt_rtx.ComputeCapability.__members__) - {"NONE", "CURRENT"}
        assert known == set(CAPABILITIES.values())

    def test_the_default_is_what_the_table_of_targets_says(self) -> None:
        assert tuple(re.findall(r"\d+\.\d+", RTX.runs_on)) == DEFAULT_CAPABILITIES

    @pytest.mark.parametrize(
        ("text", "names"),
        [(None, ()), ("8.6", ("SM86",)), ("12.0, 8.9,8.9", ("SM89", "SM120"))],
    )
    def test_numbers_become_the_librarys_names(self, text: str | None, names: tuple[str, ...]) -> None:
        assert parse_capabilities(text) == names

    @pytest.mark.parametrize("text", ["9.0", "8.6,sm89", "", ",", "8"])
    def test_unknown_ones_are_refused_with_those_that_are_known(self, text: str) -> None:
        with pytest.raises(InvalidInputError, match=r"7\.5, 8\.0, 8\.6, 8\.9, 12\.0, 12\.1"):
            parse_capabilities(text)

    def test_they_need_a_target_that_lets_them_be_chosen(self) -> None:
        check_capabilities((), [TARGETS["tensorrt"]])
        check_capabilities(("SM86",), [TARGETS["tensorrt"], RTX])
        with pytest.raises(InvalidInputError, match="--target tensorrt-rtx"):
            check_capabilities(("SM86",), [TARGETS["onnx"], TARGETS["tensorrt"]])

    def test_one_that_this_version_does_not_know_is_refused(self, graphs: dict[str, Path]) -> None:
        with pytest.raises(UnavailableError, match=r"TensorRT-RTX 1\.\S+ cannot build for SM300"):
            build_plan(
                tensorrt_rtx, graphs["fp16"].read_bytes(), title="TensorRT-RTX", shape=SHAPE, capabilities=["SM300"]
            )


class TestTensorRtProper:
    @pytest.fixture(autouse=True)
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        return tmp_path / "pix2pix-edge"

    def timed(self, **kinds: Any) -> int:
        """How often a build had to time kernels."""
        trt = fake_tensorrt(**kinds)
        assert build_plan(trt, b"graph", title="TensorRT", shape=SHAPE) == b"plan"
        times: int = trt.timed
        return times

    def test_kernels_are_timed_once(self, cache: Path) -> None:
        assert self.timed() == 1
        (kept,) = cache.iterdir()
        assert kept.name.startswith("tensorrt-10.fake-")
        assert self.timed() == 0

    @pytest.mark.parametrize("damage", ["mismatch", "none"])
    def test_damaged_timings_are_measured_anew_and_replaced(self, cache: Path, damage: str) -> None:
        self.timed()
        (kept,) = cache.iterdir()
        kept.write_bytes(b"tim")
        assert self.timed(damage=damage) == 1
        assert kept.read_bytes() == FakeTimings.reads

    def test_builds_where_nothing_can_be_kept(self, cache: Path) -> None:
        cache.write_bytes(b"a file where the folder should be")
        assert self.timed() == 1

    def test_a_failed_build_gives_the_builders_reason_in_one_line(self) -> None:
        trt = fake_tensorrt()
        trt.refuses = True
        with pytest.raises(UnavailableError, match=r"could not build the engine: no kernel fits layer up0$"):
            build_plan(trt, b"graph", title="TensorRT", shape=SHAPE)

    @pytest.mark.parametrize(
        ("declared", "names", "size", "bounds"),
        [
            (
                (-1, -1, -1, 3),
                ("batch", "32*height_steps", "32*width_steps", ""),
                Size(256, 800),
                ((1, 32, 32, 3), (2, 256, 800, 3), (2, 1024, 1600, 3)),
            ),
            (
                (2, -1, 96, 3),
                ("", "48*height", "", ""),
                Size(96, 96),
                ((2, 48, 96, 3), (2, 96, 96, 3), (2, 1008, 96, 3)),
            ),
            ((2, -1, 64, 3), ("", "height", "", ""), Size(96, 64), ((2, 32, 64, 3), (2, 96, 64, 3), (2, 1024, 64, 3))),
        ],
        ids=["named steps", "unusual steps", "one open side"],
    )
    def test_a_dynamic_engine_takes_from_one_step_to_twice_its_size(
        self, declared: tuple[int, ...], names: tuple[str, ...], size: Size, bounds: tuple[tuple[int, ...], ...]
    ) -> None:
        trt = fake_tensorrt(shape=declared, names=names)
        build_plan(trt, b"graph", title="TensorRT", shape=InputShape(size=size, batch=2, dynamic=True))
        (profile,) = trt.config.profiles
        assert profile.shapes == bounds
        for low, side, high in zip(*bounds, strict=True):
            assert side % low == 0 or low == side
            assert high % low == 0

    def test_what_the_graph_says_is_what_is_computed(self) -> None:
        trt = fake_tensorrt()
        build_plan(trt, b"graph", title="TensorRT", shape=SHAPE)
        assert trt.network_flags == 1 << trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED
        assert not trt.config.flags, "fp32 is not TF32"

    def test_a_graph_of_one_size_needs_no_profile(self) -> None:
        trt = fake_tensorrt()
        build_plan(trt, b"graph", title="TensorRT", shape=SHAPE)
        assert not trt.config.profiles


def test_without_a_gpu_tensorrt_says_so_in_one_line() -> None:
    """As its binding does: the class raises, and its log says why."""
    module = fake_tensorrt()

    class Builder:
        def __init__(self, log: Any) -> None:
            log.log(module.ILogger.ERROR, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")

    module.Builder = Builder
    with pytest.raises(UnavailableError, match=r"found no NVIDIA GPU: CUDA initialization failure with error: 35$"):
        build_plan(module, b"graph", title="TensorRT", shape=SHAPE)
