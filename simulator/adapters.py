"""What the product takes from its machine, given by the simulator: clock, bounded calls, background work, AWS, HTTP."""
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any, TypeVar

from botocore.credentials import Credentials

from payments.runtime import Runtime
from simulator.aurora import LedgerSession
from simulator.scheduler import Process, Signal

T = TypeVar("T")


class BoundedCaller:
    """Makes a call as a task of its own, which goes on when the caller has given up."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def call(self, function: Callable[[], T], seconds: float) -> T:
        """What `function` returns or raises. Raises TimeoutError."""
        done = self._process.scheduler.spawn(self._process, function)
        if not done.wait(seconds):
            raise TimeoutError
        found, error = done.value
        if error is not None:
            raise error
        result: T = found
        return result


class Tasks:
    """Background work as tasks of the process."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @contextmanager
    def every(self, seconds: float, task: Callable[[], object], *, workers: int = 1) -> Iterator[None]:
        """As `recovery.background.Background`."""
        scheduler, over = self._process.scheduler, Signal(self._process.scheduler)

        def work(delay: float) -> None:
            while not over.wait(delay):
                task()
                delay = seconds

        running = [scheduler.spawn(self._process, lambda delay=seconds * number / workers: work(delay))
                   for number in range(1, workers + 1)]
        try:
            yield
        finally:
            over.fire()
            for each in running:
                each.wait()

    def gather(self, questions: Mapping[str, Callable[[], T]], seconds: float) -> dict[str, T]:
        """As `recovery.background.Background`."""
        scheduler = self._process.scheduler
        asked = {name: scheduler.spawn(self._process, question) for name, question in questions.items()}
        until = scheduler.now + seconds
        answers = {}
        for name, done in asked.items():
            if done.wait(max(0.0, until - scheduler.now)):
                found, error = done.value
                if error is not None:
                    raise error
                answers[name] = found
        return answers


def runtime(process: Process) -> Runtime:
    """The runtime of a process; what it draws follows from the seed."""
    return Runtime(process, BoundedCaller(process), Random(process.scheduler.random.getrandbits(32)))


class Session:
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
