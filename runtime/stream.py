"""A stream as its user asked for it: opened, run, closed, and described."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from core.conditions import Condition
from core.configuration import Task
from core.errors import InvalidInputError, SinkError
from core.frames import Size
from core.geometry import Fit, Geometry
from core.machine import usable_cores
from core.manifest import Artifact
from core.places import expanded
from runtime.bundle import Bundle, open_bundle
from runtime.options import StreamOptions
from runtime.pipeline import run_pipeline
from runtime.result import Observer, PipelineResult
from runtime.selection import Choice, choose_artifact
from runtime.sinks import CAMERA as VIRTUAL_CAMERA
from runtime.sinks import STANDARD_OUTPUT, VideoSink, open_sink
from runtime.sources import CAMERA, DEMO, ImageSource, VideoSource, hide_password, open_source
from runtime.sources.images import is_pattern
from runtime.stillness import Stillness
from runtime.translator import Translator

HELD: Final = 0.98
"""Share of the frame rate asked for that counts as held: a camera's 30 are often 29.97."""

FILE_DEPTH: Final = 3
"""Frames that an engine is given at a time where all are to be translated: on two cores it works on two of them, and
the third is there when one is done (``docs/runtime.md``)."""

STANDARD_INPUT: Final = "-"


def run_stream(
    options: StreamOptions, *, say: Callable[[str], None], started_ns: int | None = None
) -> tuple[PipelineResult, dict[str, Any]]:
    """Open source, sinks and engine, run the stream, and close them.

    Args:
        options: what is asked for.
        say: told what is taken where nothing was asked for, and what runs.
        started_ns: what the first frame's time counts from; default: now.

    Returns:
        What the stream did, and on what, for the summary.

    Raises:
        EdgeError: for whatever cannot be opened, run or written.
    """
    bundle = open_bundle(options.bundle, condition=_likely_condition(options))
    if options.bundle is None and bundle.built_in:
        say(f"no bundle in exports/: taking {bundle.title}, which ships with this package (p2p-train makes your own)")
    choice = choose_artifact(
        bundle,
        target=options.target,
        precision=options.precision,
        size=options.size,
        threads=options.threads,
        device=options.device,
        hold_fps=options.hold_fps,
        say=say,
    )
    _check_artifact(bundle, choice.artifact, say)
    condition = options.condition or bundle.manifest.condition
    if options.edges is not None and condition is not Condition.EDGES:
        raise InvalidInputError(
            f"--edge-thresholds are for the condition edges, and {bundle.title} has {condition.value}: "
            "add --condition edges, or leave them out"
        )
    still = None if options.skip_still is None else Stillness(options.skip_still)
    geometry = Geometry(
        size=choice.artifact.size, fit=options.fit, mirror=options.mirror, rotate=options.rotate, half=options.half
    )
    depth = _choose_depth(options, choice.artifact)
    with ExitStack() as stack:
        opener = stack.enter_context(ThreadPoolExecutor(1))  # a camera takes its time; the engine loads meanwhile
        loading = opener.submit(
            Translator,
            bundle,
            choice,
            geometry=geometry,
            condition=condition,
            edges=options.edges,
            native_size=options.native_size,
            threads=options.threads,
            depth=depth,
        )
        named = options.source or DEMO
        try:
            source = stack.enter_context(_open_source(named, options, bundle, condition, geometry.size))
        except BaseException:
            _close_when_done(loading)
            raise
        translator = stack.enter_context(loading.result())
        sinks = _open_sinks(source, named, options, translator)
        observers = _open_observers(stack, options, source, translator)
        if options.source is None:
            say("no --camera or --source given: taking the built-in demo (or give a video, images, a URL, camera:0, -)")
        say(
            f"{bundle.title}: {choice.artifact.name} ({choice.artifact.target} {choice.artifact.precision}, "
            f"{choice.reason}) on {translator.device}, {geometry.size}, condition {condition.value}, from "
            f"{source.describe()}" + ("; Ctrl-C ends it" if options.frames is None and not source.frame_count else "")
        )
        result = run_pipeline(
            source,
            translator,
            sinks,
            max_frames=options.frames,
            depth=depth,
            still=still,
            observers=observers,
            started_ns=started_ns,
        )
        return result, _facts(options, bundle, choice, translator, source, sinks, result, depth)


def _likely_condition(options: StreamOptions) -> Condition:
    """What a built-in bundle should have been trained with: the demo shows label maps, anything else has edges."""
    if options.condition is not None:
        return options.condition
    return Condition.IDENTITY if options.source in (None, DEMO) else Condition.EDGES


def _check_artifact(bundle: Bundle, artifact: Artifact, say: Callable[[str], None]) -> None:
    if artifact.dynamic and artifact.size not in [known.size for known in bundle.manifest.artifacts]:
        measured = next(known.size for known in bundle.manifest.artifacts if known.name == artifact.name)
        say(f"{artifact.name} was measured at {measured}, not at {artifact.size}")
    if artifact.batch > 1:
        raise InvalidInputError(
            f"{artifact.name} translates {artifact.batch} frames at a time, a stream comes one by one: "
            "export it again without --batch"
        )


def _open_source(named: str, options: StreamOptions, bundle: Bundle, condition: Condition, size: Size) -> VideoSource:
    # A generator whose input is made of photographs is shown some; label maps would tell it nothing.
    photos = condition is not Condition.IDENTITY or bundle.manifest.task is Task.COLORIZE
    return open_source(named, size=size, options=options.source_options, live_demo=options.show, demo_photos=photos)


def _choose_depth(options: StreamOptions, artifact: Artifact) -> int:
    """One frame at a time where somebody watches or a camera goes on; for files, what finishes most frames."""
    if options.depth is not None:
        return options.depth
    named = options.source or DEMO
    path = expanded(named)
    waits = named in (DEMO, STANDARD_INPUT) or is_pattern(named) or (path.exists() and not path.is_char_device())
    several = artifact.target in ("onnx", "openvino") and usable_cores() > 1
    return FILE_DEPTH if waits and several and not options.show and not CAMERA.fullmatch(named) else 1


def _close_when_done(loading: Any) -> None:
    """Close what is being opened in another thread, once it is."""
    loading.add_done_callback(lambda done: None if done.exception() else done.result().close())


def _open_sinks(source: VideoSource, named: str, options: StreamOptions, translator: Translator) -> list[VideoSink]:
    _check_outputs(options, translator.bundle, source)
    sinks: list[VideoSink] = []
    path = expanded(named)
    if options.show:
        from runtime.sinks.window import KEYS, WindowSink

        alone = not options.outputs  # a file is not to be written at the speed of watching
        sinks.append(
            WindowSink(
                fps=source.fps if alone and not source.live else None,
                hold=alone and isinstance(source, ImageSource),
                live=source.live,
                side_by_side=options.side_by_side,
                next_artifact=translator.next_artifact,
                title=f"{translator.bundle.title}: {source.describe()} - {KEYS}",
            )
        )
    known = [count for count in (options.frames, source.frame_count) if count is not None]
    has_sound = not source.live and path.is_file() and not isinstance(source, ImageSource)
    for output in options.outputs:
        sinks.append(
            open_sink(
                output,
                fps=source.fps,
                live=source.live,
                frames=min(known, default=None),
                side_by_side=options.side_by_side,
                audio_from=path if has_sound else None,
            )
        )
    return sinks


def _check_outputs(options: StreamOptions, bundle: Bundle, source: VideoSource) -> None:
    """Refuse to write over what is read, or two things to one place."""
    written = [("--output", output) for output in options.outputs if not output.startswith(VIRTUAL_CAMERA)]
    if options.outputs.count(STANDARD_OUTPUT) > 1:
        raise SinkError("--output - is given twice: frames would come twice")
    written = [(option, output) for option, output in written if output != STANDARD_OUTPUT]
    written += [] if options.csv is None else [("--csv", str(options.csv))]
    places: list[Path] = []
    for option, name in written:
        if "://" in name:
            raise SinkError(
                f"{option} {hide_password(name)} is an address, and files are written here; for a stream, pipe "
                "--output - into ffmpeg -f rawvideo -pix_fmt bgr24 -s 256x256 -i -"
            )
        if not name.strip("."):
            raise SinkError(f"{option} needs the name of a file or folder")
        path = Path(os.path.abspath(expanded(name)))  # noqa: PTH100 - resolve() fails where links lead in a circle
        # A folder is given images whose names may be those of the ones that are read.
        if any(path.exists() and path.samefile(read.parent if path.is_dir() else read) for read in source.files):
            raise SinkError(f"{option} {name} would write over the source: give it another name")
        if path.exists() and bundle.folder.resolve() in (path.resolve(), path.resolve().parent):
            raise SinkError(f"{option} {name} would write into the bundle: give it another place")
        if path in places:
            raise SinkError(f"{name} is given twice to write to: give each a name of its own")
        places.append(path)


def _open_observers(
    stack: ExitStack, options: StreamOptions, source: VideoSource, translator: Translator
) -> list[Observer]:
    from runtime.reporting import FrameLog, MetricsServer

    observers: list[Observer] = []
    if options.csv is not None:
        observers.append(stack.enter_context(FrameLog(expanded(options.csv))))
    if options.metrics is not None:
        observers.append(stack.enter_context(MetricsServer(options.metrics, source=source, translator=translator)))
    return observers


def _notes(source: VideoSource, translator: Translator, sinks: Sequence[VideoSink]) -> list[str]:
    """What a user should know at the end, a line each."""
    own = (source.note, *(sink.note for sink in sinks), translator.engine_note)
    notes = [note for note in (*own, *translator.notes) if note]
    came, geometry = translator.first_frame_size, translator.geometry
    cropped = geometry.half is None and geometry.fit is Fit.CROP and geometry.size.width < 2 * geometry.size.height
    if isinstance(source, ImageSource) and cropped and came is not None and came.width == 2 * came.height:
        notes.append(
            "the images are twice as wide as high, and their middle was used: "
            "if they are side-by-side training pairs, add --half A or B"
        )
    return notes


def _facts(
    options: StreamOptions,
    bundle: Bundle,
    choice: Choice,
    translator: Translator,
    source: VideoSource,
    sinks: Sequence[VideoSink],
    result: PipelineResult,
    depth: int,
) -> dict[str, Any]:
    """What was run on what, for the summary."""
    artifact = translator.artifact
    held = None
    if options.hold_fps is not None:
        held = result.fps is not None and result.fps >= HELD * options.hold_fps
    return {
        "bundle": bundle.title,
        "artifact": artifact.name,
        "target": artifact.target,
        "precision": artifact.precision.value,
        "chosen": choice.reason if artifact is choice.artifact else "changed by key",
        "device": translator.device,
        "threads": translator.threads,
        "depth": depth,
        "height": artifact.height,
        "width": artifact.width,
        "condition": translator.condition.value,
        "source": source.describe(),
        "live": source.live,
        "output": options.outputs[0] if len(options.outputs) == 1 else None,
        "outputs": list(options.outputs),
        "notes": _notes(source, translator, sinks),
        "hold_fps": options.hold_fps,
        "held_fps": held,
        "expected_frames": source.frame_count,
        "reconnections": len(source.outages),
    }
