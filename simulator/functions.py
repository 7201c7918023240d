"""Lambda and what starts it: execution environments that freeze between invocations, API Gateway, and EventBridge."""
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import Any

from botocore.exceptions import ClientError

from contract import HEALTH_PATH, LEVER_PATH
from simulator.aws import AwsClient
from simulator.memory import size_of
from simulator.network import Answer, NetworkCall, SimulatedNetwork, Unavailable
from simulator.scheduler import Process, Scheduler

Handler = Callable[[Mapping[str, Any], "Invocation"], Any]
MINUTE = 60.0
STANDS_STILL = 0.5  # the part of the environments whose monotonic clock stands still while they are frozen
CONCURRENCY = 50  # executions of a function for which none are reserved
THROTTLED = 0.95  # the part of the keyless requests that a flooded region answers with 429
EVENT_AGE = 60.0  # seconds for which a start that is throttled is tried again, as `lib` sets it
SAMPLE_SECONDS = 0.02  # between two looks at the memory of a function that has a limit
SEGMENT = "secret"  # of the paths that health checks ask
HEALTH, LEVER = (f"/{SEGMENT}{path}" for path in (HEALTH_PATH, LEVER_PATH))
ROUTES = frozenset({"/payment", "/payment/{payment_id}", HEALTH, LEVER})


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
    """A function of one region: `start` gives the handler of a new execution environment; timeout in seconds.

    memory: bytes of data that it may hold, and answer: bytes of JSON that it may return; 0: no limit.
    """

    name: str
    region: str
    start: Callable[[Process], Handler]
    timeout: float
    idle: list[tuple[Process, Handler]] = field(default_factory=list)
    busy: int = 0
    memory: int = 0
    answer: int = 0


class FunctionFailed(Exception):
    """An invocation that Lambda ended, or whose handler raised."""


class Functions:
    """The functions of all regions, by region and name."""

    def __init__(self, network: SimulatedNetwork) -> None:
        self.network, self._scheduler = network, network.scheduler
        self._functions: dict[tuple[str, str], Function] = {}
        self._number = 0
        self.reserved: dict[tuple[str, str], int] = {}
        """Executions reserved for a function, by region and name, the most that it may use; 0: none may start."""
        self.peak = 0
        """The most memory that a function with a limit has held (bytes)."""

    def add(self, function: Function) -> None:
        """Deploy a function."""
        self._functions[function.region, function.name] = function

    def invoke(self, region: str, name: str, event: Mapping[str, Any], reply: Answer) -> None:
        """Begin an invocation; `reply` is called with what the handler returned or raised."""
        function = self._functions[region, name]
        if function.busy >= self.reserved.get((region, name), CONCURRENCY):
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
                              stands_still=scheduler.random.random() < STANDS_STILL)
            handle, cold = function.start(process), scheduler.random.uniform(0.2, 0.8)
        context = Invocation(scheduler, f"r{self._number}", scheduler.now + cold + function.timeout)
        running = Running(self, function, process, reply)
        scheduler.spawn(process, lambda: running.work(handle, event, context), cold)
        scheduler.at(cold + function.timeout, lambda: running.end("Task timed out"))
        if function.memory:
            scheduler.spawn(Process(scheduler, "memory", region), running.sample, SAMPLE_SECONDS)

    def start(self, region: str, name: str, event: Mapping[str, Any], pause: float = 1.0) -> None:
        """Invoke it asynchronously: a function that fails is not started again, as `lib` sets it.

        A start that Lambda throttles, or that fails by an error of its own, is tried again for a while:
        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
        """
        def answered(_: Any, error: BaseException | None) -> None:
            if isinstance(error, Unavailable) and pause < EVENT_AGE / 2:
                self._scheduler.at(pause, partial(self.start, region, name, event, pause * 2))

        if (region, "lambda") in self.network.refusing:
            answered(None, Unavailable())
        elif region not in self.network.dead:
            self.invoke(region, name, event, answered)

    def failed(self, process: Process, why: str, *, crashed: bool) -> None:
        """Note that an invocation failed, or `crashed` by an error in its code."""
        self.network.history.note(self._scheduler.now, "crashed" if crashed else "failed", process.name, why=why)


class Running:
    """An invocation that runs in an execution environment."""

    def __init__(self, functions: Functions, function: Function, process: Process, reply: Answer) -> None:
        self._functions, self._function, self._process, self._reply = functions, function, process, reply
        self._open = True
        function.busy += 1
        process.ended[:] = [lambda: self._finish(None, FunctionFailed("Runtime.ExitError"))]

    def work(self, handle: Handler, event: Mapping[str, Any], context: Invocation) -> None:
        """Call the handler; the environment idles afterwards."""
        limit = self._function.answer
        found, error = None, None
        try:
            found = handle(event, context)
        except Exception as raised:  # noqa: BLE001  # pylint: disable=broad-exception-caught
            error = FunctionFailed(f"{type(raised).__name__}: {raised}")
            self._functions.failed(self._process, str(error), crashed=True)
        if error is None and limit and len(json.dumps(found)) > limit:
            error = FunctionFailed("Function.ResponseSizeTooLarge")
            self._functions.failed(self._process, str(error), crashed=False)
        if self._open:
            self._finish(found, error)
            self._process.idle()
            self._function.idle.append((self._process, handle))

    def end(self, why: str) -> None:
        """End it with its environment, if it still runs."""
        if self._open:
            self._functions.failed(self._process, why, crashed=False)
            self._finish(None, FunctionFailed(why))
            self._process.kill()

    def sample(self) -> None:
        """Look at its memory again and again, in a task of its own; end it if that is too much."""
        scheduler = self._process.scheduler
        while self._open:
            held = size_of(scheduler.tasks_of(self._process))
            self._functions.peak = max(held, self._functions.peak)
            if held > self._function.memory:
                self.end("Runtime.OutOfMemory")
            scheduler.suspend(SAMPLE_SECONDS)

    def _finish(self, found: Any, error: BaseException | None) -> None:
        if self._open:
            self._open = False
            self._function.busy -= 1
            self._reply(None if error else found, error)


class LambdaClient(AwsClient[Functions]):
    """Lambda's."""

    service = "lambda"

    def __init__(self, functions: Functions, caller: Process, region: str, read: float, **given: bool) -> None:
        super().__init__(functions, caller, region, **given)
        self.read = read

    def invoke(self, *, FunctionName: str, Payload: str | bytes = b"{}",  # noqa: N803
               InvocationType: str = "RequestResponse", **_: Any) -> dict[str, Any]:  # noqa: N803
        """Invoke, and wait for the answer unless the invocation's type is Event."""
        name = FunctionName.split(":")[6] if FunctionName.startswith("arn:") else FunctionName
        event = json.loads(Payload)

        def arrive(answer: Answer) -> None:
            try:
                self._permit("Invoke")
            except ClientError as error:
                answer(None, error)
                return
            if InvocationType == "Event":
                self._part.start(self._region, name, event)
                answer({}, None)
            else:
                self._part.invoke(self._region, name, event, answer)

        try:
            found = self._answered(self._part.network.request, self._network_call("Invoke"), arrive)
        except FunctionFailed as error:
            return {"FunctionError": "Unhandled", "Payload": BytesIO(json.dumps({"errorMessage": str(error)}).encode())}
        return {"Payload": BytesIO(json.dumps(found).encode())}

    def get_function_concurrency(self, *, FunctionName: str) -> dict[str, Any]:  # noqa: N803
        """GetFunctionConcurrency."""
        def serve() -> dict[str, Any]:
            found = self._part.reserved.get((self._region, FunctionName))
            return {} if found is None else {"ReservedConcurrentExecutions": found}

        return self._call("GetFunctionConcurrency", serve)

    def put_function_concurrency(self, *, FunctionName: str,  # noqa: N803
                                 ReservedConcurrentExecutions: int) -> dict[str, Any]:  # noqa: N803
        """PutFunctionConcurrency."""
        change = {(self._region, FunctionName): ReservedConcurrentExecutions}
        return self._call("PutFunctionConcurrency", lambda: self._part.reserved.update(change))

    def delete_function_concurrency(self, *, FunctionName: str) -> dict[str, Any]:  # noqa: N803
        """DeleteFunctionConcurrency."""
        return self._call("DeleteFunctionConcurrency",
                          lambda: self._part.reserved.pop((self._region, FunctionName), None))


class Gateway:
    """API Gateway in front of the payments function; `flooded` regions throttle what health checks ask.

    `pulled` says whether a region's lever is pulled: S3 is asked for it, not the function.
    """

    def __init__(self, network: SimulatedNetwork, functions: Functions, function: str,
                 pulled: Callable[[str], bool]) -> None:
        self.network, self._functions, self.function, self._pulled = network, functions, function, pulled
        self.flooded: set[str] = set()
        self.down: set[str] = set()

    def request(self, caller: Process, region: str, method: str, path: str, *, body: str | None = None,
                patience: float, connect: float = 1.0) -> tuple[int, str]:
        """Status and body, which is JSON. Raises Unanswered."""
        event = _proxy_event(method, path, body)
        resource = event["resource"]

        def answered(answer: Answer, found: Any, error: BaseException | None) -> None:
            if error is None:
                answer((found["statusCode"], found["body"]), None)
            else:
                # What Lambda throttles is an internal error of API Gateway's.
                answer((500 if isinstance(error, Unavailable) else 502, "{}"), None)

        def arrive(answer: Answer) -> None:
            if region in self.down:
                answer((503, '{"message": "Service Unavailable"}'), None)
            elif (region in self.flooded and resource in (HEALTH, LEVER)
                  and self.network.scheduler.random.random() < THROTTLED):
                answer((429, '{"message": "Too Many Requests"}'), None)
            elif resource not in ROUTES:
                answer((403, '{"message": "Missing Authentication Token"}'), None)
            elif resource == LEVER:
                answer(self._lever(region), None)
            else:
                self._functions.invoke(region, self.function, event, partial(answered, answer))

        call = NetworkCall(caller, region, "execute-api", f"{method} {resource}", patience, connect)
        try:
            found: tuple[int, str] = self.network.request(call, arrive)
        except Unavailable as error:
            return (429 if error.throttled else 503), "{}"
        return found

    def _lever(self, region: str) -> tuple[int, str]:
        if (region, "s3") in self.network.refusing:
            return 500, '{"message": "Internal server error"}'
        pulled = self._pulled(region)
        return 200 if pulled else 404, json.dumps({"takeover": pulled})


class ApiGatewayClient(AwsClient[Gateway]):
    """API Gateway's."""

    service = "apigateway"

    def get_api_key(self, **_: Any) -> dict[str, Any]:
        """GetApiKey; no key is asked for."""
        return self._call("GetApiKey", lambda: {"value": "key"})


def _proxy_event(method: str, path: str, body: str | None) -> dict[str, Any]:
    """The event of API Gateway's proxy integration."""
    resource, _, query = path.partition("?")
    parameters = {"payment_id": resource.rpartition("/")[2]} if resource.startswith("/payment/") else None
    return {"resource": "/payment/{payment_id}" if parameters else resource, "httpMethod": method,
            "headers": {"Content-Type": "application/json"}, "body": body, "pathParameters": parameters,
            "queryStringParameters": dict(part.split("=") for part in query.split("&")) if query else None,
            "isBase64Encoded": False}


class Schedule:
    """EventBridge: starts a function of each region every so many seconds, for as long as the region lives."""

    def __init__(self, network: SimulatedNetwork, functions: Functions, name: str, regions: tuple[str, ...],
                 every: float = MINUTE) -> None:
        self._network, self._functions, self._name, self._every = network, functions, name, every
        self.stopped: set[str] = set()
        for region in regions:
            network.scheduler.at(network.scheduler.random.uniform(0.0, 5.0), partial(self._start, region))

    def _start(self, region: str) -> None:
        if region not in self.stopped:
            self._functions.start(region, self._name, {})
        self._network.scheduler.at(self._every, lambda: self._start(region))
