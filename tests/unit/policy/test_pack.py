"""The rules as Pulumi runs them."""
from typing import Any

import pulumi
import pytest
from pulumi_policy import PolicyProviderResource, PolicyResource, PolicyResourceOptions, ResourceValidationArgs
from pulumi_policy.policy import PolicyCustomTimeouts, StackValidationArgs
from pulumi_policy.proxy import UNKNOWN_OBJECT_VALUE, UNKNOWN_STRING_VALUE, unknown_checking_proxy

from contract import PROJECT
from policy.pack import declared, known, resource_policy, stack_policy
from policy.rules import RULES, UNKNOWN, ResourceRule

BUCKET, CLUSTER = "aws:s3/bucketVersioning:BucketVersioning", "aws:rds/cluster:Cluster"
STACK = "tapstack:index:TapStack"
PROVIDER = PolicyProviderResource("pulumi:providers:aws", unknown_checking_proxy({
    "region": "us-west-2", "defaultTags": '{"tags": {"Project": "TapStack"}}'}), "urn", "aws")
OPTIONS = PolicyResourceOptions(False, [], None, [], PolicyCustomTimeouts(0, 0, 0), [], None)


def args(type_: str, **props: Any) -> ResourceValidationArgs:
    """What the engine says of a resource with these inputs."""
    return ResourceValidationArgs(type_, unknown_checking_proxy(props), f"urn:pulumi:s::p::{STACK}${type_}::one", "one",
                                  OPTIONS, PROVIDER, None)


def test_what_is_unknown_ends_no_rule() -> None:
    assert known(unknown_checking_proxy({"a": {"b": [UNKNOWN_STRING_VALUE, 1]}, "c": UNKNOWN_OBJECT_VALUE})) == {
        "a": {"b": [UNKNOWN, 1]}, "c": UNKNOWN}


def test_a_resource_has_the_region_and_the_tags_of_its_provider() -> None:
    found = declared(args(BUCKET, bucket=UNKNOWN_STRING_VALUE))
    assert (found.kind, found.name, found.region, found.tags, found.protect) == (
        "s3.BucketVersioning", "one", "us-west-2", {"Project": "TapStack"}, False)
    assert found.types == [STACK, BUCKET]


@pytest.mark.parametrize(("status", "told"), [("Enabled", 0), ("Suspended", 1), (UNKNOWN_STRING_VALUE, 0)])
def test_a_rule_about_each_resource_tells_what_it_finds(status: str, told: int) -> None:
    lines: list[str] = []
    rule = next(each for each in RULES if isinstance(each, ResourceRule) and each.name == "backups")
    resource_policy(rule).validate(args(BUCKET, versioningConfiguration={"status": status}),
                                   lambda line, _urn: lines.append(line))
    assert len(lines) == told


@pytest.mark.parametrize(("released", "told"), [("", {"is not protected", "deletionProtection is None, not True",
                                                      "skipFinalSnapshot is None, not False"}), ("false", set())])
def test_a_rule_about_the_stack_knows_its_profile_and_its_settings(released: str, told: set[str]) -> None:
    pulumi.runtime.set_all_config({f"{PROJECT}:deletionProtection": released})
    lines: set[str] = set()
    rule = next(each for each in RULES if not isinstance(each, ResourceRule))
    resources = [PolicyResource(type_, unknown_checking_proxy(props), f"urn:pulumi:s::p::{type_}::one", "one", OPTIONS,
                                None, None, [], {}) for type_, props in (
        ("tapstack:index:DeployedStack", {"profile": "prod"}), (CLUSTER, {}))]
    stack_policy(rule).validate(StackValidationArgs(resources, None, {}), lambda line, _urn: lines.add(line))
    assert lines == told
