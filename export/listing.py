"""Tables that people read: what can be made here, and what a bundle holds."""

import json
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from core.errors import MissingDependencyError, UnavailableError
from core.formats import TARGETS, Target
from core.machine import this_machine
from core.manifest import REPORT_NAME, Manifest, read_manifest
from export.plan import check_buildable
from export.tables import artifact_row, artifact_table, normalization_table, notes, quantization_notes

YES = "yes"


def print_targets(*, as_json: bool) -> int:
    """Print the table of targets; the exit code."""
    rows = [_describe(target) for target in TARGETS.values()]
    if as_json:
        print(json.dumps({"machine": this_machine().model_dump(mode="json"), "targets": rows}, indent=2))
        return 0
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column in ("target", "precisions", "made here", "run here", "extra"):
        table.add_column(column, no_wrap=True)
    for row in rows:
        possible = [row[key] if row[key] == YES else "no" for key in ("made_here", "run_here")]
        table.add_row(row["target"], ", ".join(row["precisions"]), *possible, row["extra"])
    console = Console(markup=False, highlight=False)
    console.print(table)
    for row in rows:
        console.print(f"  {row['target']}: runs on {row['runs_on']}", soft_wrap=True)
        for what, key in (("made", "made_here"), ("run", "run_here")):
            if row[key] != YES:
                console.print(f"    not {what} here: {row[key].removeprefix('no: ')}", soft_wrap=True)
    console.print(f"on {this_machine()}", soft_wrap=True)
    return 0


def _describe(target: Target) -> dict[str, Any]:
    return {
        "target": target.name,
        "title": target.title,
        "precisions": list(target.precisions),
        "files": [target.file_name(precision) for precision in target.precisions],
        "runs_on": target.runs_on,
        "extra": target.extra,
        "made_here": _why_not(target, build=True) or YES,
        "run_here": _why_not(target, build=False) or YES,
    }


def _why_not(target: Target, *, build: bool) -> str | None:
    """Why ``target`` cannot be made (or run) here; None if it can."""
    try:
        if build:
            check_buildable(target)
        else:
            target.require()
    except (MissingDependencyError, UnavailableError) as error:
        return f"no: {error}"
    if build:
        return None
    if target.run_elsewhere:
        return f"no: {target.run_elsewhere}"
    if target.needs_gpu_to_run and this_machine().gpu is None:
        return "no: there is no NVIDIA GPU"
    return None


def print_bundle(folder: Path, *, as_json: bool) -> int:
    """Print what the bundle in ``folder`` holds; the exit code.

    Raises:
        BundleError: if it is none, or its manifest is damaged.
    """
    manifest = read_manifest(folder)
    if as_json:
        print(json.dumps({"bundle": str(folder), **manifest.model_dump(mode="json")}, indent=2))
        return 0
    console = Console(markup=False, highlight=False)
    print_manifest(console, folder, manifest)
    console.print(f"fastest faithful: {manifest.recommended or 'none'}", soft_wrap=True)
    if (folder / REPORT_NAME).is_file():
        console.print(f"report: {folder / REPORT_NAME}", soft_wrap=True)
    return 0


def print_manifest(console: Console, folder: Path, manifest: Manifest) -> None:
    """Print the tables of ``manifest``: normalizations, where there was a choice, and artifacts, with the reasons."""
    if manifest.normalizations:
        console.print(normalization_table(manifest))
    rows = [artifact_row(artifact, manifest) for artifact in manifest.artifacts]
    console.print(artifact_table(rows, title=f"{folder}: compared with the original, timed on {manifest.machine}"))
    for note in (*quantization_notes(manifest.artifacts), *notes(rows, manifest.left_out)):
        console.print(f"  {note}", soft_wrap=True)
    for note in manifest.notes:
        console.print(f"  note: {note}", soft_wrap=True)
