"""The command line of the bench."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from contract import OUTPUTS_VARIABLE
from rehearsal.bench.__main__ import Benchmarks, broken, main, show
from rehearsal.bench.measurement import Measurement
from rehearsal.errors import BenchError


def run(folder: Path, benchmarks: Benchmarks, *arguments: str, outputs: str = "{}") -> Result:
    """What the command line does with a stack that has these outputs."""
    path = folder / "outputs.json"
    path.write_text(outputs)
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, arguments, obj=benchmarks, env={
        OUTPUTS_VARIABLE: str(path), "AWS_ENDPOINT_URL": "http://127.0.0.1:1"})


def giving(*figures: Measurement) -> Benchmarks:
    """Benchmarks with these results."""
    return lambda *_: iter(figures)


def test_people_get_a_table_with_floors_and_bounds() -> None:
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(show([Measurement("p50", 12.3456, "ms", 4.5678, "/health", 20)]))
    shown = [word for word in console.export_text().split() if word[0].isalnum()]
    assert shown[-5:] == ["p50", "12.3", "ms", "4.57", "20"]


def test_each_broken_bound_has_a_line() -> None:
    figures = [Measurement("a", 1.0, "ms", bound=1.0), Measurement("b", 1.01, "ms", bound=1.0),
               Measurement("c", 9.0, "s")]
    assert broken(figures) == ["b: 1.01 ms, but at most 1 is allowed"]


def test_without_a_stack_it_says_so(tmp_path: Path) -> None:
    result = run(tmp_path, giving(), outputs="not JSON")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("bench: no stack is up here")


@pytest.mark.parametrize(("value", "code"), [(1.0, 0), (1.5, 1)])
def test_a_broken_bound_is_the_exit_code(tmp_path: Path, value: float, code: int) -> None:
    benchmarks = giving(Measurement("CPU", value, "ms", bound=1.0))
    result = run(tmp_path, benchmarks, "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == code
    assert [figure["ok"] for figure in document["figures"]] == [code == 0]
    assert document["broken"] == ["CPU: 1.5 ms, but at most 1 is allowed"] * code
    assert run(tmp_path, benchmarks).exit_code == code


def test_what_makes_figures_worthless_is_one_line(tmp_path: Path) -> None:
    def fail(*_: Any) -> Iterator[Measurement]:
        raise BenchError("500 instead of 200")

    result = run(tmp_path, fail)
    assert (result.exit_code, result.stderr) == (1, "bench: BenchError: 500 instead of 200\n")
