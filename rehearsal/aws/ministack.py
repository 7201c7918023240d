"""Runs MiniStack with changes: copies lag, it refuses what AWS refuses, shows policies, and knows more of IAM.

MiniStack copies items of global tables and objects of replicated buckets within the write itself. Here each copy waits
in a queue, one queue for each store and direction, and MiniStack's own code makes it once the lag of that direction is
over. MiniStack's single thread makes due copies before it handles the next request, so no reader sees one late. The
settings are changed, and the queues read, over HTTP at `PATH`, by `replication`. `PROCESS` shows whose port it is.

It runs by path, `python -P ministack.py`, in a process of its own, so it imports nothing of the project, and functions
inherit nothing of the project from it. It replaces private functions of the release that requirements-dev.txt pins, and
refuses to run with any that differ.
"""
# ruff: noqa: SLF001
# pylint: disable=protected-access

import copy
import gc
import inspect
import itertools
import json
import os
import re
import sys
import tempfile
import threading
import time
import zipfile
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any
from xml.sax.saxutils import escape

import uvicorn

PATH, LOGIN, SESSION, PROCESS = (f"/_rehearsal/{each}" for each in ("copies", "login", "session", "process"))
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
TABLE, RECEIPTS = "table", "receipts"  # contract.Store, which cannot be imported here
STRONG = "strong table"  # one with strong consistency: it never lags, and only waits while a region is cut off

_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"})
_READS = frozenset({"GetItem", "Query", "Scan", "BatchGetItem"})

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Coroutine[Any, Any, None]]
Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class PendingCopy:
    """A copy that is still to be made of the item or object `name`, written at `written` (s)."""

    written: float
    name: str
    make: Callable[[], None]


class CopyQueue:
    """The copies of one store in one direction, in the order of their writes."""

    def __init__(self, now: float) -> None:
        self.waiting: deque[PendingCopy] = deque()
        self._seconds, self._growth, self._since = 0.0, 0.0, now

    def set(self, seconds: float, growth: float, now: float) -> None:
        """Set the lag, also of waiting copies: `seconds`, plus `growth` per second from now on; infinity stops them."""
        self._seconds, self._growth, self._since = seconds, growth, now

    def make_due(self, now: float) -> None:
        """Make every copy whose lag is over."""
        lag = self._seconds + self._growth * (now - self._since)
        while self.waiting and now - self.waiting[0].written >= lag:
            self.waiting.popleft().make()

    def report(self, now: float) -> dict[str, Any]:
        """The age of the oldest write that is not copied (ms), and the names of all of them."""
        behind = now - self.waiting[0].written if self.waiting else 0.0
        return {"lag_ms": round(behind * 1000, 1), "waiting": [each.name for each in self.waiting]}


class CopyQueues:
    """All queues. Nothing is copied from or to a region that is `cut` off or has lost the store.

    Nor is it while the connection between the regions is cut, but for a strong table, whose witness has each write.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._queues: dict[tuple[str, str, str], CopyQueue] = {}
        self.cut: frozenset[str] = frozenset()
        self._connection_cut = False
        self._lost: frozenset[tuple[str, str]] = frozenset()

    def put(self, store: str, source: str, target: str, name: str, make: Callable[[], None]) -> None:
        """Queue a copy of what is written now."""
        self._queue(store, source, target).waiting.append(PendingCopy(self._clock(), name, make))

    def make_due(self) -> None:
        """Make the copies that are due by now."""
        for (store, source, target), queue in self._queues.items():
            stopped = self.cut & {source, target} or self._lost & {(store, source), (store, target)}
            if queue.waiting and not (stopped or (self._connection_cut and store != STRONG)):
                queue.make_due(self._clock())

    def change(self, settings: Mapping[str, Any]) -> None:
        """Apply any of these settings. Raises LookupError, TypeError or ValueError if one is not valid.

        `lag`: {store, source, target, seconds, growth}. `cut`: a list of regions. `connection_cut`: whether it is.
        `lost`: a list of [store, region]. `destroy`: a region that is lost for good, with what it has not copied.
        """
        self.make_due()
        for key, value in settings.items():
            match key:
                case "lag":
                    self._queue(value["store"], value["source"], value["target"]).set(
                        float(value["seconds"]), float(value["growth"]), self._clock())
                case "cut":
                    self.cut = frozenset(value)
                case "connection_cut":
                    self._connection_cut = bool(value)
                case "lost":
                    self._lost = frozenset((store, region) for store, region in value)
                case "destroy":
                    for (_, source, _), queue in self._queues.items():
                        if source == value:
                            queue.waiting.clear()
                case _:
                    raise ValueError(key)

    def report(self) -> list[dict[str, Any]]:
        """Each queue with its store and direction."""
        now = self._clock()
        return [{"store": store, "source": source, "target": target, **queue.report(now)}
                for (store, source, target), queue in sorted(self._queues.items())]

    def _queue(self, store: str, source: str, target: str) -> CopyQueue:
        return self._queues.setdefault((store, source, target), CopyQueue(self._clock()))


class TableReplication:
    """Copies items between the replicas of a global table, in place of MiniStack's own code.

    The last writer wins, by the order in which the emulator did the writes. With strong consistency a copy is there for
    the next request, and a region that is cut off from the other replicas and the witness can neither write nor read
    consistently.
    """

    def __init__(self, dynamodb: Any, scope: Any, queues: CopyQueues) -> None:
        self._dynamodb, self._scope, self._queues = dynamodb, scope, queues
        self._stamps = itertools.count()
        self._newest: dict[tuple[str, ...], int] = {}  # of each replica's item, the stamp of its latest write
        self._copy = _replace(dynamodb, "_replicate_write", self._write, "table", "event_name", "old_item", "new_item")
        self._update = _replace(dynamodb, "_update_table", self._update_table, "data")
        self._describe = _replace(dynamodb, "_table_description", self._describe_table, "name")
        self._handle = _replace(dynamodb, "handle_request", self._handle_request,
                                "method", "path", "headers", "body", "query_params")

    def _write(self, table: Mapping[str, Any], event: str, old: Any, new: Any) -> None:
        account, source, name = self._scope.get_account_id(), self._scope.get_region(), table["TableName"]
        key = _key(table, new if new is not None else old)
        store = STRONG if "_witnesses" in table else TABLE
        stamp = self._newest[account, source, name, key] = next(self._stamps)
        item = copy.deepcopy((old, new))
        for target in table.get("_global_regions") or ():
            if target != source:
                self._queues.put(store, source, target, key,
                                 partial(self._make, (account, source, name, key), target, stamp, event, item))

    def _make(self, written: tuple[str, str, str, str], target: str, stamp: int, event: str,
              item: tuple[Any, Any]) -> None:
        account, source, name, key = written
        table = self._dynamodb._tables.get_scoped(account, source, name)
        if table is None or self._newest.get((account, target, name, key), -1) > stamp:
            return
        self._newest[account, target, name, key] = stamp
        with self._scope.request_scope(account, source):
            self._copy({**table, "_global_regions": [source, target]}, event, *item)

    def _update_table(self, data: Mapping[str, Any]) -> Answer:
        """Keep what MiniStack ignores: the consistency of a global table, and its witness."""
        answer: Answer = self._update(data)
        table = self._dynamodb._tables.get(data.get("TableName"))
        if table is None:
            return answer
        if not table.get("_global_regions"):
            table.pop("_witnesses", None)
        elif answer[0] == HTTPStatus.OK and data.get("MultiRegionConsistency") == "STRONG":
            witnesses = [each["Create"]["RegionName"] for each in data.get("GlobalTableWitnessUpdates") or ()]
            for region in table["_global_regions"]:
                replica = self._dynamodb._tables.get_scoped(self._scope.get_account_id(), region, table["TableName"])
                replica["_witnesses"] = witnesses
        return answer

    def _describe_table(self, name: str) -> dict[str, Any]:
        description: dict[str, Any] = self._describe(name)
        witnesses = self._dynamodb._tables[name].get("_witnesses")
        if witnesses is not None:
            description["MultiRegionConsistency"] = "STRONG"
            description["GlobalTableWitnesses"] = [
                {"RegionName": region, "WitnessStatus": "ACTIVE"} for region in witnesses]
        return description

    async def _handle_request(self, method: str, path: str, headers: Mapping[str, str], body: bytes,
                              query_params: Any) -> Answer:
        self._queues.make_due()  # a second time: others were served while this request waited for its body
        if self._queues.cut:
            refusal = self._refusal(headers.get("x-amz-target", "").rpartition(".")[2], body)
            if refusal:
                return refusal
        answer: Answer = await self._handle(method, path, headers, body, query_params)
        return answer

    def _refusal(self, action: str, body: bytes) -> Answer | None:
        """The error of a call that strong consistency forbids now, because its region has no quorum."""
        if action not in _WRITES | _READS:
            return None
        region = self._scope.get_region()
        for name, asked in _tables_of(json.loads(body)):
            table = self._dynamodb._tables.get(name)
            if not table or "_witnesses" not in table or not (action in _WRITES or asked.get("ConsistentRead")):
                continue
            peers = {*table["_global_regions"], *table["_witnesses"]} - {region}
            if region in self._queues.cut or peers <= self._queues.cut:
                return (HTTPStatus.INTERNAL_SERVER_ERROR,
                        {"Content-Type": "application/x-amz-json-1.0", "x-amzn-errortype": "InternalServerError"},
                        json.dumps({"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError",
                                    "message": "Internal server error"}).encode())
        return None


class BucketReplication:
    """Copies objects and delete markers by the rules of a bucket's replication, in place of MiniStack's own code.

    Until its copy is made an object is PENDING. Unlike MiniStack's, a copy has the version id and lock of its source.
    """

    def __init__(self, s3: Any, scope: Any, queues: CopyQueues) -> None:
        self._s3, self._scope, self._queues = s3, scope, queues
        self._copy = _replace(s3, "_maybe_replicate", self._put, "bucket_name", "key", "obj", "data", "tags")
        self._mark = _replace(s3, "_maybe_replicate_delete_marker", self._delete, "bucket_name", "key")

    def _put(self, bucket: str, key: str, obj: dict[str, Any], data: Any, tags: Any = None) -> None:
        rule, _ = self._s3._replication_rule_for(bucket, key, tags)
        if rule is not None:
            obj["replication_status"] = "PENDING"
            self._later(bucket, rule, key, partial(self._make, bucket, key, obj, data, tags))

    def _delete(self, bucket: str, key: str) -> None:
        rule, _ = self._s3._replication_rule_for(bucket, key, None)
        if rule is not None:
            self._later(bucket, rule, key, partial(self._mark, bucket, key))

    def _later(self, bucket: str, rule: Mapping[str, Any], key: str, make: Callable[[], None]) -> None:
        account, region = self._scope.get_account_id(), self._scope.get_region()

        def scoped() -> None:
            with self._scope.request_scope(account, region):
                make()

        target = rule["Destination"]["Bucket"].rpartition(":")[2]
        self._queues.put(RECEIPTS, self._region(bucket), self._region(target), key, scoped)

    def _make(self, bucket: str, key: str, obj: dict[str, Any], data: Any, tags: Any) -> None:
        version = self._version(bucket, key, obj["version_id"])
        if version is None:  # it was deleted for good meanwhile
            return
        self._copy(bucket, key, obj, data, tags)
        version["replication_status"] = obj["replication_status"]
        if obj["replication_status"] != "COMPLETED":
            return
        target, copied, account = obj["_replica"]
        for record in (self._s3._buckets[target]["objects"][key], self._version(target, key, copied)):
            record["version_id"] = obj["version_id"]
        obj["_replica"] = target, obj["version_id"], account
        lock = self._s3._object_retention.get((bucket, key, obj["version_id"]))
        if lock:
            self._s3._object_retention[target, key, obj["version_id"]] = lock
        if tags is not None:
            self._s3._object_tags[target, key, obj["version_id"]] = dict(tags)

    def _version(self, bucket: str, key: str, version_id: str) -> Any:
        versions: Sequence[dict[str, Any]] = self._s3._object_versions.get((bucket, key), ())
        return next((each for each in versions if each["version_id"] == version_id), None)

    def _region(self, bucket: str) -> str:
        found: str = (self._s3._buckets.get(bucket) or {}).get("region") or self._scope.get_region()
        return found


class HeadlessClusters:
    """Refuses to promote a cluster without an instance, as AWS does; MiniStack would promote it.

    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-attach.console.headless.html
    """

    def __init__(self, rds: Any) -> None:
        self._rds = rds
        self._resolve = _replace(rds, "_resolve_global_writer_switch", self._checked, "p", "exact_two")

    def _checked(self, p: Mapping[str, Any], *, exact_two: bool = False) -> Any:
        resolved, error = self._resolve(p, exact_two=exact_two)
        if resolved:
            cluster = resolved[1]
            _, _, _, region, account, _, name = cluster["DBClusterArn"].split(":")
            if not any(instance["DBClusterIdentifier"] == name and owner[:2] == (account, region)
                       for owner, instance in self._rds._instances.all_items()):
                return None, self._rds._error("InvalidDBClusterStateFault",
                                              f"DBCluster {name} has no DB instance to promote.", 400)
        return resolved, error


class ApiKeys:
    """Knows each region's key of one value, and tells functions of it.

    MiniStack takes the first of them, in whatever region, for all, and its events do not have the key.
    """

    def __init__(self, gateway: Any) -> None:
        self._keys = gateway._api_keys
        self._plans = _replace(gateway, "_usage_plans_for_key", self._of_all, "key_id", "api_id", "stage_name")
        self._event = _replace(
            gateway, "_build_lambda_event_v1", self._with_key, "api_id", "stage_name", "stage", "resource",
            "request_path", "method", "headers", "body", "query_params", "path_params", "binary_media_types",
            "authorizer_context", "caller_identity")

    def _of_all(self, key_id: str, api_id: str, stage_name: str) -> list[Any]:
        keys = [key for _, key in self._keys.all_items()]
        value = next(key["value"] for key in keys if key["id"] == key_id)
        return [plan for key in keys if key["value"] == value for plan in self._plans(key["id"], api_id, stage_name)]

    def _with_key(self, *request: Any, **more: Any) -> Any:
        event = self._event(*request, **more)
        _, _, _, resource, _, method, headers, *_ = request
        asks = resource["resourceMethods"][method].get("apiKeyRequired")
        event["requestContext"]["identity"]["apiKey"] = headers["x-api-key"] if asks else None
        return event


class ObjectIntegrations:
    """Answers where an API asks S3 for an object's head, in the region and account of the API; MiniStack cannot."""

    def __init__(self, gateway: Any, s3: Any, scope: Any) -> None:
        self._gateway, self._s3, self._scope = gateway, s3, scope
        self._function = _replace(
            gateway, "_invoke_lambda_custom_v1", self._invoke, "integration", "api_id", "stage_name", "stage",
            "resource", "request_path", "method", "headers", "body", "query_params", "path_params", "owner_account_id",
            "owner_region", "binary_media_types", "authorizer_context", "caller_identity")

    async def _invoke(self, integration: Mapping[str, Any], *request: Any, **more: Any) -> Answer:
        _, service, _, path = self._gateway._parse_service_integration_uri(integration["uri"]) or [""] * 4
        if service != "s3":
            answer: Answer = await self._function(integration, *request, **more)
            return answer
        bucket, _, key = path.partition("/")
        with self._scope.request_scope(more["owner_account_id"], more["owner_region"]):
            status, *_ = self._s3._head_object(bucket, key)
        found: Answer = self._gateway._service_integration_response(integration, status, "", "application/json", {})
        return found


class SecretReplicas:
    """Parts a secret from its replicas, by two operations that MiniStack lacks."""

    def __init__(self, secrets: Any, scope: Any) -> None:
        self._secrets, self._scope = secrets, scope
        self._handle = _replace(secrets, "handle_request", self._handle_request,
                                "method", "path", "headers", "body", "query_params")

    async def _handle_request(self, method: str, path: str, headers: Mapping[str, str], body: bytes,
                              query_params: Any) -> Answer:
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if action not in ("RemoveRegionsFromReplication", "StopReplicationToReplica"):
            answer: Answer = await self._handle(method, path, headers, body, query_params)
            return answer
        asked = json.loads(body)
        _, secret = self._secrets._resolve(asked["SecretId"])
        removed = asked.get("RemoveReplicaRegions", ())
        for region in removed:
            self._secrets._secrets.pop_scoped(self._scope.get_account_id(), region, secret["Name"], None)
        secret["ReplicationStatus"] = [each for each in secret["ReplicationStatus"] if each["Region"] not in removed]
        if action == "StopReplicationToReplica":
            for key in ("_PrimaryRegion", "_PrimarySecretArn"):
                secret.pop(key, None)
        return (HTTPStatus.OK, {"Content-Type": "application/x-amz-json-1.1"},
                json.dumps({"ARN": secret["ARN"]}).encode())


class EndpointPolicies:
    """Shows the policy of a VPC endpoint, which MiniStack keeps to itself."""

    def __init__(self, ec2: Any) -> None:
        self._show = _replace(ec2, "_vpce_fields_xml", self._fields, "ep", "tag")

    def _fields(self, ep: Mapping[str, Any], tag: str = "item") -> str:
        policy, end = escape(ep.get("PolicyDocument", "")), f"</{tag}>"
        return f"{self._show(ep, tag).removesuffix(end)}<policyDocument>{policy}</policyDocument>{end}"


def unpack_once() -> None:
    """Unpack each deployment package once, and give its processes links to that, where the first one leaves bytecode.

    MiniStack unpacks it for each, which would compile it again.
    """
    folders, lock = dict[bytes, str](), threading.Lock()

    def link(archive: zipfile.ZipFile, path: str, members: None = None, pwd: None = None) -> None:
        package = Path(str(archive.filename)).read_bytes()
        with lock:
            if package not in folders:
                folder = tempfile.mkdtemp()
                extract(archive, folder, members, pwd)
                folders[package] = folder
        Path(path).rmdir()
        Path(path).symlink_to(folders[package])

    extract = _replace(zipfile.ZipFile, "extractall", link, "self", "path", "members", "pwd")


class Authorization:
    """What MiniStack leaves out when it decides by IAM policies: condition keys, ARNs, and logins to a database."""

    def __init__(self, *, actions: Any, evaluator: Any, scope: Any, dynamodb: Any, rds: Any, functions: Any) -> None:
        self._evaluator, self._scope, self._dynamodb, self._rds = evaluator, scope, dynamodb, rds
        self._functions = functions
        self._resource = _replace(actions, "extract_resource_arn", self._resource_arn, "service", "method", "path",
                                  "headers", "body", "query_params", "region", "account_id")
        self._tags = _replace(actions, "request_tag_context", self._context, "service", "iam_action", "body", "params")
        self._object = _replace(actions, "_s3_object_context", self._object_context, "iam_action", "query_params",
                                "path", "headers")
        self._resolve = _replace(evaluator, "_resolve_condition_key", self._condition_key, "key", "ctx")
        self._parse = _replace(evaluator, "parse_policy_document", self._statements, "doc")
        self._parse_text = cache(self._parse)

    def secret(self, key: str, region: str, user: str) -> str:
        """The secret of an access key that may log in to the region's cluster as this user, empty if it may not.

        Raises LookupError if there is no such key.
        """
        account = self._scope.get_account_id()
        with self._scope.request_scope(account, region):
            credential = self._evaluator.resolve_credential(key, account)
            principal = self._evaluator.resolve_principal(key, account)
            if not hasattr(principal, "policies"):
                raise LookupError(key)
            (cluster,) = (each for (owner, where, _), each in self._rds._clusters.all_items()
                          if (owner, where) == (account, region))
            asked = self._evaluator.EvalContext(
                principal_arn=principal.arn, principal_type=principal.type, principal_account=account,
                action="rds-db:connect", region=region,
                resource_arn=f"arn:aws:rds-db:{region}:{account}:dbuser:{cluster['DbClusterResourceId']}/{user}")
            may = principal.policies is None or (
                self._evaluator.evaluate(asked, principal.policies, *principal.limits).decision == "Allow")
            return str(credential.secret_access_key) if may else ""

    def session(self, role: str, region: str) -> dict[str, str]:
        """The credentials with which a function of this role runs in the region, as environment variables."""
        config = {"FunctionArn": f"arn:aws:lambda:{region}:{self._scope.get_account_id()}:function:{role}",
                  "FunctionName": role, "Role": f"arn:aws:iam::{self._scope.get_account_id()}:role/{role}"}
        found: dict[str, str] = self._functions.execution_credentials(config)
        return found

    def _statements(self, doc: Any) -> Any:
        """The statements of a policy; MiniStack parses those of the caller's role in each request."""
        return self._parse_text(doc) if isinstance(doc, str) else self._parse(doc)

    def _resource_arn(self, *request: Any) -> str:
        service, *_, query_params, region, account_id = request
        found: str = self._resource(*request)
        if service == "rds" and found == "*":
            name = _first(query_params.get("GlobalClusterIdentifier"))
            if name:
                return f"arn:aws:rds::{account_id}:global-cluster:{name}"
            if _first(query_params.get("Action")) == "DescribeDBInstances":
                return f"arn:aws:rds:{region}:{account_id}:db:*"
        if service == "iam" and found == "*":  # the policies of whom are simulated
            return _first(query_params.get("PolicySourceArn")) or found
        qualifier = _first(query_params.get("Qualifier")) if service == "lambda" else ""
        return f"{found}:{qualifier}" if qualifier and not found.endswith(f":{qualifier}") else found

    def _context(self, service: str, iam_action: str, body: bytes, params: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self._tags(service, iam_action, body, params)
        if service == "dynamodb":
            keys = [str(next(iter(key.values()))) for key in self._keys(json.loads(body or b"{}")) if key]
            return {**found, "dynamodb:LeadingKeys": keys} if keys else found
        if iam_action == "cloudwatch:PutMetricData":
            return {**found, "cloudwatch:namespace": json.loads(body)["Namespace"]}
        return found

    def _keys(self, data: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
        """The partition key of every item that a request names."""
        for name, asked in _tables_of(data):
            table = self._dynamodb._tables.get(name.rpartition("/")[2])
            for item in (asked.get("Item"), asked.get("Key"), *asked.get("Keys", ())):
                if table and item:
                    yield item.get(table["pk_name"], {})

    def _object_context(self, iam_action: str, query_params: Mapping[str, Any], path: str,
                        headers: Mapping[str, str]) -> dict[str, Any]:
        sent = {f"s3:{key}": headers[key] for key in ("if-match", "if-none-match") if key in headers}
        return {**self._object(iam_action, query_params, path, headers), **sent}

    def _condition_key(self, key: str, ctx: Any) -> Any:
        found = self._resolve(key, ctx)
        if key.lower() == "aws:principalarn" and ":assumed-role/" in found:  # a session is known by its role
            return f"arn:aws:iam::{ctx.principal_account}:role/{found.split('/')[1]}"
        return found


def _first(value: Any) -> str:
    """A parameter of a query, which may be given as a list."""
    return str(value[0] if isinstance(value, list) and value else value or "")


def _replace(module: Any, name: str, function: Callable[..., Any], *parameters: str) -> Callable[..., Any]:
    """Replace the module's function, and return the original. Exits if its name or parameters are not as expected."""
    original: Callable[..., Any] | None = getattr(module, name, None)
    if original is None or tuple(inspect.signature(original).parameters) != parameters:
        sys.exit(f"{module.__name__}.{name}({', '.join(parameters)}) is not in this release of the emulator")
    setattr(module, name, function)
    return original


def _key(table: Mapping[str, Any], item: Mapping[str, Any]) -> str:
    """The values of an item's key, as one string."""
    names = filter(None, (table["pk_name"], table["sk_name"]))
    return " ".join(str(next(iter(item.get(name, {"": ""}).values()))) for name in names)


def _tables_of(data: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The tables that a request names, each with the part of the request that concerns it."""
    found = [(data["TableName"], data)] if "TableName" in data else []
    found += [(name, asked if isinstance(asked, dict) else {}) for name, asked in data.get("RequestItems", {}).items()]
    found += [(asked["TableName"], asked) for each in data.get("TransactItems", ()) for asked in each.values()]
    return found


def controlled(emulator: Application, queues: CopyQueues,
               more: Mapping[str, Callable[..., Any]] = MappingProxyType({})) -> Application:
    """The emulator's ASGI application, which also makes due copies before each request, and serves paths of its own.

    They are `PATH`, `PROCESS` and those of `more`, each with a function of what the request's JSON has. It refuses
    what a web page in a browser on this machine could send.
    """
    def copies(**settings: Any) -> list[dict[str, Any]]:
        queues.change(settings)
        queues.make_due()
        return queues.report()

    own: dict[str, Callable[..., Any]] = {PATH: copies, PROCESS: os.getpid, **more}

    async def application(scope: Any, receive: Receive, send: Send) -> None:
        queues.make_due()
        refused = scope["type"] == "http" and from_a_page(
            {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]})
        if not refused and scope.get("path") not in own:
            await emulator(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        try:
            status, answer = (HTTPStatus.FORBIDDEN, "") if refused else (
                HTTPStatus.OK, json.dumps(own[scope["path"]](**json.loads(body or b"{}"))))
        except (LookupError, TypeError, ValueError) as error:
            status, answer = HTTPStatus.BAD_REQUEST, repr(error)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": answer.encode()})

    return application


def from_a_page(headers: Mapping[str, str]) -> bool:
    """Whether a request names its origin, as a browser's does, or a host that is not this machine.

    The names of the headers are in lower case.
    """
    return "origin" in headers or re.sub(r":\d+$", "", headers.get("host", "localhost")) not in LOOPBACK


def main() -> None:
    """Run MiniStack's own program with these changes."""
    app: Any
    core = "responses", "iam_actions", "iam_evaluator", "lambda_runtime"
    services = "dynamodb", "s3", "rds", "ec2", "secretsmanager", "apigateway_v1"
    app, scope, actions, evaluator, functions, dynamodb, s3, rds, ec2, secrets, gateway = (
        import_module(f"ministack.{name}")
        for name in ("app", *(f"core.{each}" for each in core), *(f"services.{each}" for each in services)))
    queues = CopyQueues()
    TableReplication(dynamodb, scope, queues)
    BucketReplication(s3, scope, queues)
    HeadlessClusters(rds)
    EndpointPolicies(ec2)
    SecretReplicas(secrets, scope)
    ApiKeys(gateway)
    ObjectIntegrations(gateway, s3, scope)
    unpack_once()
    authorization = Authorization(actions=actions, evaluator=evaluator, scope=scope, dynamodb=dynamodb, rds=rds,
                                  functions=functions)
    app.app = controlled(app.app, queues, {LOGIN: authorization.secret, SESSION: authorization.session})
    gc.set_threshold(50_000)  # requests leave few cycles, and to look for them took a tenth of the time
    # In place of MiniStack's own server, in which a request takes twice the time.
    uvicorn.run(app.app, host=os.environ["BIND_HOST"], port=int(os.environ["GATEWAY_PORT"]), loop="uvloop",
                http="httptools", ws="none", lifespan="on", log_level="warning", access_log=False, proxy_headers=False,
                server_header=False, date_header=False, timeout_keep_alive=75, timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
