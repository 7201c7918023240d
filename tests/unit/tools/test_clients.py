"""boto3's clients."""
from tools.clients import boto_clients


def test_boto3_makes_the_clients() -> None:
    client = boto_clients(read_timeout=7)("sts", "eu-west-1")
    assert (client.meta.region_name, client.meta.config.read_timeout) == ("eu-west-1", 7)
