"""The HTTP side: turns API Gateway's proxy events into responses, and every failure too."""
import base64
import json
import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from contract import API_KEY_LENGTH, DEFAULT_CLIENT, HEALTH_PATH, READINESS, RESPONSE_HEADERS
from payments.deadline import Deadline, Timing
from payments.errors import Conflict, InvalidRequest, NotTheClient, NotTheWriter, StoreUnavailable
from payments.payment import PAYMENT_ID, parse, stored_id
from payments.readiness import readiness
from payments.runtime import LambdaContext, Runtime
from payments.service import PaymentService

Event = Mapping[str, Any]

RETRY_AFTER_SECONDS = 1
CLIENT_ROLE = "arn:aws:sts::{account}:assumed-role/tapstack-client-{client}-"
"""The beginning of the ARN of a session with which a client signs."""


@dataclass(frozen=True)
class Response:
    """The status, the body (sent as JSON), and headers in addition to those that every response has."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ApiRequest:
    """An event, its deadline, and the fields of its log line, which must not identify a person."""

    event: Event
    deadline: Deadline
    log: dict[str, Any]

    def body(self) -> bytes:
        """The body as the client sent it. Raises InvalidRequest."""
        body = self.event.get("body") or ""
        try:
            return base64.b64decode(body, validate=True) if self.event.get("isBase64Encoded") else body.encode()
        except ValueError as error:
            raise InvalidRequest("body", "must be JSON in UTF-8") from error

    def header(self, name: str) -> set[str]:
        """The different values of a header; `name` in lower case."""
        headers = self.event.get("multiValueHeaders") or {
            key: [value] for key, value in (self.event.get("headers") or {}).items()}
        return {value for key, values in headers.items() if key.lower() == name for value in values}

    def client(self) -> str:
        """The client whose API key API Gateway has found valid; empty for the default one.

        An event without a request context is no client's: its sender may invoke the function itself. Raises
        NotTheClient if the request is signed, and not by the client's role.
        """
        if "requestContext" not in self.event:
            return ""
        context = self.event["requestContext"]
        key, caller = context["identity"]["apiKey"], context["identity"].get("userArn")
        client: str = key[:-API_KEY_LENGTH]
        role = CLIENT_ROLE.format(account=context.get("accountId"), client=client or DEFAULT_CLIENT)
        if caller and not caller.startswith(role):
            raise NotTheClient
        return client


def unavailable(body: Mapping[str, Any]) -> Response:
    """The response that asks the client to try again later."""
    return Response(503, body, {"Retry-After": str(RETRY_AFTER_SECONDS)})


@dataclass(frozen=True, kw_only=True)
class Api:
    """The routes of the payments function in `region`."""

    region: str
    service: PaymentService
    logger: logging.Logger
    timing: Timing
    runtime: Runtime

    def answer(self, event: Event, context: LambdaContext) -> dict[str, Any]:
        """The response to a REST proxy event (payload 1.0); it never raises. Logs one line."""
        start = self.runtime.clock.monotonic()
        log: dict[str, Any] = {}
        try:
            response = self._answer(event, context, log)
        except Exception as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
            # Its message may quote the request, so only its type and its place are logged.
            steps = traceback.walk_tb(error.__traceback__)
            log.update(error=type(error).__name__, at=[f"{frame.f_code.co_name}:{line}" for frame, line in steps])
            response = unavailable({"error": "unavailable"})
        log.update(status=response.status, region=self.region,
                   duration_ms=round((self.runtime.clock.monotonic() - start) * 1000, 1))
        level = logging.ERROR if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO
        self.logger.log(level, "request", extra={"fields": log})
        return {"statusCode": response.status, "body": json.dumps(response.body), "isBase64Encoded": False,
                "headers": {"Content-Type": "application/json", "X-Region": self.region, **RESPONSE_HEADERS,
                            **response.headers}}

    def _answer(self, event: Event, context: LambdaContext, log: dict[str, Any]) -> Response:
        log["request_id"] = context.aws_request_id
        lambda_seconds = context.get_remaining_time_in_millis() / 1000 - self.timing.margin
        deadline = Deadline(self.timing, min(self.timing.budget, lambda_seconds), self.runtime)
        resource = event["resource"]
        if resource.endswith(HEALTH_PATH):
            resource = HEALTH_PATH  # what comes before it is secret, and in no log
        methods = self._routes().get(resource)
        if methods is None:
            return Response(404, {"error": "no such resource"})
        action = methods.get(event["httpMethod"])
        if action is None:
            return Response(405, {"error": "no such method"}, {"Allow": ", ".join(methods)})
        log["route"] = f"{event['httpMethod']} {resource}"
        return self._act(action, ApiRequest(event, deadline, log))

    @staticmethod
    def _act(action: Callable[[ApiRequest], Response], request: ApiRequest) -> Response:
        try:
            return action(request)
        except InvalidRequest as error:
            request.log["error"] = "InvalidRequest"
            return Response(400, {"error": error.reason, "field": error.field})
        except NotTheClient:
            request.log["error"] = "NotTheClient"
            return Response(403, {"message": "Forbidden"})  # as API Gateway says it
        except Conflict:
            request.log["error"] = "Conflict"
            return Response(409, {"error": "the payment id belongs to another request"})
        except NotTheWriter as error:
            request.log["error"] = "NotTheWriter"
            return unavailable({"error": "not the writer", "writer": error.writer})
        except StoreUnavailable as error:
            request.log["error"] = f"{error.store}:{error.code}"
            return unavailable({"error": f"{error.store} unavailable"})

    def _routes(self) -> Mapping[str, Mapping[str, Callable[[ApiRequest], Response]]]:
        return {"/payment": {"POST": self._accept}, "/payment/{payment_id}": {"GET": self._find},
                HEALTH_PATH: {"GET": self._health}, READINESS: {"POST": self._readiness}}

    def _accept(self, request: ApiRequest) -> Response:
        payment = parse(request.body(), request.header("idempotency-key"), request.client())
        request.log["payment_id"] = payment.payment_id
        return Response(201, self.service.accept(payment, request.deadline).answer())

    def _find(self, request: ApiRequest) -> Response:
        client, payment_id = request.client(), request.event["pathParameters"]["payment_id"]
        own = PAYMENT_ID.fullmatch(payment_id)  # another client's stored id is no payment id
        record = self.service.find(stored_id(client, payment_id), request.deadline) if own else None
        if record is None:
            return Response(404, {"error": "no such payment"})
        request.log["payment_id"] = record.payment.payment_id
        return Response(200, record.answer())

    def _health(self, _: ApiRequest) -> Response:
        """Liveness, without calling a store."""
        return Response(200, {"status": "ok", "region": self.region})

    def _readiness(self, request: ApiRequest) -> Response:
        """No API has this resource: only callers that may invoke the function directly can ask."""
        answer = readiness(self.service, request.deadline)
        request.log.update({"error": answer["why"]} if answer["why"] else {})
        return Response(200, answer)
