"""Clients that make payments all the while, and what they were told."""

import http.client
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from rehearsal.traffic import Answer, payment, request

CLIENTS = 4


@dataclass(frozen=True)
class Sent:
    """A payment that was sent: the answer, None if there was none, and when it came (s, by the monotonic clock)."""

    payment: Mapping[str, Any]
    answer: Answer | None
    at: float

    @property
    def payment_id(self) -> str:
        """The payment's id."""
        found: str = self.payment["payment_id"]
        return found

    @property
    def acknowledged(self) -> bool:
        """Whether the client was told that the payment is made."""
        return self.answer is not None and self.answer.status == HTTPStatus.CREATED


def send(url: str, key: str, made: Mapping[str, Any]) -> Sent:
    """Send a payment; that nothing comes back is an outcome too."""
    try:
        answer: Answer | None = request("POST", f"{url}/payment", made, key)
    except (OSError, http.client.HTTPException):
        answer = None
    return Sent(made, answer, time.monotonic())


def send_all(url: str, key: str, made: Iterable[Mapping[str, Any]]) -> list[Sent]:
    """Send payments, some at once; the outcomes in the same order."""
    with ThreadPoolExecutor(CLIENTS, "client") as pool:
        return list(pool.map(lambda each: send(url, key, each), made))


def acknowledged(sent: Iterable[Sent]) -> list[Sent]:
    """Those of which the client was told that they are made."""
    return [each for each in sent if each.acknowledged]


class Load:
    """Clients that send one payment after the other, from the beginning of a `with` block until `stop` or its end.

    `accepted` is set once a payment is acknowledged.
    """

    def __init__(self, url: str, key: str, clients: int = CLIENTS) -> None:
        self._url, self._key = url, key
        self._sent: list[Sent] = []
        self.accepted, self._stopped = threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=self._run, name="client", daemon=True) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.finish()

    def stop(self) -> None:
        """Send no more; what is under way goes on."""
        self._stopped.set()

    def finish(self) -> Sequence[Sent]:
        """All that was sent, once each of it has its outcome."""
        self.stop()
        for thread in self._threads:
            thread.join()
        return self._sent

    def _run(self) -> None:
        while not self._stopped.is_set():
            sent = send(self._url, self._key, payment())
            self._sent.append(sent)
            if sent.acknowledged:
                self.accepted.set()
            else:
                self._stopped.wait(0.05)  # a client that is refused waits a moment, here a short one
