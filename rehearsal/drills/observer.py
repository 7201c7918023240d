"""Observes the stack for a drill, whatever is cut off.

It asks the emulator itself, past the proxies, so that its calls are not among those that are recorded. It asks again
where the emulator is too busy to answer in time.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from contract import KEY_ATTRIBUTE, LEVER_KEY, ROLES
from payments.runtime import system_runtime
from payments.stores import AwsResponse
from recovery.control_table import ControlTable
from recovery.observation import Observation
from recovery.record import ControlRecord
from recovery.stack import Stack
from rehearsal.aws.clients import EmulatorClients
from rehearsal.polling import retry
from rehearsal.rehearsed_stack import RehearsedStack, StoreContents
from rehearsal.workload.region import RegionClient


class StackObserver:
    """The regions of a stack as the clients of the emulator itself see them."""

    def __init__(self, rehearsed: RehearsedStack, clients: EmulatorClients) -> None:
        self.stack = Stack.of(rehearsed.outputs)
        self.direct = replace(rehearsed, clients=clients)
        self.regions: Mapping[str, RegionClient] = {  # by name, the primary one first
            rehearsed.outputs[f"{role}_region"]: RegionClient.of(role, rehearsed.outputs, clients) for role in ROLES}
        self._clients, self._faults = clients, rehearsed.faults

    def other(self, region: str) -> str:
        """The region that is not this one."""
        return self.stack.other(region).region

    def contents(self, region: str) -> StoreContents:
        """What the stores of a region hold."""
        return retry(partial(self.direct.contents, self.regions[region]))

    def table(self, region: str) -> ControlTable:
        """The payments table in a region, as recovery uses it."""
        return ControlTable(self._clients("dynamodb", region), self.stack.payments_table_name, system_runtime())

    def record(self, region: str) -> ControlRecord:
        """The record in a region's replica of the table."""
        return retry(self.table(region).record)

    def observation(self, region: str) -> Observation | None:
        """What the controller of a region saw last."""
        return retry(partial(self.table(region).observation, region))

    def items(self, region: str) -> dict[str, AwsResponse]:
        """All items of a region's replica of the table, by key."""
        pages = self._clients("dynamodb", region).get_paginator("scan").paginate(
            TableName=self.stack.payments_table_name)
        return {item[KEY_ATTRIBUTE]["S"]: item for page in pages for item in page["Items"]}

    def restore(self, region: str, items: Mapping[str, AwsResponse]) -> None:
        """Put other items in place of those of a region's replica, as newly written; what they lack is gone."""
        client, present = self._clients("dynamodb", region), self.items(region)
        table = {"TableName": self.stack.payments_table_name}
        for key in present.keys() - items.keys():
            client.delete_item(**table, Key={KEY_ATTRIBUTE: {"S": key}})
        for item in (item for key, item in items.items() if item != present.get(key)):
            client.put_item(**table, Item=item)

    def active(self) -> str:
        """The leading region, by the newest epoch in a replica that is not cut off."""
        cut = self._faults.cut_off()
        return max((self.record(region) for region in self.regions if region not in cut),
                   key=lambda record: record.epoch).region

    def levers(self) -> list[str]:
        """The regions whose lever object is there."""
        return [site.region for site in self.stack.sites if self._clients("s3", site.region).list_objects_v2(
            Bucket=site.control_bucket, Prefix=LEVER_KEY).get("KeyCount")]

    def summary(self) -> list[str]:
        """What the controllers see, did last and failed at, to explain why something did not happen."""
        cut = self._faults.cut_off()
        seen = [f"{region}: {self.observation(region)}, {self.record(region).run}"
                for region in self.regions if region not in cut]
        return [*seen, *[line for region in self.regions for line in self.failures(region)][-3:]]

    def failures(self, region: str) -> list[str]:
        """What the controller of a region failed at, in the starts that have ended."""
        pages = self._clients("logs", region).get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/lambda/{self.stack.site(region).controller_function_name}")
        return [line["message"] for page in pages for line in page["events"] if '"event": "failed"' in line["message"]]
