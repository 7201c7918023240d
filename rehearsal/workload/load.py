"""Clients that send payments, and the answers that they get."""

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self, TypeVar

from payments.clock import SYSTEM, Clock
from rehearsal.errors import NoAnswer
from rehearsal.workload.http import Answer, ApiClient

CLIENTS = 4
REFUSED_PAUSE = 0.05  # seconds, at least, between a refusal and the client's next request

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class SentPayment:
    """A payment that was sent to a region, and the answer; None if there was none.

    began, ended: when it was sent, and when the client knew the outcome, in seconds of the monotonic clock.
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
        """Whether the client got the answer that the payment is accepted."""
        return self.answer is not None and self.answer.status == HTTPStatus.CREATED


def new_payment() -> dict[str, Any]:
    """A payment with an id that was never used."""
    return {"payment_id": uuid.uuid4().hex, "amount": 12_50, "currency": "EUR", "payer": "alice", "payee": "bob"}


def send(api: ApiClient, payment: Mapping[str, Any], clock: Clock = SYSTEM) -> SentPayment:
    """Send a payment. Getting no answer is an outcome, too."""
    began = clock.monotonic()
    try:
        answer: Answer | None = api.pay(payment)
    except NoAnswer:
        answer = None
    return SentPayment(payment=payment, region=api.region, answer=answer, began=began, ended=clock.monotonic())


def at_once(work: Callable[[T], R], items: Iterable[T], clients: int = CLIENTS) -> list[R]:
    """Call `work` with each item, `clients` at a time; returns the results in the order of the items."""
    with ThreadPoolExecutor(clients, "client") as pool:
        return list(pool.map(work, items))


def send_all(api: ApiClient, payments: Iterable[Mapping[str, Any]], clients: int = CLIENTS) -> list[SentPayment]:
    """Send payments, `clients` at a time; returns the outcomes in the order of the payments."""
    return at_once(lambda payment: send(api, payment), payments, clients)


def acknowledged(sent: Iterable[SentPayment]) -> list[SentPayment]:
    """Those of the payments that were acknowledged."""
    return [each for each in sent if each.acknowledged]


class LoadGenerator:
    """Clients that send one payment after the other, from the beginning of a `with` block until `stop` or its end.

    where: called before each request, returns the API to send it to.
    pause: seconds from one request of a client to its next, which is sent at once if the answer took longer.
    repeat: whether a client sends a payment again, with the same id, until it is acknowledged.
    wait: waits for an event for so many seconds, and returns whether it is set.

    `sent` has every payment whose outcome is known, in the order in which the outcomes came.
    """

    def __init__(self, where: Callable[[], ApiClient], clients: int = CLIENTS, *, pause: float = 0.0,
                 repeat: bool = False, clock: Clock = SYSTEM,
                 wait: Callable[[threading.Event, float], bool] = threading.Event.wait) -> None:
        self._where, self._pause, self._repeat, self._clock, self._wait = where, pause, repeat, clock, wait
        self.sent: list[SentPayment] = []
        self._changed, self._stopped = threading.Condition(), threading.Event()
        self._threads = [  # staggered, so that the clients do not all send at the same moment
            threading.Thread(target=self._run, args=(pause * number / clients,), name=f"client {number}", daemon=True)
            for number in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def wait_for(self, check: Callable[[Sequence[SentPayment]], object], patience: float) -> bool:
        """Wait until `check(sent)` is true, at most `patience` seconds; returns whether it is."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: check(self.sent), patience))

    def stop(self) -> None:
        """Send no more; requests that are under way go on."""
        self._stopped.set()

    def finish(self) -> Sequence[SentPayment]:
        """Stop, wait until every outcome is known, and return all that was sent."""
        self.stop()
        for thread in self._threads:
            thread.join()
        return self.sent

    def _run(self, delay: float) -> None:
        payment = new_payment()
        while not self._wait(self._stopped, delay):
            sent = send(self._where(), payment, self._clock)
            with self._changed:
                self.sent.append(sent)
                self._changed.notify_all()
            if sent.acknowledged or not self._repeat:
                payment = new_payment()
            delay = max(sent.began + self._pause - sent.ended, 0.0 if sent.acknowledged else REFUSED_PAUSE)
