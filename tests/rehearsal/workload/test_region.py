"""What a region's stores and its function say, with canned answers."""

import json
from io import BytesIO
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rehearsal.errors import CheckFailed
from rehearsal.workload.region import RegionClient
from tests.rehearsal.cloud import Cloud, refusal
from tests.rehearsal.stack import EAST, OUTPUTS


@pytest.fixture
def region(cloud: Cloud) -> RegionClient:
    """The primary region."""
    cloud.answers.update(GetApiKey={"value": "the-key"}, GetObject={"Body": BytesIO(b"secret")})
    return RegionClient.of("primary", OUTPUTS, cloud)


def test_a_region_is_described_by_the_outputs_and_its_key(region: RegionClient) -> None:
    assert (region.name, region.key, region.url) == (EAST, "the-key", OUTPUTS["primary_api_endpoint"])
    assert (region.api.region, region.api.url, region.api.key) == (EAST, region.url, "the-key")
    assert "the-key" not in repr(region.api)
    assert region.segment == "secret"


def test_a_missing_item_is_none(region: RegionClient, cloud: Cloud) -> None:
    assert region.item("x") is None
    cloud.answers["GetItem"] = {"Item": {"payment_id": {"S": "x"}}}
    assert region.item("x") == {"payment_id": {"S": "x"}}


def test_a_receipt_has_its_status_content_and_versions(region: RegionClient, cloud: Cloud) -> None:
    cloud.answers.update(GetObject={"ReplicationStatus": "REPLICA", "Body": BytesIO(b"{}")},
                         ListObjectVersions={"Versions": [{}, {}]})
    assert region.receipt("x") == ("REPLICA", b"{}", 2)
    assert [params["Key"] for name, _, params in cloud.calls if name == "GetObject"] == [
        "check-path", "receipts/x.json"]
    cloud.answers["GetObject"] = refusal("NoSuchKey")
    with pytest.raises(ClientError):
        region.receipt("x")


def test_reconcile_returns_its_report_or_fails_the_check(region: RegionClient, cloud: Cloud) -> None:
    def answer(**more: Any) -> dict[str, Any]:
        return {"Payload": BytesIO(json.dumps({"error": ""}).encode()), **more}

    cloud.answers["Invoke"] = answer()
    assert region.reconciled() == {"error": ""}
    asked = cloud.params("Invoke")
    assert (asked["Qualifier"], asked["Payload"]) == ("live", b'{"begin": true}')
    cloud.answers["Invoke"] = answer(FunctionError="Unhandled")
    with pytest.raises(CheckFailed, match="Unhandled"):
        region.reconciled()
