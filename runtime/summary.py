"""What a stream did, as a table for people and as JSON for scripts."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from core.machine import usable_cores
from runtime.latency import LatencySummary
from runtime.result import PipelineResult

END_TO_END = "end to end"


def as_record(result: PipelineResult, facts: Mapping[str, Any]) -> dict[str, Any]:
    """``facts`` and ``result`` as plain values: latencies in ms, durations in s, and null for what is not known."""
    return {
        **facts,
        "frames": result.frames,
        "captured": result.captured,
        "dropped": result.dropped,
        "seconds": result.seconds,
        "fps": result.fps,
        "first_frame_seconds": result.first_frame_seconds,
        "interrupted": result.interrupted,
        "reused": result.reused,
        "outages": [outage.seconds for outage in result.outages],
        "cpu_cores": result.cpu_cores,
        "cpu_share": None if result.cpu_cores is None else result.cpu_cores / usable_cores(),
        "peak_memory_mib": None if result.peak_memory_bytes is None else result.peak_memory_bytes / 2**20,
        "latency_ms": {name: asdict(summary) for name, summary in _rows(result, "end_to_end").items()},
    }


def print_json(result: PipelineResult, facts: Mapping[str, Any]) -> None:
    """One JSON object on stdout."""
    print(json.dumps(as_record(result, facts)))


def print_summary(result: PipelineResult, facts: Mapping[str, Any], *, to_stderr: bool = False) -> None:
    """A table of the latencies, and a line on frames, rate and losses, on stdout or stderr."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Latency in ms", title_justify="left")
    table.add_column("stage")
    for heading in ("p50", "p90", "p99", "max", "frames"):
        table.add_column(heading, justify="right")
    for name, summary in _rows(result, END_TO_END).items():
        figures = (summary.p50, summary.p90, summary.p99, summary.max)
        table.add_row(name, *("" if value is None else f"{value:.2f}" for value in figures), str(summary.count))
    console = Console(markup=False, highlight=False, stderr=to_stderr)
    if result.frames:
        console.print(table)
    console.print(_frames_line(result), soft_wrap=True)
    for note in _notes(result, facts):
        console.print(note, soft_wrap=True)


def _rows(result: PipelineResult, last: str) -> dict[str, LatencySummary]:
    return {**result.stages, last: result.end_to_end}


def _frames_line(result: PipelineResult) -> str:
    parts = [f"{result.frames} frame{'s' if result.frames != 1 else ''} in {result.seconds:.2f} s"]
    if result.fps is not None:
        parts.append(f"{result.fps:.1f} fps")
    if result.first_frame_seconds is not None:
        parts.append(f"first after {result.first_frame_seconds:.2f} s")
    lost = [f"{count} waiting for {cause}" for cause, count in result.dropped.items() if count]
    parts.append("dropped: " + (", ".join(lost) or "none"))
    if result.reused:
        parts.append(f"{result.reused} still")
    return "; ".join(parts)


def _machine_line(result: PipelineResult) -> str | None:
    parts = []
    if result.cpu_cores is not None:
        parts.append(f"{result.cpu_cores:.1f} of {usable_cores()} cores busy")
    if result.peak_memory_bytes is not None:
        parts.append(f"at most {result.peak_memory_bytes / 2**20:.0f} MiB of memory")
    return "; ".join(parts) or None


def _notes(result: PipelineResult, facts: Mapping[str, Any]) -> list[str]:
    notes = []
    if result.frames and (line := _machine_line(result)):
        notes.append(line)
    written = [output for output in facts["outputs"] if output != "-"]
    if written and result.frames:
        notes.append(f"written to {', '.join(written)}")
    announced = facts["expected_frames"]
    if result.source_ended and announced and result.captured < announced:
        notes.append(f"note: the source announces {announced} frames, {result.captured} could be read")
    if result.outages:
        times, seconds = len(result.outages), sum(outage.seconds for outage in result.outages)
        notes.append(f"the source was lost and came back {times} time{'s' * (times > 1)}, {seconds:.1f} s in all")
    if facts["held_fps"] is not None:
        notes.append(f"{facts['hold_fps']:g} fps {'held' if facts['held_fps'] else 'not held'}")
    return [*notes, *(f"note: {note}" for note in facts["notes"])]
