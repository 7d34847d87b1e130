"""``p2p-bench``: every artifact of a bundle, timed on this machine in one run.

It lives here and not in ``runtime`` because of its baseline, which needs PyTorch; without PyTorch that row says so.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from core.command_line import run_command


def bench(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[BUNDLE]", help="A bundle's folder; default: exports/latest.")
    ] = None,
    runs: Annotated[int, typer.Option(min=2, max=100_000, help="Timed translations per artifact.")] = 102,
    threads: Annotated[int | None, typer.Option(min=1, max=512, help="CPU threads per engine; default: all.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the latencies into this .png, .svg or .pdf.")] = None,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON, raw figures included.")
    ] = False,
) -> None:
    """Time every artifact of a bundle on this machine, beside the PyTorch generator that people come from."""
    from core.machine import this_machine
    from runtime.bundle import open_bundle

    bundle = open_bundle(folder)
    if plot is not None:
        from export.plot import check_plot

        check_plot(plot)
    from rich.console import Console

    from export.bundle_benchmark import count_steps, report, time_bundle
    from export.progress import named_steps
    from export.tables import artifact_table, notes

    console = Console(stderr=json_output, markup=False, highlight=False)
    with named_steps(console, count_steps(bundle)) as say:
        result = time_bundle(bundle, runs=runs, threads=threads, say=say)
    if json_output:
        print(json.dumps(report(bundle, result), indent=2))
    title = f"{bundle.folder} on {this_machine()}"
    console.print(artifact_table(result.rows, title=title))
    for line in (*notes(result.rows), result.ceiling):
        console.print(f"  {line}", soft_wrap=True)
    if plot is not None:
        from export.plot import latency_figure, save_figure

        save_figure(latency_figure(result.rows, title=title), plot)
        console.print(f"plot: {plot}")


def main() -> None:
    """Entry point."""
    run_command(bench, name="p2p-bench")


if __name__ == "__main__":
    main()
