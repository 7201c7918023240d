"""Updates, and what the engine is told of a resource that is half made."""

from typing import Any, NoReturn

import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2, status_pb2

from rehearsal.deploy.provider.handlers import TAGS, Handlers, ProviderConfig, Resource
from rehearsal.deploy.provider.server import ProviderServer
from rehearsal.deploy.resources.model import DeployTarget
from rehearsal.errors import DeploymentError
from tests.rehearsal.cloud import ENDPOINT, Cloud, refusal

ALARM, API, BUCKET, GROUP, FUNCTION = (
    "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:apigateway/restApi:RestApi", "aws:s3/bucket:Bucket",
    "aws:cloudwatch/logGroup:LogGroup", "aws:lambda/function:Function")


def updated(
        cloud: Cloud, config: ProviderConfig, token: str, before: dict[str, Any], changes: dict[str, Any]) -> Resource:
    """A resource after an update."""
    handlers = Handlers(cloud, DeployTarget())
    state = {**before, "arn": "arn", TAGS: {**config.tags, **before.get("tags", {})}}
    resource = handlers.resource(token, "thing", config, {**before, **changes}, identifier="i", state=state)
    handlers.update(resource, handlers.changes(resource, before, {**before, **changes}), before)
    return resource


def test_one_that_is_put_is_put_again_as_a_whole(cloud: Cloud, config: ProviderConfig) -> None:
    updated(cloud, config, ALARM, {"name": "a", "threshold": 1, "period": 60}, {"threshold": 2})
    given = cloud.params("PutMetricAlarm")
    assert (given["AlarmName"], given["Threshold"], given["Period"]) == ("a", 2, 60)


def test_only_the_calls_for_what_has_changed_are_made(cloud: Cloud, config: ProviderConfig) -> None:
    cloud.answers["PublishVersion"] = {"Version": "8"}
    before = {"name": "f", "timeout": 3, "memorySize": 128, "publish": True}
    function = updated(cloud, config, FUNCTION, before, {"timeout": 4})
    assert cloud.operations() == ["UpdateFunctionConfiguration", "PublishVersion"]
    assert cloud.params("UpdateFunctionConfiguration")["Timeout"] == 4
    assert "MemorySize" not in cloud.params("UpdateFunctionConfiguration")
    assert function.outputs()["version"] == "8"


def test_tags_are_added_and_removed(cloud: Cloud, config: ProviderConfig) -> None:
    updated(cloud, config, GROUP, {"name": "g", "tags": {"Old": "1"}}, {"tags": {"New": "2"}})
    assert cloud.params("TagResource")["tags"] == {**config.tags, "New": "2"}
    assert cloud.params("UntagResource")["tagKeys"] == ["Old"]


def test_what_only_the_provider_uses_is_kept_in_the_state(cloud: Cloud, config: ProviderConfig) -> None:
    updated(cloud, config, BUCKET, {"bucket": "b", "forceDestroy": False}, {"forceDestroy": True})
    assert cloud.calls == []


def test_what_cannot_be_updated_is_refused_by_name_and_nothing_is_done(cloud: Cloud, config: ProviderConfig) -> None:
    with pytest.raises(DeploymentError, match=r"^RestApi thing .*: the rehearsal cannot update securityPolicy$"):
        updated(cloud, config, API, {"name": "a", "securityPolicy": "old"}, {"name": "b", "securityPolicy": "new"})
    assert cloud.calls == []


def test_another_region_replaces_a_resource(cloud: Cloud, config: ProviderConfig) -> None:
    handlers = Handlers(cloud, DeployTarget())
    state = {"region": "us-east-1", TAGS: config.tags}
    resource = handlers.resource(GROUP, "thing", config, {"name": "g"}, state=state)
    changed = handlers.changes(resource, {"name": "g"}, {"name": "g"})
    assert (changed, handlers.replaces(resource, changed)) == ({"region"}, {"region"})


class Context:
    """The context of a call; aborting raises RuntimeError."""

    metadata: tuple[tuple[str, bytes], ...] = ()

    def peer(self) -> str:
        """One connection."""
        return "peer"

    def set_trailing_metadata(self, metadata: tuple[tuple[str, bytes], ...]) -> None:
        """Keep it."""
        self.metadata = metadata

    def abort(self, _code: object, reason: str) -> NoReturn:
        """End the call."""
        raise RuntimeError(reason)


def test_one_that_is_half_made_is_reported_with_its_id(cloud: Cloud) -> None:
    server: Any = ProviderServer(Handlers(cloud, DeployTarget()))
    context = Context()
    args = json_format.ParseDict({"region": "us-west-2", "endpoints": f'[{{"logs": "{ENDPOINT}"}}]'}, Struct())
    server.Configure(provider_pb2.ConfigureRequest(args=args), context)
    request = provider_pb2.CreateRequest(
        urn=f"urn:pulumi:s::p::{GROUP}::thing",
        properties=json_format.ParseDict({"name": "g", "retentionInDays": 7}, Struct()))
    cloud.answers["PutRetentionPolicy"] = refusal("Busy")
    with pytest.raises(RuntimeError, match="put_retention_policy: Busy"):
        server.Create(request, context)
    ((_, sent),) = context.metadata
    detail = provider_pb2.ErrorResourceInitFailed()
    status_pb2.Status.FromString(sent).details[0].Unpack(detail)
    assert (detail.id, detail.inputs["name"]) == ("g", "g")
    cloud.answers["CreateLogGroup"] = refusal("Denied")
    with pytest.raises(RuntimeError, match="create_log_group: Denied"):
        server.Create(request, context)


def test_a_provider_cannot_sign_in_in_a_region_that_is_lost(cloud: Cloud) -> None:
    cloud.answers["GetCallerIdentity"] = refusal("Unreachable")
    args = json_format.ParseDict({"region": "us-west-2"}, Struct())
    server: Any = ProviderServer(Handlers(cloud, DeployTarget()))
    with pytest.raises(RuntimeError, match="cannot sign in in us-west-2"):
        server.Configure(provider_pb2.ConfigureRequest(args=args), Context())
    diff = server.DiffConfig(provider_pb2.DiffRequest(
        old_inputs=args, news=json_format.ParseDict({"region": "us-east-1"}, Struct())), Context())
    assert list(diff.replaces) == ["region"]


def test_an_update_keeps_the_outputs_that_differ_from_inputs(cloud: Cloud) -> None:
    server: Any = ProviderServer(Handlers(cloud, DeployTarget()))
    args = json_format.ParseDict({"region": "us-west-2", "endpoints": f'[{{"rds": "{ENDPOINT}"}}]'}, Struct())
    server.Configure(provider_pb2.ConfigureRequest(args=args), Context())
    given, cluster = {"clusterIdentifier": "c", "port": 5432}, "aws:rds/cluster:Cluster"
    for preview in (True, False):
        answer = server.Update(provider_pb2.UpdateRequest(
            id="c", urn=f"urn:pulumi:s::p::{cluster}::thing", preview=preview,
            olds=json_format.ParseDict({**given, "port": 7000, "arn": "a"}, Struct()),
            old_inputs=json_format.ParseDict(given, Struct()),
            news=json_format.ParseDict({**given, "backupRetentionPeriod": 7}, Struct())), Context())
        assert (answer.properties["port"], answer.properties["backupRetentionPeriod"]) == (7000, 7)
