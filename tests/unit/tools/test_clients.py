"""boto3's clients."""
from typing import Any

import pytest

from tools.clients import WrongAccount, boto_clients, require_account


def test_boto3_makes_the_clients() -> None:
    client = boto_clients(read_timeout=7)("sts", "eu-west-1")
    assert (client.meta.region_name, client.meta.config.read_timeout) == ("eu-west-1", 7)


def test_the_credentials_of_another_account_are_refused() -> None:
    def clients(service: str, region: str) -> Any:
        assert (service, region) == ("sts", "eu-west-1")
        return type("Sts", (), {"get_caller_identity": staticmethod(lambda: {"Account": "1"})})

    require_account("1", clients, "eu-west-1")
    with pytest.raises(WrongAccount, match=r"^account = 2: you are signed in to 1$"):
        require_account("2", clients, "eu-west-1")
