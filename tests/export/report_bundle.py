"""A manifest with a bit of everything, and a page read as a browser would, for the tests of the report."""

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import numpy as np

from core.conditions import Condition
from core.configuration import Direction, GeneratorConfig
from core.export_record import (
    CalibrationRecord,
    LayerDamage,
    LeftOut,
    MethodTrial,
    Normalization,
    NormalizationTrial,
    Quantization,
    RangeMethod,
)
from core.fidelity import GATES, Fidelity, TaskQuality
from core.formats import TARGETS
from core.frames import Frame, Size
from core.machine import Machine
from core.manifest import Artifact, ArtifactFile, Latency, Manifest, Source, Status
from core.precision import Precision
from export.fidelity import HeldOut

SIDE = 32


class Page(HTMLParser):
    """A page's elements, and the text of it that is not in plots."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self._depth = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._depth += tag in ("svg", "style")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._depth -= tag in ("svg", "style")

    def handle_data(self, data: str) -> None:
        if not self._depth:
            self.words.append(data)
            if self.rows and self.rows[-1]:
                self.rows[-1][-1] += data.strip()

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def pictures(self, title: str) -> list[str]:
        return [str(attrs["src"]) for tag, attrs in self.elements if tag == "img" and attrs["alt"] == title]


def artifact(target: str, precision: str, p50: float | None, psnr: float | None, **changes: Any) -> Artifact:
    kind, row = Precision(precision), TARGETS[target]
    size = changes.pop("size", None)
    height, width = size or Size(SIDE, SIDE)
    names = (row.file_name(kind, size), *row.companion_names(kind, size))
    values: dict[str, Any] = {
        "target": target,
        "precision": kind,
        "files": tuple(ArtifactFile(name=name, sha256="ab" * 32, bytes=2_100_000) for name in names),
        "height": height,
        "width": width,
        "fidelity": psnr and Fidelity(psnr_db=psnr, ssim=0.987, max_abs=17, mean_abs=0.61, frames=8),
        "latency_ms": p50 and Latency(p50=p50, p90=1.1 * p50, p99=1.4 * p50, runs=102, threads=2, device="cpu"),
        "status": Status.PASSED,
        "reason": None,
        "build_seconds": 1.0,
    }
    return Artifact(**(values | changes))


INT8 = Quantization(
    scheme="unsigned activations, 7-bit weights",
    method=RangeMethod.PERCENTILE,
    tried=(
        MethodTrial(method=RangeMethod.PERCENTILE, psnr_db=36.24, ssim=0.97),
        MethodTrial(method=RangeMethod.MIN_MAX, psnr_db=33.19, ssim=0.95),
    ),
    layers=3,
    kept_float=("decoder.1.conv",),
    outer_float=("encoder.0.conv",),
    sensitivity=(
        LayerDamage(layer="decoder.1.conv", psnr_db=31.27),
        LayerDamage(layer="encoder.1.conv", psnr_db=47.35),
    ),
)
ARTIFACTS = (
    artifact("onnx", "fp32", 15.91, 80.1),
    artifact("onnx", "fp16", 18.33, 55.2, executes={"fp32": 1.0}),
    artifact("onnx", "int8", 16.72, 29.4, status=Status.FAILED, reason="PSNR 29.4 dB, 32 dB needed"),
    artifact("openvino", "fp32", 11.24, 81.7),
    artifact(
        "openvino",
        "int8",
        8.31,
        38.6,
        quantization=INT8,
        executes={"int8": 0.94, "fp32": 0.06},
        quality=TaskQuality(l1=0.2345, psnr_db=15.11, ssim=0.4021, frames=8),
    ),
    artifact("tensorrt_rtx", "fp32", None, None, status=Status.NOT_RUN, reason="there is no NVIDIA GPU here"),
)


def manifest(artifacts: Sequence[Artifact] = ARTIFACTS, **changes: Any) -> Manifest:
    machine = Machine(
        cpu="Some CPU", architecture="x86_64", cores=2, instructions=("avx2",), memory_gib=8, gpu=None, system="Linux",
        python="3.11.7",
    )  # fmt: skip
    trial = Fidelity(psnr_db=21.37, ssim=0.71, max_abs=143, mean_abs=9.0, frames=8)
    values: dict[str, Any] = {
        "source": Source(name="houses", sha256="f7fd7b2053d1a2ae" * 4, step=4321),
        "generator": GeneratorConfig(width=8, levels=4),
        "condition": Condition.IDENTITY,
        "direction": Direction.B_TO_A,
        "normalization": Normalization.INSTANCE,
        "machine": machine,
        "fingerprint": machine.fingerprint,
        "libraries": {"onnxruntime": "1.31.1"},
        "gates": GATES,
        "reference_quality": TaskQuality(l1=0.2331, psnr_db=15.2, ssim=0.41, frames=8),
        "normalizations": (
            NormalizationTrial(
                normalization=Normalization.RUNNING, fidelity=trial, quality=None, p50_ms=13.77, passed=False
            ),
        ),
        "calibration": CalibrationRecord(source="clips/a.mp4", frames=48, seed=5, seen=77, near_duplicates=19, flat=3),
        "artifacts": tuple(artifacts),
        "left_out": (LeftOut(target="tensorrt", reason="it builds only on the GPU it is for"),),
        "recommended": "generator.int8.xml",
    }
    return Manifest(**(values | changes))


def frames(count: int, seed: int, side: int = SIDE) -> list[Frame]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8))


HELD_OUT = HeldOut(frames=frames(5, 1), references=frames(5, 2), targets=frames(5, 3))
PICTURES = {one.name: frames(4, 10 + i) for i, one in enumerate(ARTIFACTS) if one.fidelity}
