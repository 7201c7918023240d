"""boto3's clients."""
import threading
from typing import Any

import boto3
from botocore.config import Config

CONNECT = 2.0  # seconds
# By whom else calls are repeated: the deadline of a call to the table, after which a repeat would undo a later write,
# and for a function the plan.
ATTEMPTS = {"dynamodb": 1, "lambda": 1}


class BotoClients:
    """Clients, each made once; retries are botocore's, but for `ATTEMPTS`. Credentials are those that boto3 finds."""

    def __init__(self) -> None:
        self._session = boto3.Session()
        self._lock = threading.Lock()  # a session must not make two clients at the same time
        self._made: dict[tuple[str, str, float], Any] = {}

    def __call__(self, service: str, region: str, read: float = 5.0) -> Any:
        """The client of a service in a region, which waits at most `read` seconds for an answer."""
        with self._lock:
            if (service, region, read) not in self._made:
                # Without the last setting us-east-1 would go to S3's global host.
                self._made[service, region, read] = self._session.client(service, region_name=region, config=Config(
                    connect_timeout=CONNECT, read_timeout=read, tcp_keepalive=True,
                    retries={"mode": "standard", "total_max_attempts": ATTEMPTS.get(service, 3)},
                    s3={"us_east_1_regional_endpoint": "regional"}))
            return self._made[service, region, read]
