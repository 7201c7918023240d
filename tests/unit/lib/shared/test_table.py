"""The payments table."""
from typing import Any

from tests.unit.lib.recorder import Recording


def test_the_table_is_eventual_without_a_witness_or_strong_with_one(dev: Recording, domain: Recording) -> None:
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/multi-region-strong-consistency-gt.html
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html
    def table(program: Recording) -> dict[str, Any]:
        return dict(program.of("Table")[0].inputs)

    assert table(dev)["replicas"][0]["consistencyMode"] == "EVENTUAL"
    assert "globalTableWitness" not in table(dev)
    assert table(domain)["replicas"][0]["consistencyMode"] == "STRONG"
    assert table(domain)["globalTableWitness"] == {"regionName": "us-east-2"}
    assert "ttl" not in table(domain)
