"""What limits the environment suffix, and the longest names."""
from lib.names import MAX_SUFFIX, SUFFIX_LIMITED_BY, Names
from tests.unit.lib.recorder import ACCOUNT


def test_the_tightest_name_limits_the_suffix() -> None:
    assert MAX_SUFFIX == 17
    assert SUFFIX_LIMITED_BY.startswith("the S3 bucket tapstack-receipts-{suffix}")
    names = Names("dev", "us-east-1", ACCOUNT)
    assert names.receipts == f"tapstack-receipts-dev-us-east-1-{ACCOUNT}"
    assert names.table_arn == f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/payment-transactions-dev"
