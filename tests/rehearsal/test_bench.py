"""The figures of the bench, and when they fail it. No stack is needed for that."""
import io
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from rehearsal import bench
from rehearsal.aws.clients import EmulatorClients
from rehearsal.aws.proxy import RECORD
from rehearsal.bench import BenchError, KeepAliveClient, Latencies, Measurement
from rehearsal.workload.region import RegionClient

RECORDED = [{"caller": "us-east-1", "service": "dynamodb", "operation": "PutItem", "calls": 3},
            {"caller": "outside", "service": "dynamodb", "operation": "PutItem", "calls": 9}]


class Handler(BaseHTTPRequestHandler):
    """The relay's record, and an API that takes what has a key."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        known = self.headers["x-api-key"] == "key"
        status, body = (200, RECORDED) if self.path == RECORD else (201 if known else 403, {"path": self.path})
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = _answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # pylint: disable=redefined-builtin
        """Nothing."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Where it listens."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def region(url: str, key: str = "key") -> RegionClient:
    """A region with its API at that URL."""
    others: dict[str, Any] = dict.fromkeys({field.name for field in fields(RegionClient)}, "")
    return RegionClient(**{**others, "url": url, "key": key, "clients": EmulatorClients(url, 1)})


def test_a_figure_fails_above_its_bound_and_never_without_one() -> None:
    figures = [Measurement("a", 1.0, "ms", bound=1.0), Measurement("b", 1.01, "ms", bound=1.0), Measurement("c", 9.0, "s")]
    assert bench.broken(figures) == ["b: 1.01 ms, but at most 1 is allowed"]


def test_rate_and_percentiles_are_those_of_the_requests() -> None:
    load = Latencies([number / 1000 for number in range(1, 102)], 2.0)
    assert load.rate == 50.5
    assert [load.percentile(50), load.percentile(99)] == pytest.approx([51, 100])


def test_a_drive_ends_after_so_many_requests_or_in_time() -> None:
    made: list[float] = []

    def call() -> float:
        made.append(0.001)
        return 0.001

    load = bench.drive([call, call, call], 50, 5.0)
    assert len(load.latencies) == len(made) == 50
    assert bench.drive([call], 10**9, 0.05).seconds < 1


def test_what_payments_take_of_the_stores() -> None:
    calls = Counter({("dynamodb", "PutItem"): 10, ("dynamodb", "UpdateItem"): 11, ("dynamodb", "GetItem"): 2,
                     ("s3", "PUT /receipts/a"): 5, ("s3", "PUT /receipts/b"): 5})
    figures = {figure.name: figure for figure in bench.shares(calls, 10, 4.0, 20)}
    assert {name: figure.value for name, figure in figures.items()} == {
        "calls to the table": 2.1, "looks at the right to write": 0.5, "transactions of the ledger": 2.0,
        "calls to the receipts": 1.0}
    assert [name for name, figure in figures.items() if not figure.ok] == [
        "calls to the table", "transactions of the ledger"]


def test_the_record_is_read_for_one_caller(endpoint: str) -> None:
    assert bench.recorded(endpoint, "us-east-1") == {("dynamodb", "PutItem"): 3}


def test_a_caller_keeps_its_connection_and_takes_one_answer_only(endpoint: str) -> None:
    with closing(KeepAliveClient(region(f"{endpoint}/stage"))) as caller:
        assert caller.pay() > 0
        with pytest.raises(BenchError, match="GET /health: 201"):
            caller.look()
    with closing(KeepAliveClient(region(f"{endpoint}/stage", "wrong"))) as caller, pytest.raises(BenchError, match="403"):
        caller.pay()


def test_nobody_but_loopback_is_driven() -> None:
    with pytest.raises(BenchError, match="not on loopback"):
        KeepAliveClient(region("https://api.example.com/live"))


def test_the_function_over_memory_takes_payments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "REQUESTS", 3)
    health, payment = bench.own_cpu()
    assert health.floor == payment.floor
    assert health.value >= 0
    assert 0 < payment.value < 100


def test_a_start_is_timed_in_an_interpreter_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "STARTS", 1)
    monkeypatch.setattr(bench, "BARE", "import time; time.sleep(0.02)")
    monkeypatch.setattr(bench, "FUNCTION", "import os; assert os.environ['AWS_REGION']")
    seconds, ratio = bench.cold_start()
    assert 20 < (seconds.floor or 0) < 5000
    assert ratio.ok


def test_people_get_a_table_with_floors_and_bounds() -> None:
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(bench.show([Measurement("p50", 12.3456, "ms", 4.5678, "/health", 20)]))
    shown = [word for word in console.export_text().split() if word[0].isalnum()]
    assert shown[-5:] == ["p50", "12.3", "ms", "4.57", "20"]


@pytest.mark.parametrize("found", [None, "not JSON"])
def test_without_a_stack_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: str | None) -> None:
    monkeypatch.setenv(bench.OUTPUTS_VARIABLE, str(tmp_path / "outputs.json"))
    if found:
        (tmp_path / "outputs.json").write_text(found)
    result = run()
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("bench: no stack is up here")


@pytest.mark.parametrize(("value", "code"), [(1.0, 0), (1.5, 1)])
def test_a_broken_bound_is_the_exit_code(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: float, code: int) -> None:
    deployed(monkeypatch, tmp_path)
    monkeypatch.setattr(bench, "own_cpu", lambda: [Measurement("CPU", value, "ms", bound=1.0)])
    result = run("--json")
    document = json.loads(result.stdout)
    assert result.exit_code == code
    assert [figure["ok"] for figure in document["figures"]] == [code == 0]
    assert document["broken"] == ["CPU: 1.5 ms, but at most 1 is allowed"] * code
    assert run().exit_code == code


def test_what_makes_figures_worthless_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deployed(monkeypatch, tmp_path)

    def fail() -> list[Measurement]:
        raise BenchError("GET /health: 500")

    monkeypatch.setattr(bench, "own_cpu", fail)
    result = run()
    assert (result.exit_code, result.stderr) == (1, "bench: BenchError: GET /health: 500\n")


def deployed(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A stack of which nothing is measured."""
    (folder / "outputs.json").write_text("{}")
    monkeypatch.setenv(bench.OUTPUTS_VARIABLE, str(folder / "outputs.json"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(RegionClient, "of", lambda *_: None)
    for name in ("own_cpu", "cold_start"):
        monkeypatch.setattr(bench, name, list)
    for name in ("counts", "throughput"):
        monkeypatch.setattr(bench, name, lambda *_: [])


def run(*arguments: str) -> Any:
    """The command line."""
    app = typer.Typer()
    app.command()(bench.main)
    return CliRunner().invoke(app, arguments)
