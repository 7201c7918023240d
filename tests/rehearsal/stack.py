"""The outputs of a stack that was never deployed, and the answers of its stores."""

import json
from collections.abc import Mapping
from dataclasses import fields
from io import BytesIO
from typing import Any

from contract import ROLES, RegionOutputs, StackOutputs
from recovery.plan import Action
from tests.rehearsal.cloud import Cloud

EAST, WEST = REGIONS = ("us-east-1", "us-west-2")
OUTPUTS: dict[str, Any] = {
    **{each.name: "x" for each in fields(StackOutputs)},
    **{f"{role}_{each.name}": f"{each.name}-{role}" for role in ROLES for each in fields(RegionOutputs)},
    "payments_table_name": "payments", "table_consistency": "eventual", "global_cluster_id": "global",
    "look_interval": 10, "least_connections": 83, "health_check_interval": 10, "health_check_threshold": 3,
    "recovery_time_objective": 600, "recovery_point_objective": 5, "domain_name": "pay.example.test",
    **{f"{role}_{key}": value for role, region in zip(ROLES, REGIONS, strict=True) for key, value in {
        "region": region, "instances": 1, "cluster_arn": f"arn:aws:rds:{region}:000000000000:cluster:c",
        "api_key_id": "k", "api_endpoint": f"http://127.0.0.1:9/{region}/live"}.items()}}
MOVES = {Action.SWITCHOVER: "SwitchoverGlobalCluster", Action.FAILOVER: "FailoverGlobalCluster"}


class Stores:
    """Lets a cloud answer for the leadership, the ledger and the database's writer, which can be moved.

    leader, writer: regions. epoch: of the leadership. seen: the newest epoch that the ledger has seen.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.leader, self.epoch, self.writer, self.seen = EAST, 1, EAST, 4
        cloud.answers.update(
            GetItem=lambda _: {"Item": self.item()}, UpdateItem=self.take,
            DescribeGlobalClusters=lambda _: {"GlobalClusters": [{"GlobalClusterMembers": [
                {"DBClusterArn": OUTPUTS[f"{role}_cluster_arn"], "IsWriter": OUTPUTS[f"{role}_region"] == self.writer}
                for role in ROLES]}]},
            DescribeDBClusters={"DBClusters": [{"Status": "available"}]},
            Invoke=lambda _: {"Payload": BytesIO(json.dumps({"epoch": self.seen}).encode())},
            **dict.fromkeys(MOVES.values(), self.move))

    def item(self) -> dict[str, Any]:
        """The leadership, as the table stores it."""
        return {"epoch": {"N": str(self.epoch)}, "region": {"S": self.leader}}

    def take(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Change the leader."""
        values = params["ExpressionAttributeValues"]
        self.leader, self.epoch = values[":region"]["S"], int(values[":next"]["N"])
        return {"Attributes": self.item()}

    def move(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Move the writer."""
        self.writer = params["TargetDbClusterIdentifier"].split(":")[3]
        return {}
