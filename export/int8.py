"""INT8 artifacts that pass their gate: ranges chosen, and harmful layers returned to float, by measurement."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from calibration.sensitivity import FRAMES, measure_sensitivity
from core.export_record import LayerDamage, MethodTrial, Quantization, RangeMethod
from core.fidelity import Gate
from core.frames import Frame
from export.fidelity import HeldOut, fidelity_of, translate_all
from export.quantizer import AccuracyControl, Quantizer
from runtime.engines import Engine

METHOD_FRAMES: Final = 8
"""Calibration frames that range methods are compared on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Options:
    """What is asked of INT8 artifacts.

    Attributes:
        method: how ranges are found; None: the quantizer's default.
        sweep: try all methods, keep the best.
        sensitivity: measure every layer's damage even where the gate is passed.
        accuracy_control: let NNCF choose the layers that stay in float (OpenVINO only).
        gate: what must be reached; missing it sends layers back to float.
    """

    method: RangeMethod | None = None
    sweep: bool = False
    sensitivity: bool = False
    accuracy_control: bool = False
    gate: Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Maker:
    """Makes one INT8 artifact.

    Attributes:
        quantizer: of the graph.
        open_engine: loads an artifact to see what it makes; of whatever engine can compute it.
        calibration: frames that ranges were measured on.
        held_out: what the gate is measured on.
        translate: the original network's own translations.
        options: what is asked for.
        workshop: a temporary folder.
        suffix: of the artifact's file.
        say: told, in a few words, what is being done.
    """

    quantizer: Quantizer
    open_engine: Callable[[Path], Engine]
    calibration: Sequence[Frame]
    held_out: HeldOut
    translate: Callable[[Sequence[Frame]], Sequence[Frame]]
    options: Int8Options
    workshop: Path
    suffix: str
    say: Callable[[str], None]

    def make(self, path: Path) -> Quantization:
        """Write the artifact to ``path`` (and companions beside it); how it was made.

        Raises:
            UnavailableError: if the library refuses the graph.
        """
        tried = self._sweep() if self.options.sweep else ()
        method = tried[0].method if tried else self.options.method or self.quantizer.methods[0]
        layers = self.quantizer.layers
        controlled = self.options.accuracy_control and isinstance(self.quantizer, AccuracyControl)
        kept: tuple[str, ...] = ()
        if controlled:
            kept = self._control_accuracy(path, method)
            sensitivity = self._sensitivity(method) if self.options.sensitivity else ()
        else:
            self.quantizer.write(path, method=method, layers=layers)
            complaint = self._complaint(path)
            sensitivity = self._sensitivity(method) if self.options.sensitivity or complaint else ()
            if complaint:
                kept = self._return_to_float(path, method, sensitivity)
        return Quantization(
            scheme=self.quantizer.scheme,
            method=method,
            tried=tried,
            layers=len(layers) - len(kept),
            kept_float=kept,
            outer_float=self.quantizer.outer,
            sensitivity=sensitivity,
            accuracy_control=controlled,
        )

    def _sweep(self) -> tuple[MethodTrial, ...]:
        """Every method's fidelity on calibration frames, the best first."""
        frames = evenly_spread(self.calibration, METHOD_FRAMES)
        references = self.translate(frames)
        trials = []
        for method in self.quantizer.methods:
            self.say(f"trying the ranges of {method}")
            path = self._scratch
            self.quantizer.write_draft(path, method=method, layers=self.quantizer.layers)
            fidelity = fidelity_of(self._translate(path, frames), references)
            trials.append(MethodTrial(method=method, psnr_db=fidelity.psnr_db, ssim=fidelity.ssim))
        return tuple(sorted(trials, key=lambda trial: -trial.psnr_db))

    def _control_accuracy(self, path: Path, method: RangeMethod) -> tuple[str, ...]:
        assert isinstance(self.quantizer, AccuracyControl)
        assert self.options.gate.psnr_db is not None, "accuracy control works towards a PSNR"
        self.say("quantizing under accuracy control")
        return self.quantizer.write_with_accuracy_control(
            path,
            method=method,
            frames_held=self.held_out.frames,
            references=self.held_out.references,
            min_psnr=self.options.gate.psnr_db,
        )

    def _sensitivity(self, method: RangeMethod) -> tuple[LayerDamage, ...]:
        frames = evenly_spread(self.calibration, FRAMES)

        def translate(layer: str) -> Sequence[Frame]:
            self.say(f"quantizing {layer} alone")
            return self._draft(method, {layer}, frames)

        return measure_sensitivity(self.quantizer.layers, translate, self._draft(method, (), frames))

    def _return_to_float(self, path: Path, method: RangeMethod, sensitivity: Sequence[LayerDamage]) -> tuple[str, ...]:
        """Replace the artifact at ``path`` by one that passes, the fewest of the most harmful layers in float.

        A draft is a little less, or more, than the real thing: one that passes is made for real to see, and with all
        layers but one in float that is tried in any case.

        Returns:
            Those layers; none (and the artifact as it was) if none passes.
        """
        for count in range(1, len(sensitivity)):
            kept = tuple(damage.layer for damage in sensitivity[:count])
            self.say(f"returning {count} of {len(sensitivity)} layers to float")
            layers = [layer for layer in self.quantizer.layers if layer not in kept]
            promises = self._gate(self._draft(method, layers, self.held_out.frames)) is None
            if promises or len(layers) == 1:
                self.quantizer.write(path, method=method, layers=layers)
                if self._complaint(path) is None:
                    return kept
        self.quantizer.write(path, method=method, layers=self.quantizer.layers)
        return ()

    @property
    def _scratch(self) -> Path:
        return self.workshop / f"draft{self.suffix}"

    def _draft(self, method: RangeMethod, layers: Collection[str], frames: Sequence[Frame]) -> list[Frame]:
        self.quantizer.write_draft(self._scratch, method=method, layers=layers)
        return self._translate(self._scratch, frames)

    def _translate(self, path: Path, frames: Sequence[Frame]) -> list[Frame]:
        with self.open_engine(path) as engine:
            return translate_all(engine, frames)

    def _complaint(self, path: Path) -> str | None:
        return self._gate(self._translate(path, self.held_out.frames))

    def _gate(self, translations: Sequence[Frame]) -> str | None:
        fidelity, quality = self.held_out.judge(translations)
        return self.options.gate.complaint(fidelity, quality, self.held_out.reference_quality)


def evenly_spread(frames: Sequence[Frame], count: int) -> list[Frame]:
    """``count`` of ``frames`` (or all, if there are fewer), evenly spread."""
    places = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    return [frames[place] for place in places]
