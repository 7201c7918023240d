"""The outputs of a stack that was never deployed, and the answers of its stores."""

import json
from collections.abc import Mapping
from dataclasses import fields
from io import BytesIO
from typing import Any

from contract import ROLES, RegionOutputs, StackOutputs
from recovery.plan import Action
from recovery.record import ControlRecord
from tests.rehearsal.cloud import Cloud, refusal

EAST, WEST = REGIONS = ("us-east-1", "us-west-2")
OUTPUTS: dict[str, Any] = {
    **{each.name: "x" for each in fields(StackOutputs)},
    **{f"{role}_{each.name}": f"{each.name}-{role}" for role in ROLES for each in fields(RegionOutputs)},
    "payments_table_name": "payments", "table_consistency": "eventual", "global_cluster_id": "global",
    "look_interval": 10, "least_connections": 83, "health_check_interval": 10, "health_check_threshold": 3,
    "recovery_time_objective": 600, "recovery_point_objective": 5, "domain_name": "pay.example.test",
    **{f"{role}_{key}": value for role, region in zip(ROLES, REGIONS, strict=True) for key, value in {
        "region": region, "instances": 1, "cluster_arn": f"arn:aws:rds:{region}:000000000000:cluster:c",
        "api_key_id": "k", "receipts_bucket": "receipts",
        "api_endpoint": f"http://127.0.0.1:9/{region}/live"}.items()}}
MOVES = {Action.SWITCHOVER: "SwitchoverGlobalCluster", Action.FAILOVER: "FailoverGlobalCluster"}


class Stores:
    """Lets a cloud answer for the record, the ledger and the database's writer, which can be moved.

    writer: its region. seen: the newest epoch that the ledger has seen.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.record, self.writer, self.seen = ControlRecord(revision=1, epoch=1, region=EAST), EAST, 4
        cloud.answers.update(
            GetItem=lambda _: {"Item": self.record.item()}, PutItem=self.write,
            DescribeGlobalClusters=lambda _: {"GlobalClusters": [{"GlobalClusterMembers": [
                {"DBClusterArn": OUTPUTS[f"{role}_cluster_arn"], "IsWriter": OUTPUTS[f"{role}_region"] == self.writer}
                for role in ROLES]}]},
            DescribeDBClusters={"DBClusters": [{"Status": "available"}]},
            Invoke=lambda _: {"Payload": BytesIO(json.dumps(self.answer()).encode())},
            **dict.fromkeys(MOVES.values(), self.move))

    def answer(self) -> dict[str, Any]:
        """What a function says: the payments function of its readiness, and repair that nothing is lost."""
        return {"body": json.dumps({"ready": True, "ledger_epoch": self.seen}), "error": "", "counts": {"lost": 0}}

    def write(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Write the next revision of the record."""
        if params["ExpressionAttributeValues"][":revision"]["N"] != str(self.record.revision):
            raise refusal("ConditionalCheckFailedException")
        self.record = ControlRecord.of(params["Item"])
        return {}

    def move(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Move the writer."""
        self.writer = params["TargetDbClusterIdentifier"].split(":")[3]
        return {}
