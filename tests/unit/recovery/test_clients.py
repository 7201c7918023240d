"""boto3's clients, as recovery makes them."""
import pytest

from recovery.clients import BotoClients


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the machine's."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")


def test_a_client_is_made_once_for_a_region_and_a_time() -> None:
    clients = BotoClients()
    made = clients("sns", "us-west-2")
    assert clients("sns", "us-west-2", 5.0) is made
    assert clients("sns", "us-west-2", 900.0) is not made
    assert clients("sns", "us-east-1").meta.region_name == "us-east-1"
    assert (made.meta.config.connect_timeout, made.meta.config.read_timeout) == (2, 5)
    assert clients("sns", "us-west-2", 900.0).meta.config.read_timeout == 900


@pytest.mark.parametrize(("service", "attempts"), [("sns", 3), ("dynamodb", 1), ("lambda", 1)])
def test_botocore_does_not_repeat_what_others_repeat(service: str, attempts: int) -> None:
    client = BotoClients()(service, "us-west-2")
    assert client.meta.config.retries == {"mode": "standard", "total_max_attempts": attempts}


def test_buckets_are_asked_for_in_their_own_region() -> None:
    assert BotoClients()("s3", "us-east-1").meta.endpoint_url == "https://s3.us-east-1.amazonaws.com"
