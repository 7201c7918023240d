"""The clients of the service: they pay, repeat what was not acknowledged, and now and then what was."""
import json
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from simulator.network import OUTSIDE, Unanswered
from simulator.route53 import Resolver
from simulator.scheduler import Process

if TYPE_CHECKING:
    from simulator.world import World

PATIENCE = 5.0  # seconds
REPEATS, ELSEWHERE = 0.1, 0.3  # the parts of payments that are sent again, and of those that go to either region


@dataclass
class Acknowledged:
    """A payment that a client was told is made, and the answer."""

    payment_id: str
    at: float
    region: str
    body: dict[str, Any]


class Client:
    """Pays one payment after another, each again and again until it is answered for good."""

    def __init__(self, world: "World", number: int) -> None:
        self._world, self._number = world, number
        self._process = Process(world.scheduler, f"client-{number}", OUTSIDE)
        self._process.spared = True
        self._resolver = Resolver(world.route53, self._process)
        self._draw = world.scheduler.random
        world.scheduler.spawn(self._process, self._work, self._draw.uniform(0.0, world.options.pay_every))

    def _work(self) -> None:
        world, serial = self._world, 0
        while True:
            serial += 1
            payment = {"payment_id": f"p{self._number}-{serial}", "amount": self._draw.randint(1, 5000),
                       "currency": "EUR", "payer": f"payer{self._number}", "payee": "shop"}
            if self._pays(payment) and self._draw.random() < REPEATS:
                world.scheduler.spawn(self._process, partial(self._repeat, payment), self._draw.uniform(0.1, 20.0))
            self._process.sleep(self._draw.uniform(0.5, 1.5) * world.options.pay_every)

    def _pays(self, payment: dict[str, Any]) -> bool:
        """Whether it was acknowledged in the end."""
        while True:
            status, body, region = self._send(payment)
            now, payment_id = self._world.scheduler.now, payment["payment_id"]
            what = "paid" if status == HTTPStatus.CREATED else "refused"
            self._world.history.note(now, what, self._process.name, id=payment_id, status=status, region=region)
            if status == HTTPStatus.CREATED:
                self._world.acknowledge(Acknowledged(payment_id, now, region, body))
                return True
            if status == HTTPStatus.CONFLICT:
                self._world.history.note(now, "refused its own", self._process.name, id=payment_id, region=region)
                return False
            self._process.sleep(self._draw.uniform(1.0, 3.0))

    def _repeat(self, payment: dict[str, Any]) -> None:
        """Send an acknowledged request again: it must get its first answer. Or another one under its id."""
        world, payment_id = self._world, payment["payment_id"]
        region = self._draw.choice(world.regions) if self._draw.random() < ELSEWHERE else self._resolver.region()
        known = world.keeps(region, payment_id)
        other = self._draw.random() < world.options.reuse
        status, body, _ = self._send({**payment, "amount": payment["amount"] + 1} if other else payment, region)
        first = world.acknowledged[payment_id].body
        again = status == HTTPStatus.CREATED and body != first
        unsaid = other and not known and status != HTTPStatus.CONFLICT
        if (again or unsaid) and (other or not known):
            # A region that had nothing of it took it for new: an eventual table cannot know better. Nor can repair,
            # where another request under the id was begun and got no answer.
            world.contested.add(payment_id)
        elif again or (status == HTTPStatus.CONFLICT and not other):
            world.history.note(world.scheduler.now, "another answer", self._process.name, id=payment_id, status=status,
                               region=region, first=first, now=body)

    def _send(self, payment: dict[str, Any], region: str = "") -> tuple[int, dict[str, Any], str]:
        region = region or self._resolver.region()
        try:
            status, text = self._world.gateway.request(self._process, region, "POST", "/payment",
                                                       body=json.dumps(payment), patience=PATIENCE)
        except Unanswered:
            return 0, {}, region
        return status, json.loads(text), region
