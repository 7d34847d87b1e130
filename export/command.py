"""``p2p-export``: a trained run to a bundle of measured artifacts."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.command_line import run_command

if TYPE_CHECKING:
    from export.exporter import ExportRequest, ExportResult


def export(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN|FILE]", help="A run folder, a checkpoint or an ONNX file; default: runs/latest."),
    ] = None,
    fp16: Annotated[bool, typer.Option("--fp16", help="Make FP16 artifacts as well as FP32.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Make INT8 artifacts as well as FP32.")] = False,
    all_precisions: Annotated[bool, typer.Option("--all", help="Make FP32, FP16 and INT8 artifacts.")] = False,
    target: Annotated[
        str | None, typer.Option(help="Only these, e.g. onnx,openvino,tensorrt; default: all that can be made here.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The bundle's folder; default: exports/<name of the run>.")] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(help="256 or 384x640 (height x width); several: 256,512. Default: as trained."),
    ] = None,
    batch: Annotated[
        int,
        typer.Option(
            min=1, max=1024, help="Frames at a time, for programs of your own: p2p-run translates one by one."
        ),
    ] = 1,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Artifacts that take any batch and size.")] = False,
    normalization: Annotated[
        str, typer.Option(help="running, recalibrated, instance, or auto: the fastest that is faithful.")
    ] = "auto",
    data: Annotated[
        Path | None, typer.Option(help="The data: of a run that was moved, or of a foreign network.")
    ] = None,
    direction: Annotated[
        str | None, typer.Option(help="AtoB or BtoA: which half of --data a foreign network takes.")
    ] = None,
    condition: Annotated[
        str | None, typer.Option(help="What live frames are made into for a foreign network: identity, edges, ...")
    ] = None,
    value_range: Annotated[
        str | None,
        typer.Option("--range", help="Of a foreign ONNX file's pictures: -1..1 or 0..1. [default: found out]"),
    ] = None,
    calibrate: Annotated[
        str | None,
        typer.Option(
            help="Frames for INT8: a folder, a video, a URL or camera:0. A foreign network is compared on some of them."
        ),
    ] = None,
    frames: Annotated[int, typer.Option(min=8, max=10_000, help="How many frames to calibrate on.")] = 48,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of these frames.")] = 0,
    method: Annotated[
        str | None,
        typer.Option(help="Of INT8 ranges: minmax, percentile, mse, entropy, or auto: the best of these."),
    ] = None,
    sensitivity: Annotated[
        bool | None,
        typer.Option(help="Measure what each layer loses in INT8 even where the gate is passed. [default: measure]"),
    ] = None,
    accuracy_control: Annotated[
        bool, typer.Option("--accuracy-control", help="Let NNCF choose the layers that OpenVINO keeps in float.")
    ] = False,
    cpu_has_vnni: Annotated[
        bool | None,
        typer.Option("--cpu-has-vnni/--no-cpu-has-vnni", help="Of the CPU that INT8 is for. [default: this one]"),
    ] = None,
    compute_capability: Annotated[
        str | None, typer.Option(help="GPUs that TensorRT-RTX engines are for, e.g. 8.6,8.9. [default: all it knows]")
    ] = None,
    gate: Annotated[
        list[str] | None, typer.Option(help="Change what is asked, e.g. int8:psnr=30,ssim=off or fp32:steps=2.")
    ] = None,
    runs: Annotated[int, typer.Option(min=2, max=100_000, help="Timed translations per artifact.")] = 102,
    list_targets: Annotated[bool, typer.Option("--list", help="Show what can be made and run here, and end.")] = False,
    show: Annotated[Path | None, typer.Option(metavar="DIR", help="Show the bundle in DIR, and end.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> int:
    """Export a trained generator to every target this machine can make, compare each with PyTorch, and time it.

    Exit code 1 if an artifact missed its fidelity gate (the bundle is written all the same, and says so).
    """
    if list_targets:
        from export.listing import print_targets

        return print_targets(as_json=json_output)
    if show is not None:
        from export.listing import print_bundle

        return print_bundle(show, as_json=json_output)
    from export.request import Asked, build_request

    asked = Asked(
        run=run,
        fp16=fp16 or all_precisions,
        int8=int8 or all_precisions,
        target=target,
        out=out,
        size=size or (),
        batch=batch,
        dynamic=dynamic,
        normalization=normalization,
        data=data,
        direction=direction,
        condition=condition,
        value_range=value_range,
        calibrate=calibrate,
        frames=frames,
        seed=seed,
        method=method,
        sensitivity=sensitivity,
        accuracy_control=accuracy_control,
        cpu_has_vnni=cpu_has_vnni,
        compute_capability=compute_capability,
        gate=gate or (),
        runs=runs,
    )
    return _export_and_report(build_request(asked), as_json=json_output)


def _export_and_report(request: "ExportRequest", *, as_json: bool) -> int:
    """Make the bundle, show what came out, and return the exit code."""
    from rich.console import Console

    from core.manifest import REPORT_NAME
    from export.exporter import count_steps, export_bundle
    from export.listing import print_manifest
    from export.progress import named_steps

    begin = time.perf_counter()
    console = Console(stderr=as_json, markup=False, highlight=False)
    with named_steps(console, count_steps(request)) as say:
        result = export_bundle(request, say=say)
    if as_json:
        print(json.dumps({"bundle": str(result.folder), **result.manifest.model_dump(mode="json")}, indent=2))
    print_manifest(console, result.folder, result.manifest)
    console.print(
        f"{result.folder} made in {time.perf_counter() - begin:.0f} s; fastest faithful: "
        f"{result.manifest.recommended or 'none'}; report: {result.folder / REPORT_NAME}",
        soft_wrap=True,
    )
    console.print(_advice(request, result), soft_wrap=True)
    return 1 if result.failed else 0


def _advice(request: "ExportRequest", result: "ExportResult") -> str:
    """What to do next."""
    bundle = f" {result.folder}" if request.out else ""
    if result.manifest.recommended is None and result.failed:
        return "next: the reasons above say what each artifact lacks; --gate changes what is asked"
    if request.batch > 1:
        return f"next: p2p-bench{bundle} (p2p-run translates one frame at a time)"
    return f"next: p2p-run{bundle} --camera 0, or p2p-run{bundle} --source demo, or p2p-bench{bundle}"


def main() -> None:
    """Entry point."""
    run_command(export, name="p2p-export")


if __name__ == "__main__":
    main()
