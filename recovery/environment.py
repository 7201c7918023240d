"""Everything that recovery takes from outside: AWS, HTTP, threads and the runtime. The simulator replaces it.

HTTP requests go over the system's resolver and proxies, and every thread of recovery's own is started here.
"""
import http.client
import math
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import boto3
from botocore.config import Config

from contract import Variable
from payments.clock import Clock
from payments.runtime import Runtime, system_runtime
from recovery.name_servers import ask_zone, delegated_to

K = TypeVar("K")
T = TypeVar("T")

CONNECT_TIMEOUT, READ_TIMEOUT = 2.0, 5.0  # seconds
# Attempts per call where the caller does the repeats: for the table within the call's deadline, after which a repeat
# would undo a later write; for a function within the step's budget.
ATTEMPTS = {"dynamodb": 1, "lambda": 1}

ClientFactory = Callable[..., Any]
"""(service, region, read=READ_TIMEOUT, *, once=False): a client, which waits at most `read` seconds for an answer.

`once`: it repeats no call by itself, since what a proof precedes must not be sent again some time after that.
"""


class BotoClients:
    """A ClientFactory that makes each client once; retries are botocore's, except for `ATTEMPTS`.

    Each region has a session: one that assumes a role asks STS in the region of its first client, for all of them.
    """

    def __init__(self) -> None:
        self._sessions: dict[str, boto3.Session] = {}
        self._lock = threading.Lock()  # a session must not make two clients at the same time
        self._clients: dict[tuple[str, str, float, bool], Any] = {}

    def __call__(self, service: str, region: str, read: float = READ_TIMEOUT, *, once: bool = False) -> Any:
        """As in ClientFactory."""
        key = service, region, read, once
        with self._lock:
            if key not in self._clients:
                session = self._sessions.setdefault(region, boto3.Session(region_name=region))
                # Without the last setting us-east-1 would go to S3's global host.
                self._clients[key] = session.client(service, region_name=region, config=Config(
                    connect_timeout=CONNECT_TIMEOUT, read_timeout=read, tcp_keepalive=True,
                    retries={"mode": "standard", "total_max_attempts": 1 if once else ATTEMPTS.get(service, 3)},
                    s3={"us_east_1_regional_endpoint": "regional"}))
            return self._clients[key]


@dataclass(frozen=True)
class HttpReply:
    """Status (0: no answer), body and headers of an answer; `why` names what broke off the exchange, if it did."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


Http = Callable[..., HttpReply]
"""As `send`."""


def send(method: str, url: str, timeout: float, *, headers: Mapping[str, str] | None = None,
         body: bytes | None = None) -> HttpReply:
    """Send a request and wait at most `timeout` seconds for each step of it. Never raises for what goes wrong.

    Each request has a new connection, so that the name is resolved each time.
    """
    request = urllib.request.Request(url, data=body, headers=dict(headers or {}), method=method)  # noqa: S310  # the stack's own
    try:
        response = urllib.request.urlopen(request, timeout=timeout)  # noqa: S310
    except urllib.error.HTTPError as error:
        response = error
    except (OSError, http.client.HTTPException) as error:
        return HttpReply(0, why=_name(error))
    with response:
        try:
            return HttpReply(response.status, response.read(), response.headers)
        except (OSError, http.client.HTTPException) as error:
            return HttpReply(response.status, headers=response.headers, why=_name(error))


def _name(error: Exception) -> str:
    why = getattr(error, "reason", error)
    return type(why).__name__ if isinstance(why, Exception) else str(why)


class Background:
    """Does work on daemon threads, which do not keep a program alive, while the caller does something else."""

    def lock(self) -> AbstractContextManager[object]:
        """A new lock between tasks, or between a task and the caller."""
        return threading.Lock()

    @contextmanager
    def every(self, seconds: float, task: Callable[[], object], *, workers: int = 1) -> Iterator[None]:
        """Do `task` every `seconds` until the block ends, by several workers that are evenly spread over the period.

        The end of the block waits for tasks under way. A worker whose task raises stops.
        """
        over = threading.Event()

        def work(delay: float) -> None:
            while not over.wait(delay):
                task()
                delay = seconds

        threads = [_start(work, seconds * number / workers) for number in range(1, workers + 1)]
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def gather(self, questions: Mapping[K, Callable[[], T]], seconds: float) -> dict[K, T]:
        """Ask all questions at the same time. Returns the answers that arrive within `seconds`.

        Raises what a question raises. A thread whose answer is late is left behind.
        """
        answers: dict[K, Future[T]] = {name: Future() for name in questions}

        def ask(question: Callable[[], T], answer: Future[T]) -> None:
            try:
                answer.set_result(question())
            except BaseException as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
                answer.set_exception(error)

        for name, question in questions.items():
            _start(ask, question, answers[name])
        done, _ = wait(answers.values(), None if seconds == math.inf else seconds)
        return {name: answer.result() for name, answer in answers.items() if answer in done}


def _start(function: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=function, args=arguments, name="recovery", daemon=True)
    thread.start()
    return thread


@dataclass(frozen=True, kw_only=True)
class Environment:
    """AWS clients, HTTP, background work, and the runtime: clock, bounded calls and random numbers."""

    clients: ClientFactory
    http: Http
    background: Background
    runtime: Runtime
    verdict: Callable[[str], str]
    """The text of a TXT record as the zone's own name servers give it, empty if none of them answers."""
    name_servers: Callable[[str], frozenset[str]] = delegated_to
    """The hosts that a public resolver names for a zone. Raises AwsFailure."""

    @property
    def clock(self) -> Clock:
        """The runtime's."""
        return self.runtime.clock

    def new_id(self) -> str:
        """32 random hexadecimal digits."""
        return f"{self.runtime.random.getrandbits(128):032x}"


def system_environment(clients: ClientFactory, environ: Mapping[str, str]) -> Environment:
    """The environment of this machine, with these clients. Reads NAME_SERVERS: those of the zone, if not its own."""
    return Environment(clients=clients, http=send, background=Background(), runtime=system_runtime(),
                       verdict=partial(ask_zone, servers=environ.get(Variable.NAME_SERVERS, "").split()))
