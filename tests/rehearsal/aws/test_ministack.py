"""Copies that lag: the queues with a fake clock, then in the emulator's own services."""

import asyncio
import copy
import importlib
import inspect
import io
import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest

from rehearsal.aws.ministack import (
    PATH,
    RECEIPTS,
    TABLE,
    ApiKeys,
    Authorization,
    BucketReplication,
    CopyQueues,
    EndpointPolicies,
    HeadlessClusters,
    ObjectIntegrations,
    SecretReplicas,
    TableReplication,
    controlled,
    unpack_once,
)
from tests.rehearsal.workload.api import InstantClock

EAST, WEST, WITNESS = "us-east-1", "us-west-2", "us-east-2"
ACCOUNT = "000000000000"


class Writes:
    """Queues, and what has been copied from one region to the other, in order."""

    def __init__(self) -> None:
        self.clock = InstantClock(now=0.0)
        self.queues = CopyQueues(self.clock.time)
        self.copied: list[str] = []

    def write(self, name: str, store: str = TABLE, direction: tuple[str, str] = (EAST, WEST)) -> None:
        """Write something now."""
        self.queues.put(store, *direction, name, lambda: self.copied.append(name))

    def lag(self, seconds: float, growth: float = 0.0) -> None:
        """Let the copies of the table lag from east to west."""
        self.queues.change({"lag": {
            "store": TABLE, "source": EAST, "target": WEST, "seconds": seconds, "growth": growth}})

    def at(self, now: float) -> list[str]:
        """What has been copied by a time."""
        self.clock.now = now
        self.queues.make_due()
        return self.copied

    def report(self) -> dict[str, Any]:
        """The report of the first queue."""
        return self.queues.report()[0]


@pytest.fixture
def writes() -> Writes:
    """Queues that have copied nothing yet."""
    return Writes()


def test_without_a_lag_a_copy_is_due_at_once(writes: Writes) -> None:
    writes.write("a")
    assert writes.at(0) == ["a"]


def test_copies_are_made_after_the_lag_in_order(writes: Writes) -> None:
    writes.lag(2)
    writes.write("a")
    writes.at(1)
    writes.write("b")
    assert [list(writes.at(now)) for now in (1.9, 2, 3)] == [[], ["a"], ["a", "b"]]


def test_stores_and_directions_lag_independently(writes: Writes) -> None:
    writes.lag(2)
    writes.write("item")
    writes.write("receipt", RECEIPTS)
    writes.write("back", direction=(WEST, EAST))
    assert writes.at(0) == ["receipt", "back"]


def test_with_a_growing_lag_each_copy_takes_longer(writes: Writes) -> None:
    writes.lag(1, growth=0.5)
    writes.write("a")
    assert [list(writes.at(now)) for now in (1.9, 2)] == [[], ["a"]]  # 1 + 0.5 * 2
    writes.write("b")
    assert [list(writes.at(now)) for now in (5.9, 6)] == [["a"], ["a", "b"]]  # 4 = 1 + 0.5 * 6


def test_stopped_copies_wait_and_a_change_applies_to_them_too(writes: Writes) -> None:
    writes.lag(math.inf)
    writes.write("a")
    assert writes.at(1e6) == []
    assert (writes.report()["lag_ms"], writes.report()["waiting"]) == (1e9, ["a"])
    writes.lag(0)
    assert writes.at(1e6) == ["a"]
    assert (writes.report()["lag_ms"], writes.report()["waiting"]) == (0, [])


@pytest.mark.parametrize(
    "fault", [{"cut": [EAST]}, {"cut": [WEST]}, {"connection_cut": True}, {"lost": [[TABLE, EAST]]},
              {"lost": [[TABLE, WEST]]}])
def test_what_is_not_copied_before_a_fault_arrives_after_it(writes: Writes, fault: Mapping[str, Any]) -> None:
    writes.write("before")
    writes.queues.change(fault)
    writes.write("within")
    assert writes.at(9) == ["before"]
    writes.queues.change(dict.fromkeys(fault, ()))
    assert writes.at(9) == ["before", "within"]


def test_what_a_destroyed_region_has_not_copied_is_lost(writes: Writes) -> None:
    writes.lag(2)
    writes.write("a")
    writes.queues.change({"destroy": EAST})
    assert writes.at(9) == []
    assert writes.report()["waiting"] == []


def ask(queues: CopyQueues, path: str, body: bytes, **headers: str) -> tuple[int, Any]:
    """Status and answer of the application that is put in front of an emulator."""
    found = [(key.encode(), value.encode()) for key, value in headers.items()]
    sent: list[Any] = []

    async def emulator(scope: Any, _receive: Any, _send: Any) -> None:
        sent.extend(({"status": 0}, {"body": json.dumps(scope["path"]).encode()}))

    async def receive() -> Any:
        return {"body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(controlled(emulator, queues, {"/more": dict})(
        {"type": "http", "path": path, "headers": found}, receive, send))
    status: int = sent[0]["status"]
    return status, json.loads(sent[1]["body"]) if status < 400 else sent[1]["body"]


def test_settings_come_over_http_and_the_report_goes_back(writes: Writes) -> None:
    writes.write("a")
    status, report = ask(writes.queues, PATH, b"{}")
    assert (status, [(queue["source"], queue["waiting"]) for queue in report]) == (200, [(EAST, [])])
    assert ask(writes.queues, "/", b"") == (0, "/")
    assert ask(writes.queues, "/more", b'{"a": "b"}') == (200, {"a": "b"})


@pytest.mark.parametrize("path", ["/", PATH])
def test_what_a_web_page_could_send_is_refused(writes: Writes, path: str) -> None:
    for sent in ({"origin": "null"}, {"host": "attacker.example"}, {"host": "127.0.0.1.attacker.example:80"}):
        assert ask(writes.queues, path, b"{}", **sent) == (403, b"")
    for host in ("localhost", "127.0.0.1:4566", "[::1]:4566"):
        assert ask(writes.queues, "/", b"", host=host) == (0, "/")


@pytest.mark.parametrize("body", [b"{", b'{"lag": {}}', b'{"lag": 1}', b'{"lags": 1}'])
def test_invalid_settings_are_refused(writes: Writes, body: bytes) -> None:
    assert ask(writes.queues, PATH, body)[0] == 400


class World:
    """The emulator's own services, with one global table and two buckets that replicate to each other."""

    def __init__(self) -> None:
        self.clock = InstantClock(now=0.0)
        self.queues = CopyQueues(self.clock.time)
        self.scope: Any = importlib.import_module("ministack.core.responses")
        self.dynamodb: Any = importlib.import_module("ministack.services.dynamodb")
        self.s3: Any = importlib.import_module("ministack.services.s3")
        self._changed = [(module, name, getattr(module, name)) for module, names in (
            (self.dynamodb, ("_replicate_write", "_update_table", "_table_description", "handle_request")),
            (self.s3, ("_maybe_replicate", "_maybe_replicate_delete_marker"))) for name in names]
        TableReplication(self.dynamodb, self.scope, self.queues)
        BucketReplication(self.s3, self.scope, self.queues)

    def restore(self) -> None:
        """Leave the services as they were."""
        for module, name, original in self._changed:
            setattr(module, name, original)
        self.dynamodb.reset()
        self.s3.reset()

    def table(self, region: str, action: str, **data: Any) -> Any:
        """What DynamoDB answers in a region; the code of an error."""
        headers = {"x-amz-target": f"DynamoDB_20120810.{action}"}
        body = json.dumps({"TableName": "payments", **data}).encode()
        with self.scope.request_scope(ACCOUNT, region):
            status, _, answer = asyncio.run(self.dynamodb.handle_request("POST", "/", headers, body, {}))
        found = json.loads(answer)
        return found if status == 200 else found["__type"].rpartition("#")[2]

    def make_table(self, **replication: Any) -> None:
        """A global table."""
        self.table(EAST, "CreateTable", AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                   KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST")
        self.table(EAST, "UpdateTable", ReplicaUpdates=[{"Create": {"RegionName": WEST}}], **replication)

    def make_strong_table(self) -> None:
        """A global table of strong consistency, with a witness."""
        self.make_table(MultiRegionConsistency="STRONG",
                        GlobalTableWitnessUpdates=[{"Create": {"RegionName": WITNESS}}])

    def put(self, region: str, value: str, **condition: Any) -> Any:
        """Write the one item."""
        return self.table(region, "PutItem", Item={"id": {"S": "a"}, "v": {"S": value}}, **condition)

    def get(self, region: str, *, consistent: bool = False) -> Any:
        """The value of the one item."""
        found = self.table(region, "GetItem", Key={"id": {"S": "a"}}, ConsistentRead=consistent)
        return found.get("Item", {}).get("v", {}).get("S") if isinstance(found, dict) else found

    def lag(self, store: str, seconds: float) -> None:
        """Let the copies of a store lag from east to west."""
        self.queues.change({"lag": {"store": store, "source": EAST, "target": WEST, "seconds": seconds, "growth": 0}})

    def bucket(self, region: str, method: str, path: str = "", body: bytes = b"", **headers: str) -> Any:
        """What S3 answers: status, header by lower-case names, body."""
        path, _, query = path.partition("?")
        self.queues.make_due()
        with self.scope.request_scope(ACCOUNT, region):
            status, answered, content = asyncio.run(self.s3.handle_request(
                method, f"/{region}{path}", {name.replace("_", "-"): value for name, value in headers.items()}, body,
                {query.partition("=")[0]: [query.partition("=")[2]]} if query else {}))
        return status, {name.lower(): value for name, value in answered.items()}, content

    def make_buckets(self) -> None:
        """A bucket in each region, with the region's name."""
        for region in (EAST, WEST):
            location = "" if region == EAST else (f"<CreateBucketConfiguration><LocationConstraint>{region}"
                                                  "</LocationConstraint></CreateBucketConfiguration>")
            self.bucket(region, "PUT", body=location.encode())
            self.bucket(region, "PUT", "?versioning=",
                        b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
        for region, other in ((EAST, WEST), (WEST, EAST)):
            rule = ("<ReplicationConfiguration><Role>arn:aws:iam::000000000000:role/r</Role><Rule><ID>r</ID>"
                    "<Priority>1</Priority><Status>Enabled</Status><Filter><Prefix></Prefix></Filter>"
                    "<DeleteMarkerReplication><Status>Enabled</Status></DeleteMarkerReplication>"
                    f"<Destination><Bucket>arn:aws:s3:::{other}</Bucket></Destination></Rule>"
                    "</ReplicationConfiguration>")
            assert self.bucket(region, "PUT", "?replication=", rule.encode())[0] == 200


@pytest.fixture
def world() -> Iterator[World]:
    """The services, with copies that lag."""
    world = World()
    yield world
    world.restore()


NEW = {"ConditionExpression": "attribute_not_exists(id)"}


def test_a_condition_sees_its_own_regions_copy_and_the_later_write_wins(world: World) -> None:
    world.make_table()
    world.lag(TABLE, 2)
    world.put(EAST, "east")
    assert world.get(WEST) is None
    assert world.put(WEST, "west", **NEW) == {}
    assert world.get(EAST) == "west"
    assert world.put(EAST, "again", **NEW) == "ConditionalCheckFailedException"
    world.clock.now = 2
    assert [world.get(region) for region in (EAST, WEST)] == ["west", "west"]


def test_a_deletion_is_copied_too(world: World) -> None:
    world.make_table()
    world.put(EAST, "1")
    assert world.get(WEST) == "1"
    world.table(WEST, "DeleteItem", Key={"id": {"S": "a"}})
    assert world.get(EAST) is None


def test_a_copy_is_in_the_stream_and_goes_no_further(world: World) -> None:
    world.make_table()
    world.put(EAST, "1")
    world.get(WEST)
    with world.scope.request_scope(ACCOUNT, WEST):
        assert [each["eventName"] for each in world.dynamodb.stream_live_records("payments")] == ["INSERT"]
    assert [queue["source"] for queue in world.queues.report()] == [EAST]


def test_two_regions_that_wrote_behind_a_cut_agree_afterwards(world: World) -> None:
    world.make_table()
    world.queues.change({"cut": [EAST]})
    world.put(WEST, "west")
    world.put(EAST, "east")
    assert [world.get(region) for region in (EAST, WEST)] == ["east", "west"]
    world.queues.change({"cut": []})
    assert [world.get(region) for region in (EAST, WEST)] == ["east", "east"]


def test_strong_consistency_is_described_and_does_not_lag(world: World) -> None:
    world.make_strong_table()
    world.lag(TABLE, 9)
    for region in (EAST, WEST):
        table = world.table(region, "DescribeTable")["Table"]
        assert (table["MultiRegionConsistency"], table["GlobalTableWitnesses"][0]["RegionName"]) == ("STRONG", WITNESS)
    assert world.put(EAST, "east", **NEW) == {}
    assert world.put(WEST, "west", **NEW) == "ConditionalCheckFailedException"


def test_a_region_without_a_quorum_neither_writes_nor_reads_consistently(world: World) -> None:
    world.make_strong_table()
    world.put(EAST, "1")
    world.queues.change({"cut": [EAST]})
    assert world.put(EAST, "2") == world.get(EAST, consistent=True) == "InternalServerError"
    batch = {"RequestItems": {"payments": {"Keys": [{"id": {"S": "a"}}], "ConsistentRead": True}}}
    assert world.table(EAST, "BatchGetItem", **batch) == "InternalServerError"
    assert world.put(WEST, "3") == {}
    assert (world.get(EAST), world.get(WEST, consistent=True)) == ("1", "3")
    world.queues.change({"cut": [EAST, WITNESS]})
    assert world.put(WEST, "4") == "InternalServerError"
    world.queues.change({"cut": []})
    assert world.get(EAST, consistent=True) == "3"


def test_a_strong_table_needs_no_way_between_its_replicas_since_both_reach_the_witness(world: World) -> None:
    world.make_strong_table()
    world.queues.change({"connection_cut": True})
    assert (world.put(EAST, "1"), world.get(WEST, consistent=True)) == ({}, "1")


def test_a_table_that_loses_its_replica_is_no_longer_strong(world: World) -> None:
    world.make_strong_table()
    world.table(EAST, "UpdateTable", ReplicaUpdates=[{"Delete": {"RegionName": WEST}}])
    assert "MultiRegionConsistency" not in world.table(EAST, "DescribeTable")["Table"]


def test_an_object_is_pending_until_its_copy_is_made_and_the_copy_keeps_version_and_tags(world: World) -> None:
    world.make_buckets()
    world.lag(RECEIPTS, 2)
    version = world.bucket(EAST, "PUT", "/r", b"receipt", x_amz_tagging="a=b")[1]["x-amz-version-id"]
    assert world.bucket(EAST, "HEAD", "/r")[1]["x-amz-replication-status"] == "PENDING"
    assert world.bucket(WEST, "HEAD", "/r")[0] == 404
    world.clock.now = 2
    status, headers, body = world.bucket(WEST, "GET", f"/r?versionId={version}")
    assert (status, headers["x-amz-replication-status"], body) == (200, "REPLICA", b"receipt")
    assert world.bucket(WEST, "HEAD", "/r")[1]["x-amz-version-id"] == version
    assert b"<Key>a</Key><Value>b</Value>" in world.bucket(WEST, "GET", "/r?tagging=")[2]
    for path in ("/r", f"/r?versionId={version}"):
        assert world.bucket(EAST, "HEAD", path)[1]["x-amz-replication-status"] == "COMPLETED"


def test_a_copy_is_locked_as_its_source_is(world: World) -> None:
    world.make_buckets()
    lock = (b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
            b"<Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>")
    for region in (EAST, WEST):
        assert world.bucket(region, "PUT", "/?object-lock=", lock)[0] == 200
    version = world.bucket(EAST, "PUT", "/r", b"receipt")[1]["x-amz-version-id"]
    shown = [world.bucket(region, "HEAD", f"/r?versionId={version}")[1]["x-amz-object-lock-retain-until-date"]
             for region in (EAST, WEST)]
    assert shown[0] == shown[1]
    for region in (EAST, WEST):
        assert world.bucket(region, "DELETE", f"/r?versionId={version}")[0] == 403


def test_a_delete_marker_lags_as_well(world: World) -> None:
    world.make_buckets()
    world.bucket(EAST, "PUT", "/r", b"receipt")
    world.lag(RECEIPTS, 2)
    world.bucket(EAST, "DELETE", "/r")
    assert world.bucket(WEST, "HEAD", "/r")[0] == 200
    world.clock.now = 2
    assert world.bucket(WEST, "HEAD", "/r")[0] == 404


def test_an_object_that_was_deleted_for_good_is_not_copied(world: World) -> None:
    world.make_buckets()
    world.lag(RECEIPTS, 2)
    version = world.bucket(EAST, "PUT", "/r", b"receipt")[1]["x-amz-version-id"]
    world.bucket(EAST, "DELETE", f"/r?versionId={version}")
    world.clock.now = 2
    assert world.bucket(WEST, "HEAD", "/r")[0] == 404
    assert world.queues.report()[0]["waiting"] == []


class GlobalDatabase:
    """The emulator's own RDS, with a global database of a cluster in each of two regions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scope: Any = importlib.import_module("ministack.core.responses")
        self.rds: Any = importlib.import_module("ministack.services.rds")
        monkeypatch.setattr(self.rds, "_resolve_global_writer_switch", self.rds._resolve_global_writer_switch)
        HeadlessClusters(self.rds)
        engine = {"Engine": "aurora-postgresql", "GlobalClusterIdentifier": "ledger"}
        self.call(EAST, "CreateGlobalCluster", **engine)
        for region in (EAST, WEST):
            self.call(region, "CreateDBCluster", DBClusterIdentifier="ledger", **engine,
                      **({"MasterUsername": "me", "MasterUserPassword": "not-a-secret"} if region == EAST else {}))
        self.instance(EAST)

    def call(self, region: str, action: str, **parameters: str) -> str:
        """What RDS answers in a region."""
        with self.scope.request_scope(ACCOUNT, region):
            _, _, answer = asyncio.run(self.rds.handle_request(
                "POST", "/", {}, urlencode({"Action": action, **parameters}).encode(), {}))
        return str(answer.decode())

    def instance(self, region: str) -> None:
        """Add an instance."""
        self.call(region, "CreateDBInstance", DBInstanceIdentifier="one", DBClusterIdentifier="ledger",
                  DBInstanceClass="db.serverless", Engine="aurora-postgresql")


@pytest.mark.parametrize(("action", "asked_in", "more"), [
    ("FailoverGlobalCluster", WEST, {"AllowDataLoss": "true"}), ("SwitchoverGlobalCluster", EAST, {})])
def test_a_cluster_without_an_instance_cannot_be_promoted(
        monkeypatch: pytest.MonkeyPatch, action: str, asked_in: str, more: dict[str, str]) -> None:
    database = GlobalDatabase(monkeypatch)
    request = {"GlobalClusterIdentifier": "ledger", **more,
               "TargetDbClusterIdentifier": f"arn:aws:rds:{WEST}:{ACCOUNT}:cluster:ledger"}
    try:
        answer = database.call(asked_in, action, **request)
        assert "<Code>InvalidDBClusterStateFault</Code>" in answer
        assert "DBCluster ledger has no DB instance to promote." in answer
        assert re.search(rf"<DBClusterArn>[^<]*{EAST}[^<]*</DBClusterArn>(?:(?!</?DBClusterArn).)*<IsWriter>true",
                         database.call(EAST, "DescribeGlobalClusters"), re.DOTALL)
        database.instance(WEST)
        assert "Fault" not in database.call(asked_in, action, **request)
        unknown = database.call(asked_in, action, **{**request, "GlobalClusterIdentifier": "another"})
        assert "GlobalClusterNotFoundFault" in unknown
    finally:
        database.rds.reset()


def test_another_release_of_the_emulator_is_refused(world: World) -> None:
    del world.dynamodb._replicate_write
    with pytest.raises(SystemExit, match=r"_replicate_write\(table, event_name, old_item, new_item\) is not in this"):
        TableReplication(world.dynamodb, world.scope, world.queues)


def zipped(**modules: str) -> bytes:
    """A deployment package."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as package:
        for name, source in modules.items():
            package.writestr(f"{name}.py", source)
    return target.getvalue()


def test_a_package_is_unpacked_once_and_compiled_by_its_first_process(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(zipfile.ZipFile, "extractall", zipfile.ZipFile.extractall)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    unpack_once()

    def unpack(worker: str, **modules: str) -> Path:
        """What MiniStack does for a process."""
        (tmp_path / worker / "code").mkdir(parents=True)
        (tmp_path / worker / "code.zip").write_bytes(zipped(**modules))
        with zipfile.ZipFile(tmp_path / worker / "code.zip") as package:
            package.extractall(str(tmp_path / worker / "code"))
        return tmp_path / worker / "code"

    def imports(code: Path) -> str:
        return subprocess.run([sys.executable, "-c", "import sound; print(sound.FOUND)"], cwd=code, check=True,
                              capture_output=True, text=True, env={}).stdout

    first, second, other = (unpack(str(worker), sound=f"FOUND = {found}") for worker, found in enumerate((1, 1, 3)))
    assert imports(first) == "1\n"
    assert [path.name.partition(".")[0] for path in (second / "__pycache__").iterdir()] == ["sound"]
    assert imports(other) == "3\n"
    shutil.rmtree(first.parent)  # as at a process's end
    assert imports(second) == "1\n"


def test_an_endpoint_shows_the_policy_that_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    scope: Any = importlib.import_module("ministack.core.responses")
    ec2: Any = importlib.import_module("ministack.services.ec2")
    monkeypatch.setattr(ec2, "_vpce_fields_xml", vars(ec2)["_vpce_fields_xml"])
    EndpointPolicies(ec2)

    def call(action: str, **parameters: str) -> str:
        body = urlencode({"Action": action, **parameters}).encode()
        with scope.request_scope(ACCOUNT, EAST):
            return str(asyncio.run(ec2.handle_request("POST", "/", {}, body, {}))[2].decode())

    (endpoint,) = re.findall("<vpcEndpointId>(.*?)</vpcEndpointId>", call("CreateVpcEndpoint"))
    call("ModifyVpcEndpoint", VpcEndpointId=endpoint, PolicyDocument='{"a": "<&>"}')
    shown = re.findall("<policyDocument>(.*)</policyDocument>", call("DescribeVpcEndpoints"))
    assert shown == ['{"a": "&lt;&amp;&gt;"}']
    call("DeleteVpcEndpoints", **{"VpcEndpointId.1": endpoint})


def test_keys_of_one_value_are_one_key_whatever_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway: Any = importlib.import_module("ministack.services.apigateway_v1")
    keys = [{"id": "k1", "value": "same"}, {"id": "k2", "value": "same"}, {"id": "k3", "value": "other"}]
    monkeypatch.setattr(gateway, "_api_keys", SimpleNamespace(all_items=lambda: [((), each) for each in keys]))

    def of_one(key_id: str, api_id: str, stage_name: str) -> list[str]:
        return [f"plan of {key_id} for {api_id} {stage_name}"]

    monkeypatch.setattr(gateway, "_usage_plans_for_key", of_one)
    monkeypatch.setattr(gateway, "_build_lambda_event_v1", vars(gateway)["_build_lambda_event_v1"])
    ApiKeys(gateway)
    assert vars(gateway)["_usage_plans_for_key"]("k1", "a", "s") == ["plan of k1 for a s", "plan of k2 for a s"]


@pytest.mark.parametrize(("asks", "told"), [(True, "a key"), (False, None)])
def test_a_function_is_told_of_the_key_that_its_method_asks_for(
        monkeypatch: pytest.MonkeyPatch, asks: bool, told: str | None) -> None:
    gateway: Any = importlib.import_module("ministack.services.apigateway_v1")
    for name in ("_usage_plans_for_key", "_build_lambda_event_v1"):
        monkeypatch.setattr(gateway, name, vars(gateway)[name])
    ApiKeys(gateway)
    resource = {"path": "/", "id": "r", "resourceMethods": {"GET": {"apiKeyRequired": asks}}}
    event = vars(gateway)["_build_lambda_event_v1"](
        "api", "live", {}, resource, "/", "GET", {"x-api-key": "a key"}, b"", {}, {})
    assert event["requestContext"]["identity"]["apiKey"] == told


def test_an_api_shows_whether_an_object_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway: Any = importlib.import_module("ministack.services.apigateway_v1")
    scope: Any = importlib.import_module("ministack.core.responses")
    here, asked = list[str](), list[tuple[str, str]]()

    def head(bucket: str, key: str) -> tuple[int, dict[str, str], bytes]:
        here.append(scope.get_region())
        asked.append((bucket, key))
        return {"takeover": 200, "none": 404}.get(key, 403), {}, b""

    monkeypatch.setattr(gateway, "_invoke_lambda_custom_v1", vars(gateway)["_invoke_lambda_custom_v1"])
    ObjectIntegrations(gateway, SimpleNamespace(_head_object=head), scope)

    def answer(uri: str) -> tuple[int, bytes]:
        shown = {status: {"statusCode": status, "selectionPattern": status, "responseParameters": {},
                          "responseTemplates": {"application/json": text}}
                 for status, text in (("200", "yes"), ("404", "no"))}
        integration = {"uri": uri, "integrationResponses": shown}
        status, _, body = asyncio.run(vars(gateway)["_invoke_lambda_custom_v1"](
            integration, "api", "live", {}, {"path": "/", "id": "r"}, "/", "GET", {}, b"", {}, {},
            owner_account_id=ACCOUNT, owner_region=WEST))
        return status, body

    path = "arn:aws:apigateway:us-west-2:s3:path/control/"
    assert answer(f"{path}takeover") == (200, b"yes")
    assert answer(f"{path}none") == (404, b"no")
    assert answer(f"{path}forbidden")[0] == 500
    assert (asked[0], {*here}) == (("control", "takeover"), {WEST})
    assert answer("arn:aws:apigateway:us-west-2:lambda:path/2015-03-31/functions/x/invocations")[0] == 504


def test_a_secret_and_its_replica_can_part(monkeypatch: pytest.MonkeyPatch) -> None:
    scope: Any = importlib.import_module("ministack.core.responses")
    secrets: Any = importlib.import_module("ministack.services.secretsmanager")
    monkeypatch.setattr(secrets, "handle_request", secrets.handle_request)
    SecretReplicas(secrets, scope)

    def call(region: str, action: str, **parameters: Any) -> dict[str, Any]:
        with scope.request_scope(ACCOUNT, region):
            _, _, answer = asyncio.run(secrets.handle_request(
                "POST", "/", {"x-amz-target": f"secretsmanager.{action}"}, json.dumps(parameters).encode(), {}))
        found: dict[str, Any] = json.loads(answer)
        return found

    call(EAST, "CreateSecret", Name="s", SecretString="x")
    for region in (WEST, WITNESS):
        call(EAST, "ReplicateSecretToRegions", SecretId="s", AddReplicaRegions=[{"Region": region}])
    call(WEST, "StopReplicationToReplica", SecretId="s")
    assert "PrimaryRegion" not in call(WEST, "DescribeSecret", SecretId="s")
    call(EAST, "RemoveRegionsFromReplication", SecretId="s", RemoveReplicaRegions=[WITNESS])
    assert "ResourceNotFoundException" in str(call(WITNESS, "DescribeSecret", SecretId="s"))
    assert [each["Region"] for each in call(EAST, "DescribeSecret", SecretId="s")["ReplicationStatus"]] == [WEST]
    secrets.reset()


# --- What a decision by IAM policies depends on


class Original:
    """A function of the emulator, with these parameters and always the same answer."""

    def __init__(self, parameters: str, answer: object) -> None:
        self.__signature__ = inspect.Signature([
            inspect.Parameter(each, inspect.Parameter.POSITIONAL_OR_KEYWORD) for each in parameters.split()])
        self._answer = answer

    def __call__(self, *_: object) -> Any:
        return copy.copy(self._answer)


ROLE = "arn:aws:sts::000000000000:assumed-role/payments/session"
REQUEST = "service method path headers body query_params region account_id"


class Iam:
    """The emulator's modules, as far as an authorization uses them."""

    def __init__(self) -> None:
        self.actions = SimpleNamespace(
            __name__="iam_actions", extract_resource_arn=Original(REQUEST, "*"),
            request_tag_context=Original("service iam_action body params", {"tags": 1}),
            _s3_object_context=Original("iam_action query_params path headers", {"s3": 1}))
        self.asked: list[SimpleNamespace] = []
        self.evaluator = SimpleNamespace(
            __name__="iam_evaluator", _resolve_condition_key=Original("key ctx", ROLE),
            resolve_credential=lambda key, _: SimpleNamespace(secret_access_key=f"secret of {key}"),
            parse_policy_document=Original("doc", []),
            resolve_principal=self._principal, EvalContext=SimpleNamespace, evaluate=self._evaluate)
        self.authorization = Authorization(
            actions=self.actions, evaluator=self.evaluator,
            scope=SimpleNamespace(get_account_id=lambda: "0", request_scope=lambda *_: nullcontext()),
            dynamodb=SimpleNamespace(_tables={"t": {"pk_name": "id"}}),
            rds=SimpleNamespace(_clusters=SimpleNamespace(all_items=lambda: [
                (("0", EAST, "c"), {"DbClusterResourceId": "cluster-1"}),
                (("0", WEST, "c"), {"DbClusterResourceId": "cluster-2"})])),
            functions=SimpleNamespace(execution_credentials=dict))

    def _principal(self, key: str, _: str) -> Any:
        known: dict[str, object] = {"root": None, "role": []}
        if key not in known:
            return "an error"
        return SimpleNamespace(arn=ROLE, type="AssumedRole", limits=[], policies=known[key])

    def _evaluate(self, asked: SimpleNamespace, _policies: Any) -> Any:
        self.asked.append(asked)
        return SimpleNamespace(decision="Allow" if asked.resource_arn.endswith("/payments_app") else "ImplicitDeny")

    def arn(self, service: str, **params: str) -> Any:
        """The resource of a request."""
        return self.actions.extract_resource_arn(service, "POST", "/", {}, b"", params, EAST, "0")

    def keys(self, body: str) -> Any:
        """The leading keys of a request to DynamoDB."""
        return self.actions.request_tag_context("dynamodb", "x", body.encode(), {}).get("dynamodb:LeadingKeys")


def test_a_role_logs_in_as_whom_its_policies_allow_and_nobody_without_a_known_key() -> None:
    iam = Iam()
    assert iam.authorization.secret("role", EAST, "payments_app") == "secret of role"
    assert iam.authorization.secret("role", WEST, "admin") == ""
    assert iam.authorization.secret("root", EAST, "admin") == "secret of root"
    assert [(each.action, each.resource_arn) for each in iam.asked] == [
        ("rds-db:connect", f"arn:aws:rds-db:{EAST}:0:dbuser:cluster-1/payments_app"),
        ("rds-db:connect", f"arn:aws:rds-db:{WEST}:0:dbuser:cluster-2/admin")]
    with pytest.raises(LookupError):
        iam.authorization.secret("unknown", EAST, "admin")


def test_a_policy_is_parsed_once() -> None:
    parse = Iam().evaluator.parse_policy_document
    assert parse("{}") is parse("{}")
    assert parse({"Statement": []}) == []


def test_a_session_is_that_of_a_function_with_the_role() -> None:
    assert Iam().authorization.session("payments", EAST) == {
        "FunctionArn": f"arn:aws:lambda:{EAST}:0:function:payments", "FunctionName": "payments",
        "Role": "arn:aws:iam::0:role/payments"}


def test_the_resources_of_requests_are_those_that_aws_checks() -> None:
    iam = Iam()
    assert iam.arn("rds", Action="FailoverGlobalCluster", GlobalClusterIdentifier="g") == (
        "arn:aws:rds::0:global-cluster:g")
    role = "arn:aws:iam::0:role/a"
    assert iam.arn("iam", Action="SimulatePrincipalPolicy", PolicySourceArn=role) == role
    assert iam.arn("iam", Action="ListRoles") == "*"
    assert iam.arn("rds", Action="DescribeDBInstances") == f"arn:aws:rds:{EAST}:0:db:*"
    assert iam.arn("rds", Action="DescribeEvents") == "*"
    assert iam.arn("lambda", Qualifier="live") == "*:live"
    assert iam.arn("s3", Qualifier="live") == "*"


def test_the_conditions_that_the_emulator_does_not_know_are_known() -> None:
    iam = Iam()
    assert iam.keys('{"TableName": "t", "Item": {"id": {"S": "!record"}}}') == ["!record"]
    assert iam.keys('{"TableName": "arn:aws:dynamodb:r:0:table/t", "Key": {"id": {"S": "p"}}}') == ["p"]
    assert iam.keys('{"RequestItems": {"t": {"Keys": [{"id": {"S": "a"}}, {"id": {"S": "b"}}]}}}') == ["a", "b"]
    assert iam.keys('{"TableName": "t"}') is None
    assert iam.keys('{"TableName": "unknown", "Key": {"id": {"S": "p"}}}') is None
    context = iam.actions.request_tag_context
    assert context("monitoring", "cloudwatch:PutMetricData", b'{"Namespace": "N"}', {}) == {
        "tags": 1, "cloudwatch:namespace": "N"}
    assert context("monitoring", "cloudwatch:DeleteAlarms", b"", {}) == {"tags": 1}
    sent = {"if-none-match": "*", "x-other": "1"}
    object_context, resolve = (getattr(*each) for each in (
        (iam.actions, "_s3_object_context"), (iam.evaluator, "_resolve_condition_key")))
    assert object_context("s3:PutObject", {}, "/", sent) == {"s3": 1, "s3:if-none-match": "*"}
    ctx = SimpleNamespace(principal_account="0")
    assert resolve("aws:PrincipalArn", ctx) == "arn:aws:iam::0:role/payments"
    assert resolve("aws:userid", ctx) == ROLE
