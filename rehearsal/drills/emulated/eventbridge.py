"""EventBridge's clock, which starts each region's controller every minute: the emulator's knows no cut and no haste."""

import json
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from botocore.exceptions import BotoCoreError, ClientError

from rehearsal.aws.clients import ACCOUNT
from rehearsal.aws.faults import SERVICES, ApiCall
from rehearsal.rehearsed_stack import RehearsedStack
from rehearsal.workload.region import RegionClient

MINUTE = 60.0  # seconds
ALIAS = "live"


def scheduled(region: str) -> bytes:
    """The event with which a rule of EventBridge starts a function."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps({
        "version": "0", "id": str(uuid.uuid4()), "detail-type": "Scheduled Event", "source": "aws.events",
        "account": ACCOUNT, "time": now, "region": region, "resources": [], "detail": {}}).encode()


class PeriodicTask:
    """Does some work at once and then every so many seconds, on a thread of its own, from `start` to `stop`.

    Work that takes longer lets a turn go by. What it raises is kept in `errors`, and the next turn comes all the same.
    """

    def __init__(self, name: str, seconds: float, work: Callable[[], object]) -> None:
        self.errors: list[Exception] = []
        self._seconds, self._work, self._stopped = seconds, work, threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Work from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Return once no work is under way any more; may be called at any time."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        wait, due = 0.0, time.monotonic()
        while not self._stopped.wait(wait):
            try:
                self._work()
            except Exception as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
                self.errors.append(error)
            due = max(due + self._seconds, time.monotonic())
            wait = due - time.monotonic()


class ControllerSchedule:
    """Starts the controllers every `MINUTE`, divided by `factor`, from `start` to `stop`.

    A region's clock is in the region: while that cannot reach itself, or its functions are lost, there is no start, and
    that is no error. A start that fails is not repeated: the next one comes. The rules themselves are disabled in the
    emulator (`kinds.events`), which knows only the machine's own minutes.
    """

    def __init__(self, ground: RehearsedStack, factor: float = 1.0) -> None:
        self._faults = ground.faults
        self._tickers = [PeriodicTask(f"clock of {region.name}", MINUTE / factor, self._work(ground, region))
                         for region in ground.sides()]

    @property
    def errors(self) -> list[Exception]:
        """Why starts failed, but for those that had to."""
        return [error for ticker in self._tickers for error in ticker.errors]

    def start(self) -> None:
        """Start the controllers now, and from now on."""
        for ticker in self._tickers:
            ticker.start()

    def stop(self) -> None:
        """Start none any more; those that run go on. May be called at any time."""
        for ticker in self._tickers:
            ticker.stop()

    def _work(self, ground: RehearsedStack, region: RegionClient) -> Callable[[], None]:
        client, function = (ground.beside(region)("lambda", region.name),
                            ground.outputs[f"{region.role}_controller_function_name"])
        call = ApiCall(region.name, region.name, SERVICES["function"], "Invoke")

        def begin() -> None:
            if self._faults.refusal(call):  # not even tried: a call that hangs would hold up the turns after it
                return
            try:
                client.invoke(FunctionName=function, Qualifier=ALIAS, InvocationType="Event",
                              Payload=scheduled(region.name))
            except (ClientError, BotoCoreError):
                if not self._faults.refusal(call):
                    raise

        return begin
