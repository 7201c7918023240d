"""What the simulated clients of AWS share: how a call is made, and the errors of boto3."""
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from simulator.network import NetworkCall, SimulatedNetwork, Unanswered, Unavailable
from simulator.scheduler import Process


class Part(Protocol):
    """A simulated service."""

    network: SimulatedNetwork


SERVED = "us-east-1"
"""Where the control planes are that serve all regions."""
P = TypeVar("P", bound=Part)
Reply = dict[str, Any]


def failure(operation: str, code: str, status: int, **more: Any) -> ClientError:
    """An error as boto3 raises it."""
    return ClientError({"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status},
                        **more}, operation)


class AwsClient(Generic[P]):
    """A boto3 client of a part in one region, in the hands of a process; `read` and `connect` in seconds.

    `once`: what moves the writer is asked for once, even if there is no answer.
    """

    service: ClassVar[str]
    connect: ClassVar[float] = 2.0
    read = 5.0
    empty: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """The operation and the key of the answer of each paginator; all have one empty page."""

    def __init__(self, part: P, caller: Process, region: str, _read: float = 0.0, *, once: bool = True) -> None:
        self._part, self._caller, self._region, self._once = part, caller, region, once

    def get_paginator(self, operation: str) -> "Paginator":
        """A paginator of nothing."""
        name, key = self.empty[operation]
        return Paginator(lambda: self._call(name, lambda: {key: []}))

    def _call(self, operation: str, serve: Callable[[], Any], resource: str = "", *, record: bool = False) -> Reply:
        """What the service answers, or what boto3 raises. `resource` is what the call may be denied for."""
        found: Reply = self._answered(self._part.network.call, self._network_call(operation, record=record),
                                      partial(self._serve, operation, resource, serve))
        return found

    def _serve(self, operation: str, resource: str, serve: Callable[[], Any]) -> Any:
        """What the service answers, or raises, once a call is there."""
        if self._part.network.denied:
            self._permit(operation, resource)
        return serve()

    def _permit(self, operation: str, resource: str = "") -> None:
        if (self._region, operation, resource) in self._part.network.denied:
            raise failure(operation, "AccessDenied", 403)

    def _network_call(self, operation: str, *, record: bool = False) -> NetworkCall:
        return NetworkCall(self._caller, self._region, self.service, operation, self.read, self.connect, record)

    @staticmethod
    def _answered(send: Callable[[NetworkCall, Any], Any], call: NetworkCall, serve: Callable[..., Any]) -> Any:
        """What a call gives, or what boto3 raises where there is no answer, or an error of the service itself."""
        try:
            return send(call, serve)
        except Unanswered as error:
            if error.connected:
                raise ReadTimeoutError(endpoint_url=call.operation) from error
            raise ConnectTimeoutError(endpoint_url=call.operation) from error
        except Unavailable as error:
            code, status = ("ThrottlingException", 400) if error.throttled else ("InternalServerError", 500)
            raise failure(call.operation, code, status) from error


class Paginator:
    """A paginator of boto3 with one page."""

    def __init__(self, page: Callable[[], dict[str, Any]]) -> None:
        self._page = page

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        """The page."""
        yield self._page()
