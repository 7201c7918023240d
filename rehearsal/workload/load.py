"""Clients that make payments all the while, and what they were told."""

import http.client
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from rehearsal.workload.smoke import TIMEOUT, Answer, ApiEndpoint, payment, request

CLIENTS = 4
REFUSED = 0.05  # seconds, at least, between a refusal and what the client sends next


@dataclass(frozen=True, kw_only=True)
class SentPayment:
    """A payment that was sent to a region, and the answer; None if there was none.

    began, ended: when it was sent, and when the client knew what came of it, in seconds of the monotonic clock.
    """

    payment: Mapping[str, Any]
    region: str
    answer: Answer | None
    began: float
    ended: float

    @property
    def payment_id(self) -> str:
        """The payment's id."""
        found: str = self.payment["payment_id"]
        return found

    @property
    def acknowledged(self) -> bool:
        """Whether the client was told that the payment is made."""
        return self.answer is not None and self.answer.status == HTTPStatus.CREATED


def send(place: ApiEndpoint, made: Mapping[str, Any], timeout: float = TIMEOUT) -> SentPayment:
    """Send a payment; that nothing comes back is an outcome too."""
    began = time.monotonic()
    try:
        answer: Answer | None = request("POST", f"{place.url}/payment", made, place.key, via=place.via,
                                        timeout=timeout)
    except (OSError, http.client.HTTPException):
        answer = None
    return SentPayment(payment=made, region=place.region, answer=answer, began=began, ended=time.monotonic())


def send_all(place: ApiEndpoint, made: Iterable[Mapping[str, Any]]) -> list[SentPayment]:
    """Send payments, some at once; the outcomes in the same order."""
    with ThreadPoolExecutor(CLIENTS, "client") as pool:
        return list(pool.map(lambda each: send(place, each), made))


def acknowledged(sent: Iterable[SentPayment]) -> list[SentPayment]:
    """Those of which the client was told that they are made."""
    return [each for each in sent if each.acknowledged]


class LoadGenerator:
    """Clients that send one payment after the other, from the beginning of a `with` block until `stop` or its end.

    `where` says before each where it goes. A client begins one every `pause` seconds, or once it has the answer to the
    last, for which it waits `timeout` seconds. It never sends a payment again, unless it is to `repeat`: then it does,
    with the same id, until it is acknowledged. `accepted` is set once a payment is acknowledged; `sent` has all whose
    outcome is known, in that order.
    """

    def __init__(self, where: Callable[[], ApiEndpoint], clients: int = CLIENTS, *, pause: float = 0.0,
                 timeout: float = TIMEOUT, repeat: bool = False) -> None:
        self._where, self._pause, self._timeout, self._repeat = where, pause, timeout, repeat
        self.sent: list[SentPayment] = []
        self.accepted, self._stopped = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(pause * number / clients,), name="client", daemon=True)
            for number in range(clients)]

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

    def finish(self) -> Sequence[SentPayment]:
        """All that was sent, once each of it has its outcome."""
        self.stop()
        for thread in self._threads:
            thread.join()
        return self.sent

    def _run(self, delay: float) -> None:
        """One client, which begins after a delay: they are not to send all at once."""
        made = payment()
        while not self._stopped.wait(delay):
            sent = send(self._where(), made, self._timeout)
            self.sent.append(sent)
            if sent.acknowledged:
                self.accepted.set()
            if sent.acknowledged or not self._repeat:
                made = payment()
            delay = max(sent.began + self._pause - sent.ended, 0.0 if sent.acknowledged else REFUSED)
