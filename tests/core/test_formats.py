import pytest

from core.errors import InvalidInputError, MissingDependencyError
from core.formats import TARGETS, Target, parse_targets
from core.precision import Precision


def test_file_names_are_the_ones_the_manifest_promises() -> None:
    assert TARGETS["onnx"].file_name(Precision.FP16) == "generator.fp16.onnx"
    assert TARGETS["openvino"].file_name(Precision.INT8) == "generator.int8.xml"
    assert TARGETS["openvino"].companion_names(Precision.INT8) == ("generator.int8.bin",)
    assert TARGETS["tensorrt"].file_name(Precision.FP32) == "generator.fp32.engine"


def test_no_two_artifacts_of_a_bundle_share_a_name() -> None:
    names = [target.file_name(precision) for target in TARGETS.values() for precision in target.precisions]
    assert len(names) == len(set(names))


def test_targets_are_named_in_any_order_and_spelling() -> None:
    assert [target.name for target in parse_targets("tensorrt-rtx, onnx")] == ["onnx", "tensorrt_rtx"]
    assert [target.name for target in parse_targets(None)] == list(TARGETS)


@pytest.mark.parametrize("names", ["coreml", "onnx,tflite", "", ","])
def test_unknown_targets_are_refused_with_the_known_ones(names: str) -> None:
    with pytest.raises(InvalidInputError, match="choose from onnx, openvino"):
        parse_targets(names)


def test_a_missing_library_names_the_extra() -> None:
    target = Target(
        name="x",
        title="X",
        suffix=".x",
        precisions=(Precision.FP32,),
        runs_on="nothing",
        modules=("no_such_module.inside",),
        extra="x-extra",
    )
    with pytest.raises(MissingDependencyError, match=r"pip install 'pix2pix-edge\[x-extra\]'"):
        target.require()
