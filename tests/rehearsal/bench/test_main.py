"""The command line of the bench."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from contract import OUTPUTS_VARIABLE
from rehearsal.bench import Measurement
from rehearsal.bench.__main__ import main, show
from rehearsal.errors import BenchError

Benchmarks = Callable[..., Iterator[Measurement]]


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


@pytest.mark.parametrize(("value", "bound", "ok"), [(1.0, 1.0, True), (1.01, 1.0, False), (9.0, None, True)])
def test_a_figure_fails_above_its_bound_and_never_without_one(value: float, bound: float | None, ok: bool) -> None:
    assert Measurement("a", value, "ms", bound=bound).ok is ok


def test_without_a_stack_it_says_so(tmp_path: Path) -> None:
    result = run(tmp_path, giving(), outputs="not JSON")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("bench: no stack is up here")


@pytest.mark.parametrize(("value", "code"), [(1.0, 0), (1.5, 1)])
def test_a_broken_bound_is_the_exit_code(tmp_path: Path, value: float, code: int) -> None:
    benchmarks = giving(Measurement("CPU", value, "ms", bound=1.0), Measurement("ratio", value, "", bound=1.3))
    result = run(tmp_path, benchmarks, "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == code
    assert [figure["ok"] for figure in document["figures"]] == [code == 0] * 2
    assert document["broken"] == [
        "CPU: 1.5 ms, but at most 1 is allowed", "ratio: 1.5, but at most 1.3 is allowed"][:2 * code]
    assert run(tmp_path, benchmarks).exit_code == code


def test_an_error_of_the_bench_is_one_line(tmp_path: Path) -> None:
    def fail(*_: Any) -> Iterator[Measurement]:
        raise BenchError("500 instead of 200")

    result = run(tmp_path, fail)
    assert (result.exit_code, result.stderr) == (1, "bench: BenchError: 500 instead of 200\n")
