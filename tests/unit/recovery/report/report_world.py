"""A world in which repair has written what it found, and a report can be made of a move."""
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from contract import REPAIR_FOLDER, REPAIR_PREFIX, ROLES
from simulator.s3 import S3Client
from simulator.scheduler import EPOCH, Process
from simulator.world import REGIONS
from tests.unit.recovery.calm_world import WEST, CalmWorld


class ListingClient(S3Client):
    """S3's, which lists objects in pages of one."""

    def get_paginator(self, operation: str) -> Any:
        """Of ListObjectsV2."""
        assert operation == "list_objects_v2"
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        """ListObjectsV2; a page may be empty."""
        yield self._call("ListObjectsV2", dict, Bucket)
        for key, versions in sorted(self._part.objects[Bucket].items()):
            if key.startswith(Prefix):
                yield {"Contents": [{"Key": key, "LastModified": datetime.fromtimestamp(EPOCH + versions[-1].at, UTC)}]}


def line(payment_id: str, outcome: str = "repaired", amount: int = 1250, currency: str = "EUR",
         **more: Any) -> dict[str, Any]:
    """What repair writes of a payment, under epoch 2."""
    content = {"payment_id": payment_id, "amount": amount, "currency": currency, "payer": "alice", "payee": "bob",
               "created_at": "2027-01-15T08:00:00.000Z"}
    return {"payment_id": payment_id, "outcome": outcome, "wrong": {"ledger": "lost"}, "payment": content,
            "others": [], "epoch": 2, **more}


class ReportWorld(CalmWorld):
    """The world; its outputs name the receipts buckets."""

    def _outputs(self) -> dict[str, Any]:
        return {**super()._outputs(), **{f"{role}_receipts_bucket": f"receipts-{region}"
                                         for role, region in zip(ROLES, REGIONS, strict=True)}}

    def _client_of(self, process: Process, service: str, region: str, read: float, *, once: bool) -> Any:
        if service == "s3":
            return ListingClient(self.buckets, process, region)
        return super()._client_of(process, service, region, read, once=once)

    def repair(self, *lines: Any, number: int = 1, part: int = 0, text: bytes = b"", **progress: Any) -> None:
        """Let the repair of west have written lines, and its progress."""
        body = text or b"".join(json.dumps(each).encode() + b"\n" for each in lines)
        self.buckets.write(f"receipts-{WEST}", f"{REPAIR_FOLDER}{WEST}/{number:08}-{part:05}.jsonl", body)
        document = {"document": {"S": json.dumps({"epoch": 2, "phase": "ended", "number": number, **progress})}}
        self.table.put(WEST, REPAIR_PREFIX + WEST, document)
