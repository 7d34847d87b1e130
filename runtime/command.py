"""``p2p-run``: translate a camera, a video, images or the demo live with an exported bundle."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from core.command_line import INTERRUPTED, run_command
from core.errors import InvalidInputError, SinkError

if TYPE_CHECKING:
    from core.conditions import Condition
    from core.encoding import Encoding
    from core.frames import Frame, Size
    from core.manifest import Artifact
    from runtime.bundle import Bundle
    from runtime.pipeline import PipelineResult
    from runtime.sinks import VideoSink
    from runtime.sources import VideoSource

ChoiceT = TypeVar("ChoiceT", bound=StrEnum)


def run(
    bundle: Annotated[Path | None, typer.Argument(help="Bundle of p2p-export. [default: exports/latest]")] = None,
    camera: Annotated[int | None, typer.Option(min=0, help="Number of a camera.")] = None,
    source: Annotated[
        str | None, typer.Option(help="Video, image, folder of images, URL, camera:0 or demo. [default: demo]")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write a video (.mp4, .avi, .mkv, ...), an image, or a folder of images.")
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Stop after this many translated frames.")] = None,
    show: Annotated[bool, typer.Option(help="Show a window; q ends it.")] = True,
    side_by_side: Annotated[bool, typer.Option(help="Put what the generator saw left of what it made.")] = False,
    condition: Annotated[
        str | None, typer.Option(help="What is made of a frame first (identity, edges, ...). [default: the bundle's]")
    ] = None,
    half: Annotated[
        str | None, typer.Option(help="A or B: use only the left or right half of side-by-side training images.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Engine, such as onnx. [default: the fastest faithful]")] = None,
    precision: Annotated[str | None, typer.Option(help="fp32, fp16 or int8. [default: the fastest faithful]")] = None,
    size: Annotated[str | None, typer.Option(help="Of a bundle with several, or dynamic. [default: its first]")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, max=512, help="CPU threads of the engine [default: all]")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, the rest on stderr.")] = False,
) -> int:
    """Translate a camera, a video, images or the built-in demo live with an exported bundle."""
    from runtime.latency import process_start_ns

    started_ns = process_start_ns()
    if source == "":
        raise InvalidInputError("--source is empty: give a video, an image, a folder, a URL, camera:0 or demo")
    if camera is not None and source is not None:
        raise InvalidInputError("--camera and --source exclude each other: give one of them")
    _prepare_opencv()

    from core.conditions import Condition
    from core.frames import parse_size
    from core.precision import Precision
    from runtime.bundle import open_bundle

    opened = open_bundle(bundle)
    wanted = None if size is None else parse_size(size)
    artifact = opened.choose(target=target, precision=_choose(Precision, precision), size=wanted)
    say = partial(print, file=sys.stderr if json else sys.stdout, flush=True)
    if artifact.dynamic and artifact.size not in [known.size for known in opened.manifest.artifacts]:
        measured = next(known.size for known in opened.manifest.artifacts if known.name == artifact.name)
        say(f"{artifact.name} was measured at {measured}, not at {artifact.size}")
    if artifact.batch > 1:
        raise InvalidInputError(
            f"{artifact.name} translates {artifact.batch} frames at a time, a stream comes one by one: "
            "export it again without --batch"
        )
    seen = _choose(Condition, condition) or opened.manifest.condition
    result, facts = _stream(
        opened,
        artifact,
        seen,
        named=f"camera:{camera}" if camera is not None else source,
        output=output,
        frames=frames,
        show=show,
        threads=threads,
        convert=_converter(artifact.size, seen, half),
        compose=_composer(opened.manifest.input_encoding) if side_by_side else None,
        started_ns=started_ns,
        say=say,
    )
    from runtime.summary import print_json, print_summary

    (print_json if json else print_summary)(result, facts)
    return INTERRUPTED if result.interrupted else 0


def _stream(
    bundle: "Bundle",
    artifact: "Artifact",
    condition: "Condition",
    *,
    named: str | None,
    output: Path | None,
    frames: int | None,
    show: bool,
    threads: int | None,
    convert: "Callable[[Frame], Frame]",
    compose: "Callable[[Frame, Frame], Frame] | None",
    started_ns: int,
    say: Callable[[str], None],
) -> "tuple[PipelineResult, dict[str, Any]]":
    """Open source, sinks and engine, run the stream, and close them; what it did, and on what, for the summary."""
    from concurrent.futures import ThreadPoolExecutor

    from core.conditions import Condition
    from core.configuration import Task
    from runtime.pipeline import run_pipeline
    from runtime.sources import DEMO, open_source

    with ExitStack() as stack:
        opener = stack.enter_context(ThreadPoolExecutor(1))  # a camera takes its time; the engine loads meanwhile
        loading = opener.submit(bundle.open, artifact, threads=threads)
        # A generator whose input is made of photographs is shown some; label maps would tell it nothing.
        photos = condition is not Condition.IDENTITY or bundle.manifest.task is Task.COLORIZE
        source = stack.enter_context(open_source(named or DEMO, size=artifact.size, live_demo=show, demo_photos=photos))
        sinks = _open_sinks(source, named or DEMO, output, frames, show=show)
        engine = stack.enter_context(loading.result())
        if named is None:
            say("no --camera or --source given: taking the built-in demo")
        say(
            f"{bundle.folder}: {artifact.name} ({artifact.target} {artifact.precision}) on {engine.device}, "
            f"{engine.size}, condition {condition.value}, from {source.describe()}"
            + ("; Ctrl-C ends it" if frames is None and source.frame_count is None else "")
        )
        result = run_pipeline(
            source,
            engine.translate,
            sinks,
            convert=convert,
            compose=compose,
            max_frames=frames,
            started_ns=started_ns,
        )
        return result, _facts(bundle, artifact, engine.device, engine.threads, condition, source, output)


def _prepare_opencv() -> None:
    from core.opencv import quiet_opencv, require_opencv

    require_opencv()
    # The engine's threads and the stages' own keep the cores busy; OpenCV's pool would only compete with them.
    quiet_opencv(threads=1)


def _choose(kind: "type[ChoiceT]", text: str | None) -> "ChoiceT | None":
    """The member of ``kind`` that ``text`` names; None for None."""
    if text is None:
        return None
    if text.lower() not in list(kind):
        raise InvalidInputError(f"unknown {kind.__name__.lower()} {text!r}: choose from {', '.join(kind)}")
    return kind(text.lower())


def _open_sinks(
    source: "VideoSource", named: str, output: Path | None, frames: int | None, *, show: bool
) -> "list[VideoSink]":
    from runtime.sinks import open_sink

    sinks: list[VideoSink] = []
    if show:
        from runtime.sources import ImageSource
        from runtime.window import WindowSink

        alone = output is None  # a file is not to be written at the speed of watching
        paced = source.fps if alone and not source.live else None
        sinks.append(WindowSink(fps=paced, hold=alone and isinstance(source, ImageSource)))
    if output is not None:
        _check_apart(output, Path(named).expanduser())
        known = [count for count in (frames, source.frame_count) if count is not None]
        sinks.append(open_sink(output, fps=source.fps, live=source.live, frames=min(known, default=None)))
    return sinks


def _check_apart(output: Path, source: Path) -> None:
    """Refuse to write over what is read."""
    if not str(output).strip("."):
        raise SinkError("--output needs the name of a file or folder")
    inside = source if source.is_dir() else source.parent
    same_file = output.exists() and source.exists() and output.samefile(source)
    if same_file or (source.exists() and output.is_dir() and output.samefile(inside)):
        raise SinkError(f"--output {output} would write over the source: give it another name")


def _converter(size: "Size", condition: "Condition", half: str | None) -> "Callable[[Frame], Frame]":
    """From a captured frame to the image that the generator sees."""
    from core.frames import fit

    if half is not None and half.upper() not in ("A", "B"):
        raise InvalidInputError(f"--half {half} is not understood: A is the left half, B the right one")
    side = half.upper() if half else None

    def convert(frame: "Frame") -> "Frame":
        if side is not None:
            middle = frame.shape[1] // 2
            if middle == 0:
                raise InvalidInputError("a frame one pixel wide has no halves: leave out --half")
            frame = frame[:, :middle] if side == "A" else frame[:, -middle:]
        return condition.apply(fit(frame, size))

    return convert


def _composer(encoding: "Encoding") -> "Callable[[Frame, Frame], Frame]":
    """Puts what a generator of this input sees of a frame left of what it makes of it."""
    from core.frames import as_seen, side_by_side

    return lambda frame, made: side_by_side(as_seen(frame, encoding), made)


def _facts(
    bundle: "Bundle",
    artifact: "Artifact",
    device: str,
    threads: int,
    condition: "Condition",
    source: "VideoSource",
    output: Path | None,
) -> dict[str, Any]:
    """What was run on what, for the summary."""
    return {
        "bundle": str(bundle.folder),
        "artifact": artifact.name,
        "target": artifact.target,
        "precision": artifact.precision.value,
        "device": device,
        "threads": threads,
        "height": artifact.height,
        "width": artifact.width,
        "condition": condition.value,
        "source": source.describe(),
        "live": source.live,
        "output": None if output is None else str(output),
        "expected_frames": source.frame_count,
        "reconnections": getattr(source, "reconnections", 0),
    }


def main() -> None:
    """Entry point of ``p2p-run``."""
    run_command(run, name="p2p-run")


if __name__ == "__main__":
    main()
