"""What the commands of a sandbox break and heal, and that they reach it from another process."""

import json
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contract import REHEARSALS
from recovery.stack import Stack
from rehearsal.aws.faults import Cut, Fault, Faults, Heal, Kill, Lag, Lose, Restart
from rehearsal.errors import ProjectError
from rehearsal.polling import wait_until
from rehearsal.sandbox import VERBS, Sandbox, ask, listening, recorded, usage
from rehearsal.workload.http import Answer
from rehearsal.workload.load import LoadGenerator
from simulator.vocabulary import FailureMode
from tests.rehearsal.stack import OUTPUTS

EAST, WEST = "us-east-1", "us-west-2"


class Broken:
    """A sandbox, and what its commands did to its stack."""

    def __init__(self) -> None:
        self.injected, self.signals, self.faults = list[Fault](), list[tuple[str, int]](), Faults()
        self.faults.listen(self.injected.append)
        rehearsed: Any = SimpleNamespace(
            faults=self.faults, database=SimpleNamespace(writer=EAST),
            copies=SimpleNamespace(report=lambda: [{"store": "table", "lag_ms": 3000}, {"store": "x", "lag_ms": 0}]))
        environment: Any = SimpleNamespace(
            rehearsed=rehearsed, stack=Stack.of(OUTPUTS), signal_drivers=self._signal, resolve=lambda: (WEST, 60.0),
            observer=SimpleNamespace(
                active=lambda: EAST, other=lambda _: WEST, direct=SimpleNamespace(heal=self._heal)))
        sent = [SimpleNamespace(acknowledged=number % 2 == 0) for number in range(50)]
        self.sandbox = Sandbox(environment, SimpleNamespace(sent=sent))  # type: ignore[arg-type]  # a fake

    def _signal(self, region: str, number: int) -> int:
        self.signals.append((region, number))
        return 1

    def _heal(self) -> None:
        for region in (EAST, WEST):
            self.faults.inject(Heal(region))

    def do(self, words: str) -> str:
        """Give a command."""
        return self.sandbox.do(words.split())


@pytest.fixture
def broken() -> Broken:
    """A sandbox in which nothing is broken yet."""
    return Broken()


@pytest.mark.parametrize(("words", "injected", "says"), [
    ("cut us-east-1", [Cut(EAST)], "us-east-1 is cut off"),
    ("throttle us-west-2", [Lose(WEST, "api", FailureMode.THROTTLED)], "the API of us-west-2 answers 429"),
    ("lag table 30", [Lag("table", EAST, WEST, 30.0), Lag("table", WEST, EAST, 30.0)], "copies of the table are 30 s"),
    ("kill-writer", [Kill(EAST)], "the writer in us-east-1 is killed"),
])
def test_a_command_breaks_what_it_names(broken: Broken, words: str, injected: Sequence[Fault], says: str) -> None:
    assert broken.do(words).startswith(says)
    assert broken.injected == injected


def test_the_standbys_controller_is_frozen_and_goes_on_once_healed(broken: Broken) -> None:
    assert broken.do("freeze-controller") == "the controller of us-west-2 is frozen (1 processes)"
    broken.do("heal")
    assert broken.signals == [(WEST, signal.SIGSTOP), (EAST, signal.SIGCONT), (WEST, signal.SIGCONT)]


def test_what_was_killed_is_started_again_once(broken: Broken) -> None:
    broken.do("kill-writer")
    assert broken.do("heal") == "everything is healed"
    broken.do("heal")
    assert [each for each in broken.injected if isinstance(each, Restart)] == [Restart(EAST)]


def test_the_status_says_what_is_broken_and_how_payments_go(broken: Broken) -> None:
    for words in ("cut us-east-1", "throttle us-west-2", "kill-writer"):
        broken.do(words)
    assert broken.do("status").splitlines() == [
        "clients are sent to us-west-2; of their last 20 payments 10 were accepted",
        "cut off: us-east-1; lost: api in us-west-2; killed: us-east-1; copies behind: table 3.0 s"]
    broken.do("heal")
    assert broken.do("status").endswith(
        "cut off: no region; lost: nothing; killed: nothing; copies behind: table 3.0 s")


@pytest.mark.parametrize(("words", "reason"), [
    ("", "must be one of: cut REGION, throttle REGION, lag STORE SECONDS, kill-writer"),
    ("burn", "sandbox burn: must be"),
    ("cut", "sandbox cut: must be one of"), ("heal now", "sandbox heal now: must be"),
    ("cut mars", "region 'mars': must be us-east-1 or us-west-2"), ("throttle mars", "region 'mars'"),
    ("lag disk 3", "lag disk 3: must be one of table, ledger, receipts"), ("lag table soon", "lag table soon: must be"),
])
def test_a_mistyped_command_is_refused_and_breaks_nothing(broken: Broken, words: str, reason: str) -> None:
    with pytest.raises(ProjectError, match=reason):
        broken.do(words)
    assert broken.injected == []


def test_every_command_is_in_the_usage() -> None:
    assert [each.partition(" ")[0] for each in usage()] == list(VERBS)


def test_commands_come_from_another_process(tmp_path: Path) -> None:
    folder = tmp_path / REHEARSALS / "sandbox"
    folder.mkdir(parents=True)

    def do(words: Sequence[str]) -> str:
        if words == ["fail"]:
            raise ProjectError("it is no command")
        return " ".join(words)

    with listening(do, folder):
        assert ask(["cut", "us-east-1"], tmp_path) == (0, "cut us-east-1")
        assert ask(["fail"], tmp_path) == (1, "it is no command")
        home = (folder / "control").readlink().parent
        assert home.stat().st_mode & 0o077 == 0
    assert not home.exists()
    assert ask(["status"], tmp_path) == (2, "no sandbox is up here: `make sandbox` starts one")


def test_without_a_sandbox_a_command_says_how_to_start_one(tmp_path: Path) -> None:
    assert ask(["status"], tmp_path) == (2, "no sandbox is up here: `make sandbox` starts one")


def test_the_clients_payments_are_written_as_their_outcomes_come(tmp_path: Path) -> None:
    api: Any = SimpleNamespace(region=EAST, pay=lambda _: Answer(201, {}))
    file = tmp_path / "payments.jsonl"
    with LoadGenerator(lambda: api, clients=1, pause=0.05) as load, recorded(load, file):
        assert load.wait_for(lambda sent: len(sent) >= 3, 30.0)
        wait_until(lambda: len(file.read_text().splitlines()) >= 3, "they are written", 30.0)
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert {(each["ok"], each["region"]) for each in found} == {(True, EAST)}
    assert abs(found[0]["at"] - time.time()) < 60
