"""A bundle ready to translate frames of any size: what ``p2p-run`` is made of, for programs.

with open_translator("exports/latest") as translator:
    translation = translator(frame)
"""

import threading
from pathlib import Path
from typing import Final

from core.conditions import Condition, EdgeThresholds
from core.errors import EdgeError
from core.frames import Frame, Size, as_seen, check_frame
from core.geometry import Fit, Geometry
from core.manifest import Artifact
from core.precision import Precision
from runtime.bundle import Bundle, open_bundle
from runtime.closing import Closing
from runtime.engines import Engine
from runtime.selection import Choice, choose_artifact
from runtime.translating import Pending, Prepared

CHANGED: Final = "the artifact was changed on the way, and figures are of all that ran"


class Translator(Closing):
    """An engine and what has to be done to frames before and after it.

    Attributes:
        bundle: where the artifact is from.
        artifact: what translates now.
        geometry: how frames are fitted.
        condition: what is made of a fitted frame before the generator sees it.
        first_frame_size: of the first frame that came, once one has.
    """

    def __init__(
        self,
        bundle: Bundle,
        choice: Choice,
        *,
        geometry: Geometry,
        condition: Condition,
        edges: EdgeThresholds | None = None,
        native_size: bool = False,
        threads: int | None = None,
        depth: int = 1,
    ) -> None:
        """Load ``choice.artifact``.

        Args:
            bundle: an opened bundle.
            choice: the artifact, those that ``next_artifact`` goes through, and the device that they run on.
            geometry: how frames are fitted; its size is the artifact's.
            condition: what is made of a fitted frame.
            edges: thresholds for ``Condition.EDGES``; default: those of training.
            native_size: translations come back at the size and place of the frame they were made of.
            threads: CPU threads of the engine; default: all.
            depth: frames that the engine may work on at a time.

        Raises:
            BundleError, MissingDependencyError, UnavailableError: if the artifact cannot be run.
        """
        self.bundle = bundle
        self.artifact = choice.artifact
        self.geometry = geometry
        self.condition = condition
        self.first_frame_size: Size | None = None
        self._edges = edges
        self._native_size = native_size
        self._threads = threads
        self._others = choice.usable
        self._device = choice.device
        self._depth = depth
        self._engine = self._load(choice.artifact)
        self._lock = threading.Lock()
        self._loading: threading.Thread | None = None
        self._loaded: tuple[Artifact, Engine] | None = None
        self.notes: list[str] = []
        """What its user should know at the end: artifacts that could not be loaded, and why."""

    @property
    def size(self) -> Size:
        """Of the frames that the generator sees."""
        return self.geometry.size

    @property
    def device(self) -> str:
        """What the engine really runs on."""
        return self._engine.device

    @property
    def engine_note(self) -> str | None:
        """What its user should know of the engine."""
        return self._engine.note

    @property
    def threads(self) -> int:
        """CPU threads of the engine."""
        return self._engine.threads

    @property
    def label(self) -> str:
        """Target and precision, such as ``openvino int8``."""
        return f"{self.artifact.target} {self.artifact.precision.value}"

    @property
    def changes(self) -> bool:
        """Whether another artifact is loaded, and takes over with the next frame."""
        return self._loaded is not None

    def __call__(self, frame: Frame) -> Frame:
        """The translation of ``frame``, ``uint8 [H, W, 3]`` BGR of any size: of ``size``, or of the frame's own size.

        Raises:
            InvalidInputError: if it is no such frame.
        """
        prepared = self.prepare(frame)
        return self.show(prepared, self.submit(prepared).result())[0]

    def prepare(self, frame: Frame) -> Prepared:
        """What the generator is to see of ``frame``; ``InvalidInputError`` if it is no frame."""
        frame = check_frame(frame)
        placed = self.geometry.place(frame)
        if self.first_frame_size is None:
            self.first_frame_size = Size(*frame.shape[:2])
        return Prepared(self.condition.apply(placed.image, edges=self._edges), placed)

    def submit(self, prepared: Prepared) -> Pending:
        """Begin the translation; as many at a time as it was opened for."""
        self._change_over()
        return self._engine.submit(prepared.image)

    def show(self, prepared: Prepared, output: Frame) -> tuple[Frame, Frame]:
        """What is put out: the translation, and what the generator saw, of one size."""
        assert prepared.placed is not None, "prepared here"
        seen = as_seen(prepared.image, self.bundle.manifest.input_encoding)
        if self._native_size:
            return self.geometry.back(output, prepared.placed), self.geometry.back(seen, prepared.placed)
        return self.geometry.shown(output, prepared.placed), self.geometry.shown(seen, prepared.placed)

    def next_artifact(self) -> None:
        """Change to the bundle's next artifact that can be used here, as soon as it is loaded; meanwhile go on.

        May be called from any thread. One that cannot be loaded is passed over.
        """
        with self._lock:
            if self._loading is None and self._loaded is None and len(self._others) > 1:
                self._loading = threading.Thread(target=self._load_next, name="p2p-load", daemon=True)
                self._loading.start()

    def _load(self, artifact: Artifact) -> Engine:
        # Threads that spin while they wait take what decoding and output need (docs/runtime.md has the figures).
        return self.bundle.open(artifact, threads=self._threads, depth=self._depth, spinning=False, device=self._device)

    def _load_next(self) -> None:
        names = [other.name for other in self._others]
        place = names.index(self.artifact.name)
        try:
            for artifact in (*self._others[place + 1 :], *self._others[:place]):
                try:
                    self._loaded = artifact, self._load(artifact)
                    break
                except (EdgeError, OSError, RuntimeError, MemoryError) as error:
                    note = (
                        f"{artifact.name} could not be loaded: {' '.join(str(error).split()) or type(error).__name__}"
                    )
                    if note not in self.notes:
                        self.notes.append(note)
        finally:
            self._loading = None

    def _change_over(self) -> None:
        if self._loaded is None:
            return
        (artifact, engine), self._loaded = self._loaded, None
        before, self._engine, self.artifact = self._engine, engine, artifact
        if not self.notes or self.notes[-1] != CHANGED:
            self.notes.append(CHANGED)
        before.close()

    def close(self) -> None:
        """Give back the engine. May be called again."""
        if (loading := self._loading) is not None:
            loading.join(timeout=30)
        if self._loaded is not None:
            self._loaded[1].close()
            self._loaded = None
        self._engine.close()


def open_translator(
    bundle: str | Path | None = None,
    *,
    target: str | None = None,
    precision: str | Precision | None = None,
    size: Size | None = None,
    device: str | None = None,
    condition: str | Condition | None = None,
    fit: str | Fit = Fit.CROP,
    mirror: bool = False,
    rotate: int = 0,
    native_size: bool = False,
    threads: int | None = None,
) -> Translator:
    """The fastest faithful artifact of a bundle, ready to translate frames.

    Args:
        bundle: a folder that ``p2p-export`` wrote, or ``builtin:labels`` or ``builtin:edges``; default: the newest in
            ``exports/``.
        target: such as ``onnx``; default: any.
        precision: ``fp32``, ``fp16`` or ``int8``; default: any.
        size: of a bundle with several.
        device: where it is to run: ``cpu``, ``cuda`` or ``cuda:1`` (the second GPU), or what OpenVINO calls a device
            (``GPU``, ``NPU``, ``AUTO``); only artifacts that can are considered. Default: where each engine runs by
            itself. ``device`` of what this gives says where that really is.
        condition: what is made of a frame first; default: the bundle's.
        fit: ``crop``, ``letterbox`` or ``stretch``.
        mirror: exchange left and right.
        rotate: degrees clockwise.
        native_size: give translations of the size and shape of the frames.
        threads: CPU threads of the engine; default: all.

    Raises:
        InvalidInputError: for a value that there is not.
        BundleError, MissingDependencyError, UnavailableError: if there is nothing that could be run.
    """
    opened = open_bundle(bundle)
    choice = choose_artifact(
        opened,
        target=target,
        precision=Precision(precision) if precision else None,
        size=size,
        threads=threads,
        device=device,
    )
    return Translator(
        opened,
        choice,
        geometry=Geometry(size=choice.artifact.size, fit=Fit(fit), mirror=mirror, rotate=rotate),
        condition=Condition(condition) if condition else opened.manifest.condition,
        native_size=native_size,
        threads=threads,
    )
