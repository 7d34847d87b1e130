"""``p2p-bench``: every artifact of a bundle, timed on this machine in one run.

It lives here and not in ``runtime`` because of its baselines, which need PyTorch; without PyTorch their rows say so.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from core.command_line import run_command

if TYPE_CHECKING:
    from export.benchmark_comparison import EarlierReport
    from export.bundle_benchmark import BenchmarkSettings

THROUGHPUT_DEPTH: Final = 3
"""Calls under way with ``--throughput`` unless asked otherwise: as the stream has for files."""


def bench(
    folder: Annotated[
        str | None,
        typer.Argument(
            metavar="[BUNDLE]",
            help="A bundle's folder, or builtin:labels, builtin:edges; default: exports/latest, else builtin:labels.",
            show_default=False,
        ),
    ] = None,
    runs: Annotated[int, typer.Option(min=2, max=100_000, help="Timed calls per artifact.")] = 102,
    threads: Annotated[int | None, typer.Option(min=1, max=512, help="CPU threads per engine; default: all.")] = None,
    throughput: Annotated[
        bool, typer.Option("--throughput", help="Keep several calls under way: frames a second instead of latency.")
    ] = False,
    depth: Annotated[
        int | None, typer.Option(min=2, max=64, help="Calls under way with --throughput; default: 3.")
    ] = None,
    baselines: Annotated[
        bool, typer.Option(help="Time eager PyTorch and the bare generator as ONNX beside the artifacts.")
    ] = True,
    compare: Annotated[
        Path | None,
        typer.Option(help="Say what changed, beyond noise, since a run whose --json output is in this file."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the latencies into this .png, .svg or .pdf.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table into this .md.")] = None,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON, raw figures included.")
    ] = False,
) -> None:
    """Time every artifact of a bundle on this machine, beside the ways that people come from."""
    from rich.console import Console

    from core.conditions import Condition
    from core.machine import this_machine
    from runtime.bundle import open_bundle

    settings = _settings(runs, threads, depth, throughput=throughput, baselines=baselines)
    earlier = _check_places(compare, plot, markdown)
    bundle = open_bundle(folder, condition=Condition.IDENTITY)
    if folder is None and bundle.built_in:
        print(f"no bundle in exports/: timing {bundle.title}, which ships with this package", file=sys.stderr)

    from export.benchmark_comparison import Comparison
    from export.benchmark_report import lines, markdown_page, report
    from export.bundle_benchmark import count_steps, time_bundle
    from export.progress import named_steps
    from export.tables import artifact_table

    console = Console(stderr=json_output, markup=False, highlight=False)
    with named_steps(console, count_steps(bundle, settings)) as say:
        result = time_bundle(bundle, settings, say=say)
    title = f"{bundle.title} on {this_machine()}"
    record = report(bundle, result)
    comparison = None
    if compare is not None and earlier is not None:
        comparison = Comparison.of(compare, earlier, record)
        record["changes"] = comparison.as_json()
    if json_output:
        print(json.dumps(record, indent=2))
    console.print(artifact_table(list(result.rows.values()), title=title))
    for line in (*lines(result), *(comparison.lines() if comparison else ())):
        console.print(f"  {line}", soft_wrap=True)
    if markdown is not None:
        from core.atomic import write_text

        write_text(markdown, markdown_page(title, result, comparison))
        console.print(f"table: {markdown}")
    if plot is not None:
        from export.plot import latency_figure, save_figure

        save_figure(latency_figure(list(result.rows.values()), title=title), plot)
        console.print(f"plot: {plot}")


def _settings(
    runs: int, threads: int | None, depth: int | None, *, throughput: bool, baselines: bool
) -> "BenchmarkSettings":
    """The options that say how to measure, checked."""
    from core.errors import InvalidInputError
    from core.machine import usable_cores
    from export.bundle_benchmark import BenchmarkSettings

    if depth is not None and not throughput:
        raise InvalidInputError("--depth is how many calls --throughput keeps under way: give both")
    return BenchmarkSettings(
        runs=runs,
        threads=threads or usable_cores(),
        depth=(depth or THROUGHPUT_DEPTH) if throughput else 1,
        baselines=baselines,
    )


def _check_places(compare: Path | None, plot: Path | None, markdown: Path | None) -> "EarlierReport | None":
    """Refuse what could not be read or written, before the work; what is to be compared with is read."""
    if plot is not None:
        from export.plot import check_plot

        check_plot(plot)
    if markdown is not None:
        from export.benchmark_report import check_markdown

        check_markdown(markdown)
    if compare is None:
        return None
    from export.benchmark_comparison import read_report

    return read_report(compare)


def main() -> None:
    """Entry point."""
    run_command(bench, name="p2p-bench")


if __name__ == "__main__":
    main()
