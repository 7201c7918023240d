"""`python -m rehearsal.bench`, while a rehearsal's stack is up: measures payments on it, on loopback only."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from contract import OutputsError, read_outputs
from payments.clock import SYSTEM
from rehearsal.aws.clients import EmulatorClients
from rehearsal.bench import Measurement
from rehearsal.bench.api import CLIENTS, counts, throughput
from rehearsal.bench.function import cold_start, own_cpu
from rehearsal.errors import RehearsalError
from rehearsal.workload.region import RegionClient

PASSED, FAILED, NO_STACK = 0, 1, 2


def measure(outputs: Mapping[str, Any], endpoint: str) -> Iterator[Measurement]:
    """All figures. Raises RehearsalError, OSError and SubprocessError."""
    region = RegionClient.of("primary", outputs, EmulatorClients(endpoint, CLIENTS))
    yield from cold_start()
    yield from own_cpu()
    yield from counts(region, outputs, endpoint)
    yield from throughput(region)  # the last, because its payments would slow the others down


def show(figures: Sequence[Measurement]) -> Table:
    """The figures for people."""
    table = Table("", "measured", "floor", "of", "at most", title="Payments on the emulator; no figure is AWS's")
    for figure in figures:
        floor = "" if figure.floor is None else f"{figure.floor:.3g}"
        table.add_row(figure.name, f"{figure.value:.3g} {figure.unit}", floor, figure.of,
                      "" if figure.bound is None else f"{figure.bound:g}", style="" if figure.ok else "red")
    return table


def main(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
) -> None:
    """Measure payments on the stack of a rehearsal that is up; exit with 1 if a bound is broken."""
    try:
        outputs, endpoint = read_outputs(os.environ), os.environ["AWS_ENDPOINT_URL"]
    except (KeyError, OutputsError) as error:
        typer.echo(f"bench: no stack is up here ({type(error).__name__}: {error}): use make bench", err=True)
        raise typer.Exit(NO_STACK) from None
    began, benchmarks = SYSTEM.monotonic(), context.obj or measure
    try:
        figures = list(benchmarks(outputs, endpoint))
    except (RehearsalError, OSError, subprocess.SubprocessError) as error:
        typer.echo(f"bench: {type(error).__name__}: {error}", err=True)
        raise typer.Exit(FAILED) from None
    seconds = SYSTEM.monotonic() - began
    wrong = [f"{figure.name}: {figure.value:.3g} {figure.unit}".rstrip() + f", but at most {figure.bound:g} is allowed"
             for figure in figures if not figure.ok]
    if as_json:
        print(json.dumps({"figures": [{**asdict(figure), "ok": figure.ok} for figure in figures], "broken": wrong,
                          "seconds": round(seconds, 1)}, indent=2))
    else:
        Console().print(show(figures))
        print(f"measured in {seconds:.1f} s")
    for line in wrong:
        typer.echo(f"bench: {line}", err=True)
    raise typer.Exit(FAILED if wrong else PASSED)


if __name__ == "__main__":
    typer.run(main)
