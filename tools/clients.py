"""boto3's clients for the tools."""
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

Clients = Callable[[str, str], Any]
"""Makes the client of a service in a region."""


class WrongAccount(Exception):
    """The credentials belong to another account; the message says so in one line."""


def boto_clients(**config: Any) -> Clients:
    """Makes clients with a configuration (that of botocore's `Config`), each in a session of its own.

    A session that assumes a role does so in the client's region.
    """
    return lambda service, region: boto3.Session(region_name=region).client(service, config=Config(**config))


def require_account(account: str, clients: Clients, region: str) -> None:
    """Asks in `region` whose the credentials are. Raises WrongAccount unless they are those of `account`."""
    signed_in = clients("sts", region).get_caller_identity()["Account"]
    if signed_in != account:
        raise WrongAccount(f"account = {account}: you are signed in to {signed_in}")
