"""The rules over the recorded program, and over programs that break them."""
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pulumi
import pytest

from policy.rules import OPEN, RULES, UNKNOWN, Declared, DeclaredStack, StackRule
from tests.unit.lib.conftest import CASES, PREVIEWED, recording

SECRET_SIG = "4dabf18193072939515e22adb298388d"


def plain(value: Any) -> Any:
    """A recorded value as the policy pack gives it to the rules: without envelopes, unknown ones as UNKNOWN."""
    if isinstance(value, pulumi.output.Unknown):
        return UNKNOWN
    if isinstance(value, dict):
        return plain(value.get("value")) if SECRET_SIG in value else {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


@cache
def declared_stack(case: str, *, known: bool = True) -> DeclaredStack:
    """The recorded program of a case as the rules take it."""
    program = recording(case, known=known)

    def declared(urn: str) -> Declared:
        resource = program.resources[urn]
        provider = program.resources.get(resource.provider.rpartition("::")[0])
        types, above = [resource.type], program.resources.get(resource.parent)
        while above:
            types, above = [above.type, *types], program.resources.get(above.parent)
        return Declared(
            urn=urn, types=types, protect=resource.protect, region=str(provider.inputs["region"]) if provider else "",
            tags=json.loads(str(provider.inputs["defaultTags"]))["tags"] if provider else None,
            inputs=plain({**resource.inputs, **program.component_outputs.get(resource.type, {})}))

    return DeclaredStack(resources=[declared(urn) for urn in program.resources], config=CASES[case])


def broken(stack: DeclaredStack, changed: Iterable[Declared] | None = None) -> Iterator[tuple[str, str, str]]:
    """Which rule is broken by which resource, and how. `changed` alone are held to the rules for single resources."""
    for rule in RULES:
        if isinstance(rule, StackRule):
            yield from ((rule.name, urn.rpartition("::")[2], line) for urn, line in rule.broken(stack))
        else:
            for resource in stack.resources if changed is None else changed:
                yield from ((rule.name, resource.name, line) for line in rule.broken(resource))


@pytest.mark.parametrize("known", [True, False], ids=["known", "preview"])
@pytest.mark.parametrize("case", CASES)
def test_the_program_keeps_to_every_rule(case: str, known: bool) -> None:
    if known or case in PREVIEWED:
        assert [*broken(declared_stack(case, known=known))] == []


# What breaks each rule: the kind, a part of the name, and the inputs that replace its own.
FOREIGN = "arn:aws:kms:eu-north-1:123456789012:key/k"
ANYBODY = json.dumps({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]})


def role_policy(action: str, resource: str) -> str:
    """A policy of a role with one statement."""
    return json.dumps({"Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]})


def trusting(**principal: str) -> str:
    """A policy that admits a principal whomever it acts for."""
    return json.dumps({"Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]})


def encryption(algorithm: str, key: str | None) -> dict[str, Any]:
    """A rule by which a bucket encrypts."""
    return {"bucketKeyEnabled": True, "applyServerSideEncryptionByDefault": {
        "sseAlgorithm": algorithm, "kmsMasterKeyId": key}}


FAULTS: Mapping[str, list[tuple[str, dict[str, Any]]]] = {
    "customer-keys": [
        ("cloudwatch.LogGroup", {"kmsKeyId": None}), ("sns.Topic", {"kmsMasterKeyId": "alias/aws/sns"}),
        ("rds.Cluster", {"kmsKeyId": FOREIGN}), ("secretsmanager.Secret", {"replicas": [{"kmsKeyId": None}]})],
    "encrypted": [
        ("rds.Cluster", {"storageEncrypted": None}), ("rds.GlobalCluster", {"storageEncrypted": False}),
        ("s3.BucketServerSideEncryptionConfiguration", {"rules": [encryption("none", None)]})],
    "tls-only": [
        ("s3.BucketPolicy", {"policy": ANYBODY}), ("sns.TopicPolicy", {"policy": ANYBODY}),
        ("apigateway.RestApi", {"securityPolicy": "TLS_1_0"}),
        ("rds.ClusterParameterGroup", {"parameters": [{"name": "rds.force_ssl", "value": "0"}]})],
    "nothing-public": [
        ("ec2.Subnet", {"mapPublicIpOnLaunch": True}), ("rds.ClusterInstance", {"publiclyAccessible": None}),
        ("s3.BucketPublicAccessBlock", {"blockPublicAcls": None}), ("ec2.VpcEndpoint", {"policy": ANYBODY}),
        ("ec2.VpcEndpoint", {"policy": None}), ("vpc.SecurityGroupIngressRule", {"cidrIpv4": "0.0.0.0/0"}),
        ("sns.TopicPolicy", {"policy": ANYBODY}), ("kms.ReplicaKey", {"policy": trusting(AWS="*")}),
        ("ec2.DefaultSecurityGroup", {"ingress": [{"cidrBlocks": ["0.0.0.0/0"]}]}),
        ("apigateway.Method", {"apiKeyRequired": False})],
    "no-wildcard": [("iam.RolePolicy", {"policy": role_policy(*each)}) for each in (
        ("s3:*", "arn:aws:s3:::a"), ("s3:GetObject", "*"), ("s3:GetObject", "a"))],
    "trust": [
        ("iam.Role", {"assumeRolePolicy": trusting(Service="lambda.amazonaws.com")}),
        ("iam.Role", {"assumeRolePolicy": trusting(AWS="arn:aws:iam::999999999999:root")}),
        ("kms.Key", {"policy": trusting(Service="sns.amazonaws.com")}), ("lambda.Permission", {"sourceArn": None})],
    "tags": [("ec2.Vpc", {"tags": {"Project": "another"}})],
    "retention": [("cloudwatch.LogGroup", {"retentionInDays": None}), ("kms.Key", {"deletionWindowInDays": 1})],
    "backups": [
        ("rds.Cluster", {"backupRetentionPeriod": 0}), ("dynamodb.Table", {"pointInTimeRecovery": None}),
        ("s3.BucketVersioning", {"versioningConfiguration": {"status": "Suspended"}}),
        ("backup.Plan", {"rules": [{"lifecycle": {"deleteAfter": 7}}]})],
    "no-secret": [
        ("lambda.Function", {"environment": {"variables": {"DB_PASSWORD": "x"}}}),
        ("sns.TopicSubscription", {"endpoint": "https://user:word@example.com"})],
    "protection": [("rds.Cluster", {"deletionProtection": False}), ("dynamodb.Table", {"replicas": [{}]})],
    "regions-alike": [],
}


def broken_with(kind: str, inputs: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What a program breaks in which one resource of a kind has other inputs."""
    for case in ("prod", "dev"):
        stack = declared_stack(case)
        for number, resource in enumerate(stack.resources):
            if resource.kind == kind and not resource.name.endswith(OPEN):
                changed = replace(resource, inputs={**resource.inputs, **inputs})
                others = [*stack.resources]
                others[number] = changed
                return [*broken(replace(stack, resources=others), [changed])]
    raise AssertionError(kind)


def test_each_rule_has_a_program_that_breaks_it() -> None:
    assert FAULTS.keys() == {rule.name for rule in RULES}


@pytest.mark.parametrize(("rule", "kind", "inputs"), [
    (rule, kind, inputs) for rule, faults in FAULTS.items() for kind, inputs in faults])
def test_a_rule_finds_what_breaks_it(rule: str, kind: str, inputs: Mapping[str, Any]) -> None:
    assert {name for name, _, _ in broken_with(kind, inputs)} >= {rule}


@pytest.mark.parametrize(("kind", "inputs"), [
    (kind, {key: UNKNOWN}) for faults in FAULTS.values() for kind, inputs in faults for key in inputs])
def test_what_is_given_and_not_known_yet_breaks_nothing(kind: str, inputs: Mapping[str, Any]) -> None:
    assert broken_with(kind, inputs) == []


def test_only_the_buckets_of_the_access_logs_have_the_key_of_s3_and_no_other() -> None:
    def changed(rule: Any) -> set[str]:
        stack = declared_stack("dev")
        return {name.removeprefix("tap-dev-primary-") for found, name, _ in broken(replace(stack, resources=[
            replace(each, inputs={"rules": [rule]}) for each in stack.resources
            if each.kind == "s3.BucketServerSideEncryptionConfiguration" and each.region == "us-east-1"]))
            if found in ("customer-keys", "encrypted")}

    assert changed(encryption("AES256", None)) == {"receipts-encryption", "control-encryption"}
    assert changed(encryption("aws:kms", "arn:aws:kms:us-east-1:123456789012:key/k")) == {"logs-encryption"}


def test_a_resource_that_nothing_protects_a_gateway_and_a_region_that_lacks_something_are_found() -> None:
    stack = declared_stack("prod")
    (bucket,) = (each for each in stack.resources if each.name == "tap-dev-dr-control-bucket")
    others = [each for each in stack.resources if each is not bucket]
    gateway = replace(bucket, types=["aws:ec2/natGateway:NatGateway"])
    untagged = replace(bucket, tags={"Project": "TapStack"})
    for changed, rule in ((replace(bucket, protect=False), "protection"), (gateway, "nothing-public"),
                          (untagged, "tags")):
        assert rule in {name for name, _, _ in broken(replace(stack, resources=[*others, changed]))}
    assert [*broken(replace(stack, resources=others))] == [
        ("regions-alike", "tap-dev-primary-control-bucket", "has no counterpart in the other region")]
    released = replace(stack, config={"deletionProtection": "false"}, resources=[
        replace(each, protect=False) for each in stack.resources])
    assert [*broken(released)] == []
