"""The part of TensorRT proper that builds, acted out: it times kernels, which takes the GPU that this needs none of."""

from types import SimpleNamespace
from typing import Any


class FakeTimings:
    """Kernel timings; ``reads`` is what is sound and of this GPU."""

    reads = b"timings"

    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> bytes:
        return self.content


class FakeConfig:
    """TensorRT's own builder configuration, which has timings and no compute capabilities."""

    def __init__(self, answer_to_damage: str = "mismatch") -> None:
        self.answer_to_damage = answer_to_damage
        self.timings: FakeTimings | None = None
        self.profiles: list[Any] = []
        self.flags = {"tf32"}

    def clear_flag(self, flag: str) -> None:
        self.flags.discard(flag)

    def create_timing_cache(self, content: bytes) -> FakeTimings | None:
        return (
            None
            if content not in (b"", FakeTimings.reads) and self.answer_to_damage == "none"
            else FakeTimings(content)
        )

    def set_timing_cache(self, timings: FakeTimings, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        if timings.content not in (b"", FakeTimings.reads):
            return False
        self.timings = timings
        return True

    def add_optimization_profile(self, profile: Any) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1


def fake_tensorrt(
    *, shape: tuple[int, ...] = (1, 64, 64, 3), names: tuple[str, ...] = (), damage: str = "mismatch"
) -> Any:
    """TensorRT proper, which times kernels when it builds; ``timed`` counts how often it had to."""
    config = FakeConfig(damage)
    frames = SimpleNamespace(name="frames", shape=shape, get_dimension_name=lambda axis: names[axis])
    module = SimpleNamespace(__name__="tensorrt", __version__="10.fake", config=config, timed=0)

    class Profile:
        def set_shape(self, _name: str, *shapes: tuple[int, ...]) -> None:
            self.shapes = shapes

    class Builder:
        def __init__(self, log: Any) -> None:
            self.log = log

        def create_network(self, flags: int) -> Any:
            module.network_flags = flags
            return SimpleNamespace(get_input=lambda _index: frames)

        def create_builder_config(self) -> FakeConfig:
            self.log.log(1, "the timing cache is damaged")
            return config

        def create_optimization_profile(self) -> Profile:
            return Profile()

        def build_serialized_network(self, _network: Any, config: FakeConfig) -> bytes | None:
            if module.refuses:
                self.log.log(1, "no kernel\nfits layer up0")
                return None
            assert config.timings is not None
            if config.timings.content != FakeTimings.reads:
                module.timed += 1
                config.timings.content = FakeTimings.reads
            return b"plan"

    class ILogger:
        INTERNAL_ERROR, ERROR = 0, 1

    module.refuses = False
    module.ILogger, module.Builder = ILogger, Builder
    module.OnnxParser = lambda _network, _log: SimpleNamespace(parse=lambda _graph: True)
    module.NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
    module.BuilderFlag = SimpleNamespace(TF32="tf32")
    return module
