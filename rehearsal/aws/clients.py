"""Clients of the emulator: boto3's, created once per service and region and shared by all threads, and plain HTTP."""

import threading
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import boto3
import httpx
from botocore.config import Config

READ = 60.0  # seconds to wait for an answer, boto3's default
CREDENTIALS: Mapping[str, str] = MappingProxyType({"aws_access_key_id": "test", "aws_secret_access_key": "test"})

_session = cache(boto3.session.Session)  # one for all: each reads the models of the services again
_LOCK = threading.Lock()  # a session must not create two clients at the same time


def plain_http(**settings: Any) -> httpx.Client:
    """An HTTP client of what listens on this machine; httpx names the settings. It uses no proxy of the environment."""
    return httpx.Client(**settings, trust_env=False, verify=False)  # noqa: S501  # no TLS: certificates take 30 ms to read


class EmulatorClients:
    """`clients("s3", "us-east-1")` returns the one client of that service in that region.

    `connections` is how many calls a client makes at the same time; further ones wait. Without `credentials` they may
    do everything.
    """

    def __init__(self, endpoint: str, connections: int, credentials: Mapping[str, str] = CREDENTIALS) -> None:
        self.endpoint, self._credentials = endpoint, credentials
        # No retries: an emulator on loopback that fails once fails again.
        self._config = Config(max_pool_connections=connections, retries={"total_max_attempts": 1},
                              s3={"addressing_style": "path"})
        self._clients: dict[tuple[str, str, float], Any] = {}

    def __call__(self, service: str, region: str, read: float = READ, *, once: bool = True) -> Any:
        """The client, which waits at most `read` seconds for an answer; each sends a call `once`."""
        del once
        with _LOCK:
            if (service, region, read) not in self._clients:
                self._clients[service, region, read] = _session().client(
                    service, region_name=region, endpoint_url=self.endpoint, **self._credentials,
                    config=self._config.merge(Config(read_timeout=read)))
            return self._clients[service, region, read]
