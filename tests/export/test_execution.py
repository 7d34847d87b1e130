from export.execution import _share


def test_shares_are_of_the_work_and_not_of_the_layers() -> None:
    assert _share({"a": "int8", "b": "fp32"}, {"a": 300, "b": 100}) == {"int8": 0.75, "fp32": 0.25}
    assert _share({"a": "int8"}, {"a": 300, "b": 100}) is None, "what a layer runs in must be known of every layer"
    assert _share({}, {}) is None
