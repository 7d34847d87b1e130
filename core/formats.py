"""The table of targets: what a generator can be exported to, and what each target needs.

The command line, validation, the benchmark and the docs are driven by this table; a target is added here and nowhere
else by name.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from core.errors import InvalidInputError, MissingDependencyError
from core.export_record import RangeMethod
from core.frames import Size
from core.precision import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class InputShape:
    """The frames an artifact takes at a time: ``uint8 [batch, height, width, 3]``.

    Attributes:
        size: of its frames; of a ``dynamic`` artifact, those it is optimized for and was measured with.
        batch: frames at a time.
        dynamic: whether it takes other sizes as well.
        primary: whether its bundle's plain file names are for this size; those of further sizes name it.
    """

    size: Size
    batch: int = 1
    dynamic: bool = False
    primary: bool = True

    def __str__(self) -> str:
        frames = f"{self.batch} x {self.size}" if self.batch > 1 else str(self.size)
        return f"{frames} (dynamic)" if self.dynamic else frames


OWN_RANGES: Final = (RangeMethod.LEAST_SQUARES, RangeMethod.PERCENTILE, RangeMethod.MIN_MAX, RangeMethod.ENTROPY)
"""Of graphs that this project quantizes itself: least squares cost the picture least or nearly so on all generators
measured. Entropy counts what values are common and not how far they are off: it clips the few bright ones."""
NNCF_RANGES: Final = (RangeMethod.MIN_MAX, RangeMethod.PERCENTILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing a generator can be exported to.

    Attributes:
        name: what the command line, the manifest and the docs call it.
        title: for tables that people read.
        suffix: of the artifact's main file.
        companions: suffixes of the files that belong to it.
        graph: goes into the file name where the target needs its own file beside another target's of equal suffix.
        precisions: what it can be made in.
        runs_on: the hardware its engine uses.
        modules: import names that must be there to run it.
        build_modules: import names that must be there to make it, besides PyTorch and ONNX.
        extra: the extra of this distribution that installs them.
        needs_gpu_to_build: whether making it takes the NVIDIA GPU that will run it.
        needs_gpu_to_run: whether it runs on an NVIDIA GPU only.
        run_elsewhere: what has to be done with it before it runs; None if this project's runtime runs it as it is.
        range_methods: how the ranges of its INT8 activations can be found, the default first.
        checked_by: the target whose engine can compute it, for its fidelity, where its own cannot.
    """

    name: str
    title: str
    suffix: str
    companions: tuple[str, ...] = ()
    graph: str | None = None
    precisions: tuple[Precision, ...]
    runs_on: str
    modules: tuple[str, ...]
    build_modules: tuple[str, ...] = ()
    extra: str
    needs_gpu_to_build: bool = False
    needs_gpu_to_run: bool = False
    run_elsewhere: str | None = None
    range_methods: tuple[RangeMethod, ...] = OWN_RANGES
    checked_by: str | None = None

    def file_name(self, precision: Precision, size: Size | None = None) -> str:
        """The main file's name: ``generator.fp16.onnx``; for a further ``size`` ``generator.fp16.512x512.onnx``."""
        middle = (f".{self.graph}" if self.graph else "") + (f".{size}" if size else "")
        return f"generator.{precision}{middle}{self.suffix}"

    def companion_names(self, precision: Precision, size: Size | None = None) -> tuple[str, ...]:
        """Names of the files that travel with the main file, e.g. ``generator.fp16.bin``."""
        main = self.file_name(precision, size).removesuffix(self.suffix)
        return tuple(main + suffix for suffix in self.companions)

    def missing_modules(self, *, build: bool = False) -> tuple[str, ...]:
        """Import names that are not installed here, to run (or to build) this target."""
        wanted = self.build_modules if build else self.modules
        return tuple(name for name in wanted if not is_installed(name))

    def require(self, *, build: bool = False) -> None:
        """Raise ``MissingDependencyError`` that names the extra to install, unless everything is there."""
        missing = self.missing_modules(build=build)
        if missing:
            verb = "building" if build else "running"
            raise MissingDependencyError(", ".join(missing), self.extra, f"{verb} {self.title} artifacts")


ALL_PRECISIONS: Final = (Precision.FP32, Precision.FP16, Precision.INT8)

TARGETS: Final[dict[str, Target]] = {
    target.name: target
    for target in (
        Target(
            name="onnx",
            title="ONNX Runtime",
            suffix=".onnx",
            precisions=ALL_PRECISIONS,
            runs_on="CPU, or CUDA with onnxruntime-gpu",
            modules=("onnxruntime",),
            build_modules=("onnx", "onnxscript", "onnxruntime"),
            extra="export",
        ),
        Target(
            name="openvino",
            title="OpenVINO",
            suffix=".xml",
            companions=(".bin",),
            precisions=ALL_PRECISIONS,
            runs_on="Intel and AMD CPU",
            modules=("openvino",),
            build_modules=("openvino", "nncf"),
            extra="openvino",
            range_methods=NNCF_RANGES,
        ),
        Target(
            name="onnx_tensorrt",
            title="TensorRT ONNX",
            suffix=".onnx",
            graph="tensorrt",
            # Its FP16 graph is the one for ONNX Runtime: TensorRT reads both.
            precisions=(Precision.INT8,),
            runs_on="NVIDIA GPUs, once TensorRT has built an engine of it",
            modules=("onnxruntime",),
            build_modules=("onnx", "onnxscript", "onnxruntime"),
            extra="export",
            run_elsewhere="build an engine of it where the GPU is: trtexec --stronglyTyped --onnx=FILE",
            checked_by="onnx",
        ),
        Target(
            name="tensorrt",
            title="TensorRT",
            suffix=".engine",
            precisions=ALL_PRECISIONS,
            runs_on="the NVIDIA GPU it was built on",
            modules=("tensorrt", "cuda.bindings"),
            build_modules=("tensorrt", "onnx"),
            extra="tensorrt",
            needs_gpu_to_build=True,
            needs_gpu_to_run=True,
        ),
        Target(
            name="tensorrt_rtx",
            title="TensorRT-RTX",
            suffix=".engine",
            graph="tensorrt_rtx",
            precisions=ALL_PRECISIONS,
            runs_on="NVIDIA RTX GPU, compute capability 8.0, 8.6, 8.9 or 12.0",
            modules=("tensorrt_rtx", "cuda.bindings"),
            build_modules=("tensorrt_rtx", "onnx"),
            extra="tensorrt-rtx",
            needs_gpu_to_run=True,
        ),
    )
}


def is_installed(module: str) -> bool:
    """Whether ``module`` can be imported here, found out without importing it."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package of a dotted name is missing
        return False


def parse_targets(names: str | Iterable[str] | None) -> Sequence[Target]:
    """The targets a user named (``"onnx,openvino"``), in the table's order; all of them for None.

    Raises:
        InvalidInputError: for a name that is not in the table.
    """
    if names is None:
        return tuple(TARGETS.values())
    parts = names.split(",") if isinstance(names, str) else list(names)
    wanted = {part.strip().replace("-", "_") for part in parts if part.strip()}
    unknown = sorted(wanted - TARGETS.keys())
    if unknown or not wanted:
        raise InvalidInputError(
            f"unknown target {', '.join(unknown) or '(none given)'}: choose from {', '.join(TARGETS)}"
        )
    return tuple(target for name, target in TARGETS.items() if name in wanted)
