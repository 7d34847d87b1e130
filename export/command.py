"""``p2p-export``: a trained run to a bundle of measured artifacts."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.command_line import run_command

if TYPE_CHECKING:
    from export.exporter import ExportRequest


def export(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN|FILE]", help="A run folder or checkpoint; default: runs/latest.")
    ] = None,
    fp16: Annotated[bool, typer.Option("--fp16", help="Make FP16 artifacts as well as FP32.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Make INT8 artifacts as well as FP32.")] = False,
    all_precisions: Annotated[bool, typer.Option("--all", help="Make FP32, FP16 and INT8 artifacts.")] = False,
    target: Annotated[
        str | None, typer.Option(help="Only these, e.g. onnx,openvino,tensorrt; default: all that can be made here.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The bundle's folder; default: exports/<name of the run>.")] = None,
    size: Annotated[str | None, typer.Option(help="256 or 384x640 (height x width); default: as trained.")] = None,
    data: Annotated[Path | None, typer.Option(help="Where the run's data lies now, if it was moved.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> int:
    """Export a trained generator to every target this machine can make, compare each with PyTorch, and time it.

    Exit code 1 if an artifact missed its fidelity gate (the bundle is written all the same, and says so).
    """
    from core.atomic import check_link
    from core.formats import parse_targets
    from core.frames import parse_size
    from core.precision import Precision
    from export.plan import check_replaceable, find_checkpoint, plan_artifacts
    from export.requirements import require_export_libraries
    from runtime.bundle import EXPORTS

    checkpoint = find_checkpoint(run)
    check_link(EXPORTS / "latest")
    if out is not None:
        check_replaceable(out)
    wanted = {Precision.FP32: True, Precision.FP16: fp16 or all_precisions, Precision.INT8: int8 or all_precisions}
    precisions = [precision for precision, chosen in wanted.items() if chosen]
    parsed_size = parse_size(size) if size is not None else None
    require_export_libraries()
    planned, left_out = plan_artifacts(parse_targets(target), precisions, named=target is not None)
    from export.exporter import ExportRequest

    request = ExportRequest(
        checkpoint=checkpoint,
        planned=planned,
        left_out=left_out,
        named=target is not None,
        out=out,
        size=parsed_size,
        data=data,
    )
    return _export_and_report(request, as_json=json_output)


def _export_and_report(request: "ExportRequest", *, as_json: bool) -> int:
    """Make the bundle, show what came out, and return the exit code."""
    from rich.console import Console

    from export.exporter import count_steps, export_bundle
    from export.progress import named_steps
    from export.tables import artifact_row, artifact_table, notes

    begin = time.perf_counter()
    console = Console(stderr=as_json, markup=False, highlight=False)
    with named_steps(console, count_steps(request)) as say:
        result = export_bundle(request, say=say)
    if as_json:
        reasons = [{"target": row.target.name, "reason": row.reason} for row in result.left_out]
        answer = {"bundle": str(result.folder), **result.manifest.model_dump(mode="json"), "left_out": reasons}
        print(json.dumps(answer, indent=2))
    rows = [artifact_row(artifact, result.manifest) for artifact in result.manifest.artifacts]
    console.print(
        artifact_table(rows, title=f"{result.folder}: compared with PyTorch, timed on {result.manifest.machine}")
    )
    for note in notes(rows, result.left_out):
        console.print(f"  {note}", soft_wrap=True)
    console.print(
        f"{result.folder} made in {time.perf_counter() - begin:.0f} s; fastest faithful: "
        f"{result.manifest.recommended or 'none'}",
        soft_wrap=True,
    )
    console.print("next: p2p-run --camera 0, or p2p-run --source demo, or p2p-bench")
    return 1 if result.failed else 0


def main() -> None:
    """Entry point."""
    run_command(export, name="p2p-export")


if __name__ == "__main__":
    main()
