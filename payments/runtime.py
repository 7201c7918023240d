"""What code takes from the machine it runs on: time, threads and random numbers. The simulator replaces it."""
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Protocol, TypeVar

from payments.clock import SYSTEM, Clock

T = TypeVar("T")
MAX_CALLS = 16


class LambdaContext(Protocol):
    """The part of Lambda's context object that is used here."""

    @property
    def aws_request_id(self) -> str:
        """The invocation's identifier."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the invocation."""


class Caller(Protocol):
    """Makes calls that may never return."""

    def call(self, function: Callable[[], T], seconds: float) -> T:
        """What `function` returns or raises. Raises TimeoutError if that takes longer than `seconds`."""


class ThreadCaller:
    """Makes each call on a thread, at most MAX_CALLS at once.

    A client's own timeouts do not bound a call: name resolution has none, the connect timeout starts again
    for each address and for the TLS handshake, and the read timeout for each byte of an answer. So the caller stops
    waiting in time, and the call ends by itself later. That does no harm, because every write carries a condition.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(MAX_CALLS, "call")

    def call(self, function: Callable[[], T], seconds: float) -> T:
        """What `function` returns or raises. Raises TimeoutError; a call that has not begun by then is never made."""
        running = self._threads.submit(function)
        try:
            return running.result(seconds)
        finally:
            running.cancel()


@dataclass(frozen=True)
class Runtime:
    """The clock, the threads and the random numbers of a process."""

    clock: Clock
    caller: Caller
    random: random.Random


@cache
def system_runtime() -> Runtime:
    """The machine's own runtime, which a whole process shares, with its threads."""
    return Runtime(SYSTEM, ThreadCaller(), random.Random())  # noqa: S311  # pauses between attempts, no secrets
