"""Lambda and what starts it: execution environments that freeze between invocations, API Gateway, and EventBridge."""
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from simulator.dynamodb import as_boto
from simulator.network import Network, Unavailable
from simulator.scheduler import Process, Scheduler

Handler = Callable[[Mapping[str, Any], "Invocation"], Any]
Reply = Callable[[Any, BaseException | None], None]
MINUTE = 60.0
KEYLESS = frozenset({"/health", "/takeover"})


@dataclass
class Invocation:
    """Lambda's context object."""

    scheduler: Scheduler
    aws_request_id: str
    until: float

    def get_remaining_time_in_millis(self) -> int:
        """Until Lambda ends the invocation."""
        return int((self.until - self.scheduler.now) * 1000)


@dataclass
class Function:
    """A function of one region: `start` gives the handler of a new execution environment; timeout in seconds."""

    name: str
    region: str
    start: Callable[[Process], Handler]
    timeout: float
    idle: list[tuple[Process, Handler]] = field(default_factory=list)
    busy: int = 0
    broken: bool = False
    """Whether every invocation fails, such as for want of a permission."""


class Functions:
    """The functions of all regions, by region and name."""

    def __init__(self, network: Network) -> None:
        self._network, self._scheduler = network, network.scheduler
        self._functions: dict[tuple[str, str], Function] = {}
        self._number = 0
        self.concurrency = 50

    def add(self, function: Function) -> None:
        """Deploy a function."""
        self._functions[function.region, function.name] = function

    def invoke(self, region: str, name: str, event: Mapping[str, Any], reply: Reply) -> None:
        """Begin an invocation; `reply` is called with what the handler returned or raised."""
        function = self._functions[region, name]
        if function.busy >= self.concurrency:
            reply(None, Unavailable(throttled=True))
            return
        scheduler = self._scheduler
        self._number += 1
        cold = 0.0
        while function.idle and not function.idle[-1][0].alive:
            function.idle.pop()
        if function.idle:
            process, handle = function.idle.pop()
            process.resume()
        else:
            process = Process(scheduler, f"{name}@{region}#{self._number}", region,
                              stands_still=scheduler.random.random() < 0.5)
            handle, cold = function.start(process), scheduler.random.uniform(0.2, 0.8)
        function.busy += 1
        context = Invocation(scheduler, f"r{self._number}", scheduler.now + cold + function.timeout)
        open_ = [True]

        def finish(found: Any, error: BaseException | None) -> None:
            if open_:
                open_.clear()
                function.busy -= 1
                reply(found, error)

        def work() -> None:
            try:
                found = handle(event, context)
            except Exception as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
                answer: tuple[Any, BaseException | None] = None, error
            else:
                answer = found, None
            if open_:
                finish(*answer)
                process.idle()
                function.idle.append((process, handle))

        def overdue() -> None:
            if open_:
                process.kill()

        process.ended.append(lambda: finish(None, TimeoutError("Task timed out")))
        scheduler.spawn(process, work, cold)
        scheduler.at(cold + function.timeout, overdue)


class LambdaClient:
    """A boto3 client of Lambda in one region, in the hands of a process."""

    def __init__(self, functions: Functions, network: Network, caller: Process, region: str, read: float) -> None:
        self._functions, self._network, self._caller, self._region, self._read = functions, network, caller, region, read

    def invoke(self, *, FunctionName: str, Payload: str | bytes = b"{}", **_: Any) -> dict[str, Any]:  # noqa: N803
        """Invoke, and wait for the answer."""
        name = FunctionName.split(":")[6] if FunctionName.startswith("arn:") else FunctionName
        event = json.loads(Payload)

        def arrive(answer: Reply) -> None:
            self._functions.invoke(self._region, name, event, answer)

        def ask() -> Any:
            try:
                return self._network.request(self._caller, self._region, "lambda", "Invoke", arrive, self._read, 2.0)
            except TimeoutError as error:
                return Unhandled(str(error))

        found = as_boto("Invoke", ask)
        if isinstance(found, Unhandled):
            return {"FunctionError": "Unhandled", "Payload": BytesIO(json.dumps({"errorMessage": found.why}).encode())}
        return {"Payload": BytesIO(json.dumps(found).encode())}


@dataclass
class Unhandled:
    """A function that failed."""

    why: str


@dataclass
class Bucket:
    """A token bucket: `rate` a second, `burst` at most."""

    rate: float
    burst: float
    tokens: float = 0.0
    at: float = 0.0

    def take(self, now: float) -> bool:
        """Whether a request may pass."""
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Gateway:
    """API Gateway of each region in front of the payments function; `flooded` regions answer 429 to keyless requests."""

    def __init__(self, network: Network, functions: Functions, function: str) -> None:
        self._network, self._functions, self._function = network, functions, function
        self.flooded: set[str] = set()
        self.down: set[str] = set()

    def request(self, caller: Process, region: str, method: str, path: str, body: str | None, patience: float,
                connect: float = 1.0) -> tuple[int, dict[str, Any]]:
        """Status and JSON body. Raises NoAnswer."""
        resource, _, query = path.partition("?")
        parameters = {"payment_id": resource.rpartition("/")[2]} if resource.startswith("/payment/") else None
        event = {"resource": "/payment/{payment_id}" if parameters else resource, "httpMethod": method,
                 "headers": {"Content-Type": "application/json"}, "body": body, "pathParameters": parameters,
                 "queryStringParameters": dict(part.split("=") for part in query.split("&")) if query else None,
                 "isBase64Encoded": False}

        def arrive(answer: Reply) -> None:
            if region in self.down:
                answer((503, {"message": "Service Unavailable"}), None)
            elif region in self.flooded and resource in KEYLESS and self._network.scheduler.random.random() < 0.95:
                answer((429, {"message": "Too Many Requests"}), None)
            else:
                self._functions.invoke(region, self._function, event, lambda found, error: answer(
                    (found["statusCode"], json.loads(found["body"])) if error is None
                    else (429 if isinstance(error, Unavailable) and error.throttled else 502, {}), None))

        try:
            found: tuple[int, dict[str, Any]] = self._network.request(
                caller, region, "execute-api", f"{method} {resource}", arrive, patience, connect)
        except Unavailable as error:
            return (429 if error.throttled else 503), {}
        return found


class Schedule:
    """EventBridge: starts a function of each region every minute, for as long as the region lives."""

    def __init__(self, network: Network, functions: Functions, name: str, regions: tuple[str, ...]) -> None:
        self._network, self._functions, self._name = network, functions, name
        self.stopped: set[str] = set()
        for region in regions:
            network.scheduler.at(network.scheduler.random.uniform(0.0, 5.0), lambda region=region: self._start(region))

    def _start(self, region: str) -> None:
        if region not in self.stopped and region not in self._network.dead:
            self._functions.invoke(region, self._name, {}, lambda _found, _error: None)
        self._network.scheduler.at(MINUTE, lambda: self._start(region))
