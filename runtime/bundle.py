"""Bundles on disk: finding the newest, choosing an artifact, opening it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.atomic import find_latest
from core.conditions import Condition
from core.errors import BundleError, EdgeError, InvalidInputError, UnavailableError
from core.formats import TARGETS
from core.frames import Size, check_multiple
from core.machine import this_machine
from core.manifest import Artifact, Latency, Manifest, Status, read_manifest, verify_files
from core.precision import Precision
from runtime.engines import Engine, find_device, open_engine

EXPORTS: Final = Path("exports")
BUILT_IN: Final = "builtin:"
BUILT_IN_FOLDER: Final = Path(__file__).parent / "builtin"
BUILTINS: Final = ("labels", "edges")
"""Bundles that ship with this package (``docs/builtin-models.md``)."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder that ``p2p-export`` wrote, and its manifest."""

    folder: Path
    manifest: Manifest

    @property
    def built_in(self) -> bool:
        """Whether it ships with this package."""
        return self.folder.parent == BUILT_IN_FOLDER

    @property
    def title(self) -> str:
        """What it is called: its folder, or ``builtin:labels``."""
        return f"{BUILT_IN}{self.folder.name}" if self.built_in else str(self.folder)

    def choose(
        self,
        *,
        target: str | None = None,
        precision: Precision | None = None,
        size: Size | None = None,
        device: str | None = None,
    ) -> Artifact:
        """The fastest faithful artifact, of ``target`` and ``precision`` where they are given.

        Of several sizes it is the one that the bundle is for in the first place, unless ``size`` is given; an artifact
        that takes any size is returned as one of ``size``, with the figures of the size that it was measured at.

        On the machine that made the bundle that is the measured order; elsewhere the same order is the best guess.
        An artifact that failed its gate, or was never run, is taken only when target and precision ask for it alone.

        With a ``device`` (as ``runtime.engines.parse_device`` gives it), only what can run there is looked at, and
        latencies of other devices count for nothing.

        Raises:
            InvalidInputError: if the bundle has no such artifact.
            MissingDependencyError, UnavailableError: if none of them can be used here, with the reason of the first;
                or none on ``device``, with a reason for each target.
        """
        fitting = self._fitting(target, precision, size, device)
        if target is not None and precision is not None:
            return fitting[0]
        return self._rank(fitting, device)[0]

    def usable(
        self,
        *,
        target: str | None = None,
        precision: Precision | None = None,
        size: Size | None = None,
        device: str | None = None,
    ) -> list[Artifact]:
        """All artifacts that ``choose`` would take on some machine, in the order of the manifest's latencies.

        Raises:
            as ``choose``.
        """
        return self._rank(self._fitting(target, precision, size, device), device)

    def _fitting(
        self, target: str | None, precision: Precision | None, size: Size | None, device: str | None
    ) -> list[Artifact]:
        fitting = [
            artifact
            for artifact in self._of_size(size)
            if (target is None or artifact.target == target) and (precision is None or artifact.precision == precision)
        ]
        if not fitting:
            known = ", ".join(f"{artifact.target} {artifact.precision}" for artifact in self.manifest.artifacts)
            raise InvalidInputError(f"{self.folder} has no artifact of that target and precision; it has: {known}")
        return fitting if device is None else self._able(fitting, device)

    def _able(self, fitting: list[Artifact], device: str) -> list[Artifact]:
        """Those of ``fitting`` whose engines have ``device``."""
        obstacles: dict[str, str] = {}
        for target in dict.fromkeys(artifact.target for artifact in fitting):
            try:
                find_device(target, device)
            except EdgeError as error:
                obstacles[target] = str(error)
        able = [artifact for artifact in fitting if artifact.target not in obstacles]
        if not able:
            reasons = "; ".join(f"{target}: {reason}" for target, reason in obstacles.items())
            raise UnavailableError(f"no artifact of {self.title} that was asked for can run on {device}: {reasons}")
        return able

    def _rank(self, fitting: list[Artifact], device: str | None) -> list[Artifact]:
        usable = [artifact for artifact in fitting if self._usable(artifact)]
        if not usable:
            first = fitting[0]
            TARGETS[first.target].require()
            raise UnavailableError(
                f"no artifact of {self.folder} can be used here: {first.name}: {first.status}"
                f"{f': {first.reason}' if first.reason else ''}; "
                "--target and --precision together take one all the same"
            )
        return by_latency(usable, device)

    def _of_size(self, size: Size | None) -> list[Artifact]:
        """The artifacts of ``size``, by default of the bundle's first size."""
        if size is None:
            return [artifact for artifact in self.manifest.artifacts if artifact.primary]
        found = [artifact for artifact in self.manifest.artifacts if artifact.size == size]
        dynamic = [artifact for artifact in self.manifest.artifacts if artifact.dynamic and artifact.size != size]
        if dynamic and self.manifest.generator is not None:
            check_multiple(size, self.manifest.generator.levels)
        found += [artifact.model_copy(update={"height": size.height, "width": size.width}) for artifact in dynamic]
        if not found:
            known = dict.fromkeys(str(artifact.size) for artifact in self.manifest.artifacts)
            raise InvalidInputError(
                f"{self.folder} has no artifact of size {size}, only {', '.join(known)}: export it with --size {size}"
            )
        return found

    def _usable(self, artifact: Artifact) -> bool:
        target = TARGETS[artifact.target]
        if target.run_elsewhere or target.missing_modules() or (target.needs_gpu_to_run and this_machine().gpu is None):
            return False
        return artifact.status is Status.PASSED

    def open(
        self,
        artifact: Artifact,
        *,
        threads: int | None = None,
        depth: int = 1,
        spinning: bool | None = None,
        device: str | None = None,
    ) -> Engine:
        """Check the artifact's files against the manifest and load it; options as of ``runtime.engines.open_engine``.

        Raises:
            BundleError: if a file is missing, damaged or another than was measured.
            MissingDependencyError, UnavailableError: if it cannot run here.
        """
        verify_files(self.folder, artifact)
        size = artifact.size if artifact.dynamic else None
        engine = open_engine(
            artifact.target,
            self.folder / artifact.name,
            threads=threads,
            size=size,
            depth=depth,
            spinning=spinning,
            device=device,
        )
        if engine.size != artifact.size:
            engine.close()
            raise BundleError(f"{artifact.name} takes {engine.size} frames, its manifest says {artifact.size}")
        return engine


def recorded_latency(artifact: Artifact, device: str | None) -> Latency | None:
    """What the manifest says of ``artifact`` on ``device`` (None: on the one that its engine takes by itself).

    None if it was not measured, or on another device.

    Raises:
        MissingDependencyError, UnavailableError: if its engine has no such device.
    """
    latency = artifact.latency_ms
    if latency is None or device is None or latency.device == find_device(artifact.target, device):
        return latency
    return None


def by_latency(artifacts: list[Artifact], device: str | None) -> list[Artifact]:
    """``artifacts``, those that were recorded as the fastest on ``device`` first."""
    recorded = {artifact.name: recorded_latency(artifact, device) for artifact in artifacts}

    def p50(artifact: Artifact) -> float:
        latency = recorded[artifact.name]
        return latency.p50 if latency else float("inf")

    return sorted(artifacts, key=p50)


def open_bundle(place: str | Path | None = None, *, condition: Condition | None = None) -> Bundle:
    """The bundle in the folder ``place``, or a built-in one (``builtin:labels``, ``builtin:edges``).

    By default it is the newest in ``exports/``; where there is none, the built-in one for ``condition``, if that is
    given.

    Raises:
        BundleError: if there is none, or its manifest is damaged.
    """
    if place is not None and str(place).startswith(BUILT_IN):
        return open_builtin(str(place).removeprefix(BUILT_IN))
    if place is None:
        folder = find_latest(EXPORTS)
        if folder is None:
            if condition is not None:
                return open_builtin("labels" if condition is Condition.IDENTITY else "edges")
            raise BundleError(
                f"there is no bundle in {EXPORTS}/: make one with p2p-export, or name builtin:labels or builtin:edges"
            )
    else:
        if "://" in str(place):
            raise BundleError("an address is no bundle: give it as --source")
        folder = Path(place)
        if folder.is_file():
            raise BundleError(
                f"{folder} is a file, not a bundle's folder: p2p-export {folder} makes one of a checkpoint, "
                f"and --source {folder} translates it"
            )
    return Bundle(folder, read_manifest(folder))


def open_builtin(name: str) -> Bundle:
    """A bundle that ships with this package: ``labels`` (label maps to facades) or ``edges`` (edges to facades).

    Raises:
        BundleError: if there is none of that name.
    """
    if name not in BUILTINS:
        raise BundleError(
            f"there is no built-in bundle {name!r}: choose from {', '.join(BUILT_IN + n for n in BUILTINS)}"
        )
    folder = BUILT_IN_FOLDER / name
    return Bundle(folder, read_manifest(folder))
