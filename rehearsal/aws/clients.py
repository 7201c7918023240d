"""boto3 clients of the emulator, created once per service and region and shared by all threads."""

import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import boto3
from botocore.config import Config

READ = 60.0  # seconds to wait for an answer, boto3's default
CREDENTIALS: Mapping[str, str] = MappingProxyType({"aws_access_key_id": "test", "aws_secret_access_key": "test"})


class EmulatorClients:
    """`clients("s3", "us-east-1")` returns the one client of that service in that region.

    `connections` is how many calls a client makes at the same time; further ones wait. Without `credentials` they may
    do everything.
    """

    def __init__(self, endpoint: str, connections: int, credentials: Mapping[str, str] = CREDENTIALS) -> None:
        self.endpoint = endpoint
        self._session = boto3.session.Session(**credentials)
        # No retries: an emulator on loopback that fails once fails again.
        self._config = Config(max_pool_connections=connections, retries={"total_max_attempts": 1},
                              s3={"addressing_style": "path"})
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str, float], Any] = {}

    def __call__(self, service: str, region: str, read: float = READ, *, once: bool = True) -> Any:
        """The client, which waits at most `read` seconds for an answer; each sends a call `once`."""
        del once
        with self._lock:  # a session must not create two clients at the same time
            if (service, region, read) not in self._clients:
                self._clients[service, region, read] = self._session.client(
                    service, region_name=region, endpoint_url=self.endpoint,
                    config=self._config.merge(Config(read_timeout=read)))
            return self._clients[service, region, read]
