"""One region of the deployed stack: its API, and what its stores and its function `reconcile` say."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from contract import ALIAS, CHECK_PATH_KEY, KEY_ATTRIBUTE, RECEIPTS_PREFIX, REPAIR_MINUTES
from rehearsal.aws.clients import EmulatorClients
from rehearsal.workload.checks import expect
from rehearsal.workload.http import ApiClient


@dataclass(frozen=True)
class RegionClient:
    """One region of the stack, as the outputs describe it, and what is secret and so no output.

    That is its API key, and the segment of the paths that health checks ask.
    """

    role: str
    name: str
    url: str
    table: str
    bucket: str
    reconcile: str
    key: str
    segment: str
    clients: EmulatorClients

    @classmethod
    def of(cls, role: str, outputs: Mapping[str, Any], clients: EmulatorClients) -> "RegionClient":
        """The region of a role, `primary` or `dr`. Raises ClientError."""
        name = outputs[f"{role}_region"]
        key = clients("apigateway", name).get_api_key(apiKey=outputs[f"{role}_api_key_id"], includeValue=True)["value"]
        segment = clients("s3", name).get_object(Bucket=outputs[f"{role}_control_bucket"], Key=CHECK_PATH_KEY)
        return cls(role=role, name=name, url=outputs[f"{role}_api_endpoint"], table=outputs["payments_table_name"],
                   bucket=outputs[f"{role}_receipts_bucket"], key=key, clients=clients,
                   segment=segment["Body"].read().decode(),
                   reconcile=outputs[f"{role}_reconcile_function_name"])

    @cached_property
    def api(self) -> ApiClient:
        """A client of its API from outside of all regions."""
        return ApiClient(region=self.name, url=self.url, key=self.key)

    def item(self, payment_id: str) -> Any:
        """The payment as this region's replica of the table holds it, or None. Raises ClientError."""
        return self.clients("dynamodb", self.name).get_item(
            TableName=self.table, Key={KEY_ATTRIBUTE: {"S": payment_id}}).get("Item")

    def receipt(self, payment_id: str) -> tuple[str, bytes, int]:
        """The receipt in this region's bucket: replication status, content, number of versions.

        Raises ClientError if there is none.
        """
        s3, key = self.clients("s3", self.name), f"{RECEIPTS_PREFIX}{payment_id}.json"
        found = s3.get_object(Bucket=self.bucket, Key=key)
        versions = s3.list_object_versions(Bucket=self.bucket, Prefix=key).get("Versions", ())
        return found.get("ReplicationStatus", ""), found["Body"].read(), len(versions)

    def reconciled(self) -> dict[str, Any]:
        """The report of the function `reconcile` on a whole pass over this region's stores.

        Raises CheckFailed if the function fails.
        """
        answer = self.clients("lambda", self.name, REPAIR_MINUTES * 60.0).invoke(
            FunctionName=self.reconcile, Qualifier=ALIAS, Payload=b'{"begin": true}')
        found: dict[str, Any] = json.loads(answer["Payload"].read())
        expect(answer.get("FunctionError"), None, f"error of {self.reconcile} ({found})")
        return found
