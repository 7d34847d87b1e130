"""A generator on its way to artifacts, without the command around it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.checkpoint import save_generator
from core.configuration import GENERATOR_FILE, CheckpointInfo, DataConfig
from core.export_record import Quantization
from core.fidelity import GATES
from core.formats import TARGETS, InputShape
from core.frames import Frame, Size
from core.networks import Generator
from core.precision import Precision
from export.builder import ArtifactBuilder, ShapeFrames
from export.fidelity import HeldOut
from export.graphs import DeployGraphs
from export.int8 import Int8Options
from export.plan import Planned
from export.trained_generator import TrainedGenerator
from runtime.engines import Engine, open_engine


@dataclass(frozen=True)
class Deployment:
    """A builder of artifacts, and the frames it works with."""

    builder: ArtifactBuilder
    frames: ShapeFrames

    @property
    def held_out(self) -> HeldOut:
        return self.frames.held_out

    def build(self, target: str, precision: Precision) -> Path:
        paths, _ = self.builder.build(Planned(TARGETS[target], precision), self.frames)
        return paths[0]

    def build_int8(self, target: str) -> tuple[Path, Quantization]:
        paths, quantization = self.builder.build(Planned(TARGETS[target], Precision.INT8), self.frames)
        assert quantization is not None
        return paths[0], quantization

    def open(self, target: str, path: Path) -> Engine:
        return open_engine(target, path, threads=1, size=self.frames.shape.size)


def deploy(
    generator: Generator,
    folder: Path,
    *,
    calibration: Sequence[Frame],
    held_out: Sequence[Frame],
    batch: int = 4,
    shape: InputShape | None = None,
    saturates: bool = False,
) -> Deployment:
    """What the exporter sets up for ``generator``, trained at ``batch``, whose artifacts go to ``folder``."""
    height, width = held_out[0].shape[:2]
    data = DataConfig(height=height, width=width)
    info = CheckpointInfo(generator=generator.config, data=data, step=1, batch=batch, name="small")
    save_generator(folder / GENERATOR_FILE, generator, info)
    original = TrainedGenerator(folder / GENERATOR_FILE)
    workshop = folder / "workshop"
    workshop.mkdir()
    frames = ShapeFrames(
        shape=shape or InputShape(size=Size(height, width)),
        calibration=calibration,
        held_out=HeldOut(frames=held_out, references=original.translate(held_out)),
    )
    builder = ArtifactBuilder(
        graphs=DeployGraphs(original, workshop),
        normalization=original.normalizations[0],
        folder=folder,
        workshop=workshop,
        int8=Int8Options(gate=GATES[Precision.INT8]),
        saturates=saturates,
        capabilities=("SM86",),
        say=lambda _line: None,
    )
    return Deployment(builder, frames)
