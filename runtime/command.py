"""``p2p-run``: translate a camera, a video, images or the demo live with an exported bundle."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from core.command_line import INTERRUPTED, run_command, unread_is_fine
from core.errors import InvalidInputError
from core.places import check_text


def run(
    bundle: Annotated[
        str | None,
        typer.Argument(help="Bundle of p2p-export, or builtin:labels, builtin:edges. [default: exports/latest]"),
    ] = None,
    camera: Annotated[int | None, typer.Option(min=0, max=9999, help="Number of a camera.")] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="Video, image, folder or 'pattern*.jpg' of images, URL, camera:0, demo, or - for raw frames on "
            "standard input. [default: demo]"
        ),
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option(
            help="Write a video (.mp4, .avi, .mkv, ...), an image, a folder of images, - for raw frames on standard "
            "output, or camera: for a virtual camera. May be given several times."
        ),
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Stop after this many translated frames.")] = None,
    show: Annotated[bool, typer.Option(help="Show a window; q ends it, h lists its keys.")] = True,
    side_by_side: Annotated[bool, typer.Option(help="Put what the generator saw left of what it made.")] = False,
    native_size: Annotated[bool, typer.Option(help="Put out pictures of the source's size and shape.")] = False,
    fit: Annotated[
        str, typer.Option(help="Other proportions than the generator's: crop, letterbox, stretch.")
    ] = "crop",
    mirror: Annotated[bool, typer.Option(help="Exchange left and right, as in a mirror.")] = False,
    rotate: Annotated[int, typer.Option(help="Turn frames clockwise by 90, 180 or 270 degrees.")] = 0,
    half: Annotated[
        str | None, typer.Option(help="A or B: use only the left or right half of side-by-side training images.")
    ] = None,
    condition: Annotated[
        str | None, typer.Option(help="What is made of a frame first (identity, edges, ...). [default: the bundle's]")
    ] = None,
    edge_thresholds: Annotated[
        str | None, typer.Option(help="LOW,HIGH of --condition edges: what is an edge. [default: as in training]")
    ] = None,
    input_size: Annotated[
        str | None, typer.Option(help="WIDTHxHEIGHT of raw frames, or what a camera is asked for.")
    ] = None,
    input_fps: Annotated[
        float | None, typer.Option(min=0.1, max=1000, help="Frames a second of raw frames, or asked of a camera.")
    ] = None,
    pixel_format: Annotated[str, typer.Option(help="Of raw frames: bgr24, rgb24, gray or yuv420p.")] = "bgr24",
    fourcc: Annotated[str | None, typer.Option(help="Pixel format asked of a camera: MJPG, YUYV, ...")] = None,
    backend: Annotated[str | None, typer.Option(help="What opens the camera: v4l2, gstreamer, ...")] = None,
    retry: Annotated[
        str, typer.Option(help="Seconds to try a camera or stream again that was lost; or forever.")
    ] = "300",
    timeout: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds to wait for a network stream.")] = 5.0,
    target: Annotated[str | None, typer.Option(help="Engine, such as onnx. [default: the fastest faithful]")] = None,
    precision: Annotated[str | None, typer.Option(help="fp32, fp16 or int8. [default: the fastest faithful]")] = None,
    size: Annotated[str | None, typer.Option(help="Of a bundle with several, or dynamic. [default: its first]")] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="Where it runs: cpu, cuda, cuda:1, or what OpenVINO calls a device (GPU, NPU, AUTO). "
            "[default: the engine's own]"
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, max=512, help="CPU threads of the engine. [default: all]")
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=64,
            help="Frames that the engine is given at a time: more of them a second, each of them later. [default: 1; "
            "for files without a window 3, where there are two cores]",
        ),
    ] = None,
    hold_fps: Annotated[
        float | None,
        typer.Option(min=0.1, max=10_000, help="Measure first, and take the most faithful artifact that holds this."),
    ] = None,
    skip_still: Annotated[
        float | None,
        typer.Option(help="Do not translate a frame again in which nothing moved by more 8-bit steps than this."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the times of every frame into this file.")] = None,
    metrics: Annotated[
        str | None, typer.Option(help="Serve figures for Prometheus on this port (of loopback), or ADDRESS:PORT.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, the rest on stderr.")] = False,
) -> int:
    """Translate a camera, a video, images or the built-in demo live with an exported bundle.

    Exit codes: 0 done, 1 --hold-fps was not held, 2 bad input, 130 interrupted.
    """
    from runtime.latency import process_start_ns

    started_ns = process_start_ns()
    if source == "":
        raise InvalidInputError("--source is empty: give a video, an image, a folder, a URL, camera:0 or demo")
    if camera is not None and source is not None:
        raise InvalidInputError("--camera and --source exclude each other: give one of them")
    outputs = tuple(output or ())
    for option, text in (("BUNDLE", bundle), ("--source", source), *(("--output", one) for one in outputs)):
        check_text(option, text)
    if json and "-" in outputs:
        raise InvalidInputError("--json and --output - both write to standard output: give one of them")
    _prepare_opencv()

    from core.conditions import Condition, parse_thresholds
    from core.frames import parse_size
    from core.geometry import Fit
    from core.precision import Precision
    from runtime.options import StreamOptions, choose, parse_retry, parse_width_height
    from runtime.sources import PixelFormat, SourceOptions
    from runtime.stream import run_stream
    from runtime.summary import print_json, print_summary

    quiet_stdout = json or "-" in outputs

    def say(line: str) -> None:
        with unread_is_fine():
            print(line, file=sys.stderr if quiet_stdout else sys.stdout, flush=True)

    options = StreamOptions(
        bundle=bundle,
        source=f"camera:{camera}" if camera is not None else source,
        source_options=SourceOptions(
            input_size=parse_width_height(input_size),
            input_fps=input_fps,
            pixel_format=choose(PixelFormat, pixel_format) or PixelFormat.BGR24,
            fourcc=fourcc,
            backend=backend,
            retry_seconds=parse_retry(retry),
            timeout_seconds=timeout,
        ),
        outputs=outputs,
        frames=frames,
        show=show,
        side_by_side=side_by_side,
        native_size=native_size,
        condition=choose(Condition, condition),
        edges=None if edge_thresholds is None else parse_thresholds(edge_thresholds),
        fit=choose(Fit, fit) or Fit.CROP,
        mirror=mirror,
        rotate=rotate,
        half=None if half is None else half.upper(),
        target=target,
        precision=choose(Precision, precision),
        size=None if size is None else parse_size(size),
        device=device,
        threads=threads,
        depth=depth,
        hold_fps=hold_fps,
        skip_still=skip_still,
        csv=csv,
        metrics=metrics,
    )
    result, facts = run_stream(options, say=say, started_ns=started_ns)
    with unread_is_fine():
        if json:
            print_json(result, facts)
        else:
            print_summary(result, facts, to_stderr=quiet_stdout)
    if result.interrupted:
        return INTERRUPTED
    return 1 if facts["held_fps"] is False else 0


def _prepare_opencv() -> None:
    from core.opencv import quiet_opencv, require_opencv

    require_opencv()
    # The engine's threads and the stages' own keep the cores busy; OpenCV's pool would only compete with them.
    quiet_opencv(threads=1)


def main() -> None:
    """Entry point of ``p2p-run``."""
    run_command(run, name="p2p-run")


if __name__ == "__main__":
    main()
