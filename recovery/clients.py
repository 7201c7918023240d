"""boto3's clients."""
import threading
from typing import Any, Protocol

import boto3
from botocore.config import Config

CONNECT_TIMEOUT, READ_TIMEOUT = 2.0, 5.0  # seconds
# Attempts per call, where somebody else repeats it: for the table the call's deadline, after which a repeat would undo
# a later write; for a function the plan.
ATTEMPTS = {"dynamodb": 1, "lambda": 1}


class ClientFactory(Protocol):
    """Returns AWS clients."""

    def __call__(self, service: str, region: str, read: float = READ_TIMEOUT) -> Any:
        """The client of a service in a region, which waits at most `read` seconds for an answer."""


class BotoClients:
    """A ClientFactory that makes each client once; retries are botocore's, but for `ATTEMPTS`."""

    def __init__(self) -> None:
        self._session = boto3.Session()
        self._lock = threading.Lock()  # a session must not make two clients at the same time
        self._clients: dict[tuple[str, str, float], Any] = {}

    def __call__(self, service: str, region: str, read: float = READ_TIMEOUT) -> Any:
        """As in ClientFactory."""
        with self._lock:
            if (service, region, read) not in self._clients:
                # Without the last setting us-east-1 would go to S3's global host.
                self._clients[service, region, read] = self._session.client(service, region_name=region, config=Config(
                    connect_timeout=CONNECT_TIMEOUT, read_timeout=read, tcp_keepalive=True,
                    retries={"mode": "standard", "total_max_attempts": ATTEMPTS.get(service, 3)},
                    s3={"us_east_1_regional_endpoint": "regional"}))
            return self._clients[service, region, read]
