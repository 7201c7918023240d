"""What the product takes from its machine, given by the simulator: clock, bounded calls, background work, AWS, HTTP."""
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any, TypeVar

from botocore.credentials import Credentials

from payments.runtime import Runtime
from recovery.environment import Background, Environment, HttpReply
from simulator.aurora import LedgerSession
from simulator.network import OUTSIDE, NetworkCall, SimulatedNetwork, Unanswered, Unavailable
from simulator.scheduler import Process, Signal

T = TypeVar("T")


class BoundedCaller:
    """Makes a call as a task of its own, which goes on when the caller has given up; in a calm network at once."""

    def __init__(self, process: Process, network: SimulatedNetwork) -> None:
        self._process, self._network = process, network

    def call(self, function: Callable[[], T], seconds: float) -> T:
        """What `function` returns or raises. Raises TimeoutError."""
        if self._network.calm:
            return function()
        done = self._process.scheduler.run_within(self._process, function, seconds)
        if not done.set:
            raise TimeoutError
        result: T = done.result()
        return result


class Lock:
    """A lock between tasks."""

    def __init__(self, process: Process) -> None:
        self._scheduler, self._held, self._waiting = process.scheduler, False, list[Signal]()

    def __enter__(self) -> None:
        while self._held:
            signal = Signal(self._scheduler)
            self._waiting.append(signal)
            signal.wait()
        self._held = True

    def __exit__(self, *_: object) -> None:
        self._held = False
        waiting, self._waiting = self._waiting, []
        for signal in waiting:
            signal.fire()


class Tasks(Background):
    """Background work as tasks of the process."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def lock(self) -> Lock:
        """A new one."""
        return Lock(self._process)

    @contextmanager
    def every(self, seconds: float, task: Callable[[], object], *, workers: int = 1) -> Iterator[None]:
        """As `recovery.environment.Background`."""
        scheduler, over = self._process.scheduler, Signal(self._process.scheduler)

        def work(delay: float) -> None:
            while not over.wait(delay):
                task()
                delay = seconds

        running = [scheduler.spawn(self._process, partial(work, seconds * number / workers))
                   for number in range(1, workers + 1)]
        try:
            yield
        finally:
            over.fire()
            for each in running:
                each.wait()

    def gather(self, questions: Mapping[Any, Callable[[], T]], seconds: float) -> dict[Any, T]:
        """As `recovery.environment.Background`."""
        scheduler = self._process.scheduler
        asked = {name: scheduler.spawn(self._process, question) for name, question in questions.items()}
        until = scheduler.now + seconds
        answers: dict[Any, Any] = {}
        for name, done in asked.items():
            if done.wait(max(0.0, until - scheduler.now)):
                answers[name] = done.result()
        return answers


def runtime(process: Process, network: SimulatedNetwork) -> Runtime:
    """The runtime of a process; what it draws follows from the seed."""
    return Runtime(process, BoundedCaller(process, network), Random(process.scheduler.random.getrandbits(32)))


class BotoSession:
    """boto3's session of a process in a region."""

    def __init__(self, clients: Callable[..., Any], region: str) -> None:
        self._clients, self._region = clients, region

    def client(self, service: str, **_: Any) -> Any:
        """A client."""
        return self._clients(service, self._region)

    @staticmethod
    def get_credentials() -> Credentials:
        """Of nobody."""
        return Credentials("key", "secret")


def connecting(aurora: Any, process: Process) -> Callable[..., Any]:
    """How a process opens sessions of the ledger: hosts are `writer.REGION` and `reader.REGION`."""
    def connect(database: Any, *_: Any) -> LedgerSession:
        kind, _, region = database.host.partition(".")
        return LedgerSession.connect(aurora, process, region, reader=kind == "reader")

    return connect


def http(process: Process, ask: Callable[[Process, str, str, bytes | None, float], tuple[int, bytes]]) -> Any:
    """How recovery sends requests: `ask` takes process, URL, method, body and patience, and gives status and body."""
    def send(method: str, url: str, timeout: float, *, headers: Mapping[str, str] | None = None,
             body: bytes | None = None) -> HttpReply:
        del headers
        status, text = ask(process, url, method, body, timeout)
        return HttpReply(status, text, why="" if status else "timed out")

    return send


def environment(process: Process, network: SimulatedNetwork, clients: Any, ask: Any,
                text: Callable[[str], str]) -> Environment:
    """Recovery's environment of a process; `text`: the TXT record of a name, as the zone's name servers have it."""
    def verdict(name: str) -> str:
        try:
            return str(network.call(NetworkCall(process, OUTSIDE, "dns", "TXT", 1.0), partial(text, name)))
        except (Unanswered, Unavailable):
            return ""

    return Environment(clients=clients, http=http(process, ask), background=Tasks(process),
                       runtime=runtime(process, network), verdict=verdict)


class Silence:
    """A console that nobody reads; `lines` has what was printed on it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def print(self, *texts: object, **_: object) -> None:
        """Keep it."""
        self.lines += map(str, texts)

    @contextmanager
    def status(self, _: str) -> Iterator["Silence"]:
        """Show nothing."""
        yield self

    def update(self, _: str) -> None:
        """Show nothing."""
