"""EventBridge, which starts each region's controller every minute: the emulator knows no cut and no faster clock."""

import json
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from contract import ALIAS, WATCH_SECONDS
from payments.clock import SYSTEM, Clock
from rehearsal.aws.clients import ACCOUNT
from rehearsal.aws.faults import SERVICES, ApiCall
from rehearsal.rehearsed_stack import RehearsedStack
from rehearsal.workload.region import RegionClient

Wait = Callable[[threading.Event, float], bool]
"""Waits for an event for so many seconds, and gives whether it is set."""


def scheduled(region: str, at: float) -> bytes:
    """The event with which a rule of EventBridge starts a function at a moment, in seconds since the epoch."""
    now = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps({
        "version": "0", "id": str(uuid.uuid4()), "detail-type": "Scheduled Event", "source": "aws.events",
        "account": ACCOUNT, "time": now, "region": region, "resources": [], "detail": {}}).encode()


class PeriodicTask:
    """Does some work at once and then every so many seconds, on a thread of its own, from `start` to `stop`.

    Work that takes longer skips a turn. What it raises is added to `errors`, and the next turn comes all the same.
    """

    def __init__(self, name: str, seconds: float, work: Callable[[], object], clock: Clock = SYSTEM,
                 wait: Wait = threading.Event.wait) -> None:
        self.errors: list[Exception] = []
        self.seconds, self._work, self._clock, self._wait = seconds, work, clock, wait
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self.run, name=name, daemon=True)

    def start(self) -> None:
        """Work from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Return once no work is under way any more; may be called at any time."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def run(self) -> None:
        """Work, on this thread, until it is stopped."""
        wait, due = 0.0, self._clock.monotonic()
        while not self._wait(self._stopped, wait):
            try:
                self._work()
            except Exception as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
                self.errors.append(error)
            now = self._clock.monotonic()
            due = max(due + self.seconds, now)
            wait = due - now


class ControllerSchedule:
    """Starts the controllers every WATCH_SECONDS, divided by `factor`, from `start` to `stop`.

    A region's schedule is in the region: while that cannot reach itself, or its functions are lost, there is no start,
    and that is no error. A start that fails is not repeated: the next one comes. The rules themselves are disabled in
    the emulator, which knows only real minutes.
    """

    def __init__(self, rehearsed: RehearsedStack, factor: float = 1.0, clock: Clock = SYSTEM) -> None:
        self._rehearsed, self._clock = rehearsed, clock
        self.tasks = [PeriodicTask(f"schedule of {region.name}", WATCH_SECONDS / factor,
                                   partial(self._start, region, rehearsed.clients_in(region)("lambda", region.name)))
                      for region in rehearsed.writer_and_standby()]

    @property
    def errors(self) -> list[Exception]:
        """Why starts failed that no fault explains."""
        return [error for task in self.tasks for error in task.errors]

    def start(self) -> None:
        """Start the controllers now, and from now on."""
        for task in self.tasks:
            task.start()

    def stop(self) -> None:
        """Start none any more; those that run go on. May be called at any time."""
        for task in self.tasks:
            task.stop()

    def _start(self, region: RegionClient, client: Any) -> None:
        call = ApiCall(region.name, region.name, SERVICES["function"], "Invoke")
        if self._rehearsed.faults.refusal(call):  # not even tried: a call that hangs would delay the next turns
            return
        function = self._rehearsed.outputs[f"{region.role}_controller_function_name"]
        try:
            client.invoke(FunctionName=function, Qualifier=ALIAS, InvocationType="Event",
                          Payload=scheduled(region.name, self._clock.time()))
        except (ClientError, BotoCoreError):
            if not self._rehearsed.faults.refusal(call):
                raise
