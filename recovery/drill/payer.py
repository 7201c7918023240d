"""The clients that pay during a drill."""
import json
import math
from functools import partial
from http import HTTPStatus

from recovery.environment import Environment
from recovery.measure import GOOD, ClientWrite
from recovery.observation import json_object
from recovery.stack import Site, Stack

CLIENTS, PERIOD = 4, 1.0  # PERIOD: seconds from one payment of a client to its next
TIMEOUT = 5.0  # seconds for each step of a request
PAUSE = 1.0  # seconds between two attempts to find a payment
SEARCH, ATTEMPTS = 900.0, 5  # seconds and attempts to find the acknowledged payments


class Payer:
    """Clients that pay one minor unit at a time, for `seconds` at most, and remember the answers.

    `until` is when they stop, by the monotonic clock.

    They know the service by its name. Without DNS they know both regions, and turn to the other one when a payment
    fails.
    """

    def __init__(self, stack: Stack, key: str, environment: Environment, seconds: float) -> None:
        self._stack, self._key, self._environment = stack, key, environment
        self.until = environment.clock.monotonic() + seconds
        self._region = stack.sites[0].region
        self._writes: list[ClientWrite] = []
        self.acknowledged: list[str] = []

    @property
    def named(self) -> bool:
        """Whether they find the service by its name."""
        return bool(self._stack.service_url)

    @property
    def latest(self) -> str:
        """The outcome of the latest payment."""
        writes = self.writes
        return "none is answered yet" if not writes else "accepted" if writes[-1].accepted else writes[-1].kind

    @property
    def writes(self) -> list[ClientWrite]:
        """The payments that have an outcome, in the order of sending."""
        return sorted(self._writes, key=lambda write: write.sent_at)

    def pay(self) -> None:
        """Make one payment."""
        if self._environment.clock.monotonic() >= self.until:
            return
        stack, region, clock = self._stack, self._region, self._environment.clock
        payment_id = f"drill-{self._environment.new_id()}"
        body = json.dumps({"payment_id": payment_id, "amount": 1, "currency": "USD", "payer": "drill:from",
                           "payee": "drill:to"}).encode()
        sent_at = clock.monotonic()
        reply = self._environment.http(
            "POST", f"{stack.service_url or stack.site(region).api_endpoint}/payment", TIMEOUT, body=body,
            headers={"Content-Type": "application/json", "x-api-key": self._key})
        answered_at, accepted, error = clock.monotonic(), reply.status == HTTPStatus.CREATED, ""
        if accepted:
            self.acknowledged.append(payment_id)
        else:
            self._region = stack.other(region).region
            # The payments function says what is wrong in `error`, API Gateway in `message`.
            answer = json_object(reply.body)
            message = answer.get("error") or answer.get("message") or ""
            error = f"{reply.status} {message}".strip() if reply.status else reply.why
        self._writes.append(ClientWrite(
            sent_at=sent_at, answered_at=answered_at, accepted=accepted, kind=error,
            where=reply.headers.get("X-Region", "") if stack.service_url else region))

    def is_steady(self, since: float) -> bool:
        """Whether the last GOOD payments sent since a moment (monotonic seconds) are accepted."""
        latest = [write.accepted for write in self.writes if write.sent_at >= since][-GOOD:]
        return len(latest) == GOOD and all(latest)

    def lost(self, site: Site) -> int:
        """How many acknowledged payments are not found in a region; a copy may need a moment to arrive."""
        clock = self._environment.clock
        until = clock.monotonic() + SEARCH
        missing = self.acknowledged
        for attempt in range(ATTEMPTS):
            if attempt:
                clock.sleep(PAUSE)
            parts = self._environment.background.gather(
                {number: partial(self._missing, site, until, missing[number::CLIENTS]) for number in range(CLIENTS)},
                math.inf)
            missing = [payment_id for part in parts.values() for payment_id in part]
            if not missing:
                break
        return len(missing)

    def _missing(self, site: Site, until: float, payment_ids: list[str]) -> list[str]:
        """Those that are not found settled until a moment (monotonic seconds)."""
        return [payment_id for payment_id in payment_ids
                if self._environment.clock.monotonic() >= until or not self._is_settled(site, payment_id)]

    def _is_settled(self, site: Site, payment_id: str) -> bool:
        reply = self._environment.http("GET", f"{site.api_endpoint}/payment/{payment_id}", TIMEOUT,
                                       headers={"x-api-key": self._key})
        return reply.status == HTTPStatus.OK and json_object(reply.body).get("status") == "settled"
