"""What holds for every resource of the program, in every configuration."""
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from lib.names import CATALOGUE, LONGEST_REGION
from tests.unit.lib.conftest import CASES, PREVIEWED, recording
from tests.unit.lib.recorder import ACCOUNT, Recording, Resource

ROLE_WORDS = re.compile(r"\b(primary|secondary|standby|dr|writer|reader|replica|failover|backup-region)\b")
# Inputs that name a thing in AWS, as opposed to referring to one.
NAMING = {"name", "bucket", "clusterIdentifier", "globalClusterIdentifier", "identifier", "dashboardName"}
# Types whose `name` is no name of ours: a label inside another resource, a host, or a fixed word.
UNNAMED = {"RolePolicy", "Record", "Zone", "Selection", "Stage", "Alias"}
DATA = {"GlobalCluster", "Cluster", "Table", "Bucket", "Key", "ReplicaKey", "Secret", "Vault", "Zone"}
# What something else holds on to while it is replaced, and what is one of a list of versions.
REPLACED_FIRST = {"Deployment", "Certificate", "CertificateValidation", "SecretVersion", "RandomPassword",
                  "ClusterParameterGroup", "HealthCheck"}

# The named list of what the two regions do not have in common.
ROLE_DECIDES: dict[str, set[str]] = {
    "Key": {"multiRegion", "enableKeyRotation"},
    "ReplicaKey": {"primaryKeyArn"},
    "Cluster": {"databaseName", "masterUsername", "masterPassword", "sourceRegion"},
}


def policies_of(resource: Resource) -> Iterator[dict[str, Any]]:
    """The statements of every policy document among the resource's inputs."""
    for key in ("policy", "assumeRolePolicy"):
        text = resource.inputs.get(key)
        if isinstance(text, str) and text.startswith("{"):
            yield from json.loads(text)["Statement"]


def as_list(value: Any) -> list[Any]:
    """A policy's one-or-many as many."""
    return value if isinstance(value, list) else [value]


def told_of_both(program: Recording, resource: Resource) -> bool:
    """Whether a resource names the other region too: a controller's function, and the policy by which it fails over."""
    return resource.kind in ("Function", "RolePolicy") and program.inside(resource, "Controller")


def regional(program: Recording) -> dict[str, list[Resource]]:
    """The custom resources of each region's component."""
    return {component: [r for r in program.custom if program.inside(r, component)]
            for component in ("PrimaryRegion", "DrRegion")}


def test_every_aws_resource_has_one_of_the_two_providers(program: Recording) -> None:
    providers = {r.urn for r in program if r.type == "pulumi:providers:aws"}
    assert len(providers) == 2
    for resource in program.custom:
        if resource.type.startswith("aws:"):
            assert resource.provider.rpartition("::")[0] in providers, resource.urn
    for token, provider in program.calls:
        assert provider.rpartition("::")[0] in providers, token


def test_every_resource_lies_in_its_own_region(program: Recording) -> None:
    here, there = (next(iter(program.of(c))).urn for c in ("PrimaryRegion", "DrRegion"))
    assert here != there
    for component, resources in regional(program).items():
        assert len({program.region(r) for r in resources}) == 1, component
    regions = {component: program.region(resources[0]) for component, resources in regional(program).items()}
    assert len(set(regions.values())) == 2
    for component, region in regions.items():
        for resource in regional(program)[component]:
            other = next(r for r in regions.values() if r != region)
            allowed = {"MetricAlarm", "Dashboard"}  # their metrics name the other region
            own = {key: value for key, value in resource.inputs.items() if key != "sourceRegion"}
            named = resource.kind in allowed or told_of_both(program, resource)
            assert named or other not in str(own), resource.urn


def test_what_spans_the_regions_is_where_it_has_to_be(domain: Recording) -> None:
    away = {r.name for r in domain.custom if domain.inside(r, "GlobalResources") and domain.region(r) == "us-east-1"}
    prefix = "tap-seventeen-letters-global-"
    assert away == {prefix + name for name in (
        "inbound-role", "inbound-policy", "inbound-receipts", "inbound-backup-role", "inbound-backup-policy",
        "inbound-plan", "inbound-selection", "dns-dr-certificate", "dns-dr-valid", "dns-dr-host",
        "dns-dr-host-mapping", "dns-dr-host-record", "dns-dr-service", "dns-dr-service-mapping")}


def test_everything_is_a_child_of_the_stack(program: Recording) -> None:
    for resource in program:
        assert resource.kind == "TapStack" or program.inside(resource, "TapStack"), resource.urn


def alike(resource: Resource, program: Recording) -> tuple[str, str, str]:
    """A resource with its region's own words taken out, so that the two regions' can be compared."""
    region = program.region(resource)
    zone, cidr = re.compile(re.escape(region) + "[a-d]"), re.compile(r"10\.[01]\.")
    kind = "Key" if resource.kind == "ReplicaKey" else resource.kind
    inputs = {key: value for key, value in resource.inputs.items()
              if key not in ROLE_DECIDES.get(resource.kind, ())}
    if told_of_both(program, resource) and "environment" in inputs:  # it tells of both, by their roles
        inputs["environment"] = sorted(inputs["environment"]["variables"])
    text = json.dumps(inputs, sort_keys=True, default=lambda code: sorted(code.assets))
    peer = next(r.inputs["region"] for r in program.of("aws") if r.inputs["region"] != region)
    text = cidr.sub("10.N.", zone.sub("ZONE", text).replace(region, "HERE").replace(str(peer), "THERE"))
    name = re.sub("-(primary|dr)-", "-ROLE-", resource.name)
    return kind, name, re.sub("-(primary|dr)-", "-ROLE-", text)


@pytest.mark.parametrize("case", CASES)
def test_both_regions_hold_the_same_but_for_the_named_list(case: str) -> None:
    program = recording(case)
    here, there = (Counter(alike(r, program) for r in resources if r.kind != "ClusterInstance")
                   for resources in regional(program).values())
    differ = (here - there) + (there - here)
    # Route 53 publishes the metrics of its health checks in us-east-1 only.
    assert {(kind, name.rpartition("-")[2]) for kind, name, _ in differ} <= {("MetricAlarm", "unhealthy")}


@pytest.mark.parametrize("case", ["dev", "prod", "prod-released-domain-zone-europe"])
def test_both_regions_have_as_many_instances(case: str) -> None:
    program = recording(case)
    here, there = (Counter(alike(r, program) for r in resources if r.kind == "ClusterInstance")
                   for resources in regional(program).values())
    assert here == there
    assert here.total() == (1 if case == "dev" else 2)


def test_what_the_role_decides_is_there() -> None:
    program = recording("dev")
    for kind, keys in ROLE_DECIDES.items():
        for key in keys:
            assert sum(key in r.inputs for r in program.of(kind)) == 1, (kind, key)


@pytest.mark.parametrize("case", PREVIEWED)
def test_a_preview_registers_what_a_deployment_does(case: str) -> None:
    assert set(recording(case, known=False).resources) == set(recording(case).resources)


def test_every_name_carries_the_suffix_and_no_role(deployed: Recording) -> None:
    suffix = next(r for r in deployed if r.kind == "TapStack").name.removeprefix("tap-")
    for resource in deployed.custom:
        if not resource.type.startswith("aws:") or resource.kind in UNNAMED:
            continue
        for key in NAMING & resource.inputs.keys():
            value = resource.inputs[key]
            if value.endswith("-id") or "postgresql" in value:  # a reference; a log group that RDS names
                continue
            assert suffix in value, (resource.urn, key, value)
            if not (resource.kind == "MetricAlarm" and value.endswith("unhealthy")):  # they name a check
                assert not ROLE_WORDS.search(value), (resource.urn, key, value)


def test_names_fit_their_services(deployed: Recording) -> None:
    limits = {"Function": 64, "Role": 64, "Bucket": 63, "Cluster": 63, "ClusterInstance": 63, "GlobalCluster": 63,
              "Secret": 512, "Topic": 256, "LogGroup": 512, "MetricAlarm": 255, "Dashboard": 255, "Vault": 50,
              "Plan": 50, "Table": 255, "SecurityGroup": 255, "SubnetGroup": 255, "ClusterParameterGroup": 255,
              "EventRule": 64}
    seen = set()
    for resource in deployed.custom:
        if resource.kind in limits:
            value = next(resource.inputs[key] for key in (
                "identifier", "clusterIdentifier", "globalClusterIdentifier", "dashboardName", "bucket", "name")
                if key in resource.inputs)
            seen.add(resource.kind)
            assert 0 < len(value) <= limits[resource.kind], (resource.urn, value)
    assert seen >= limits.keys() - {"Secret"}


@pytest.mark.parametrize("key", CATALOGUE)
def test_the_longest_suffix_fits_every_name(key: str) -> None:
    name = CATALOGUE[key]
    text = name.template.format(suffix="s" * 17, region=LONGEST_REGION, account="1" * 12)
    assert len(text) <= name.limit


def test_fixed_names_are_deleted_before_they_are_replaced_and_data_never_is(program: Recording) -> None:
    for resource in program.custom:
        held = resource.kind in DATA | REPLACED_FIRST
        assert resource.delete_before_replace is not held, resource.urn


@pytest.mark.parametrize("case", CASES)
def test_only_prod_that_is_not_released_protects(case: str) -> None:
    program, prod = recording(case), case.startswith("prod")
    protected = prod and "released" not in case
    for resource in program.custom:
        assert resource.protect is (protected and resource.kind in DATA), resource.urn
    for resource in program.of("Cluster"):
        assert resource.inputs["deletionProtection"] is protected
        assert resource.inputs["skipFinalSnapshot"] is not prod
        assert resource.inputs.get("finalSnapshotIdentifier", "").endswith("-final") is prod
    for resource in program.of("GlobalCluster"):
        assert resource.inputs["deletionProtection"] is protected
    for resource in program.of("Bucket", "Vault"):
        assert resource.inputs["forceDestroy"] is not protected
    for resource in program.of("Table"):
        assert resource.inputs["deletionProtectionEnabled"] is protected
        assert [r["deletionProtectionEnabled"] for r in resource.inputs["replicas"]] == [protected]


ENCRYPTED_BY = {
    "Cluster": "kmsKeyId", "ClusterInstance": "performanceInsightsKmsKeyId", "LogGroup": "kmsKeyId",
    "Topic": "kmsMasterKeyId", "Vault": "kmsKeyArn", "Function": "kmsKeyArn", "Secret": "kmsKeyId",
}


def key_of(program: Recording, region: str) -> str:
    """The ARN of a region's key, as the recorder makes it up."""
    key = next(r for r in program.of("Key", "ReplicaKey") if program.region(r) == region)
    return f"arn:aws:kms::{ACCOUNT}:{key.name}"


def test_everything_at_rest_is_encrypted_with_its_regions_key(deployed: Recording) -> None:
    for resource in deployed.custom:
        if resource.kind in ENCRYPTED_BY:
            key = key_of(deployed, deployed.region(resource))
            assert resource.inputs[ENCRYPTED_BY[resource.kind]] == key, resource.urn
    assert all(r.inputs["storageEncrypted"] for r in deployed.of("Cluster", "GlobalCluster"))
    assert all(r.inputs["performanceInsightsEnabled"] for r in deployed.of("ClusterInstance"))
    for resource in deployed.of("BucketServerSideEncryptionConfiguration"):
        (rule,) = resource.inputs["rules"]
        assert rule["bucketKeyEnabled"] is True
        assert rule["applyServerSideEncryptionByDefault"] == {
            "sseAlgorithm": "aws:kms", "kmsMasterKeyId": key_of(deployed, deployed.region(resource))}
    (table,) = deployed.of("Table")
    (replica,) = table.inputs["replicas"]
    assert table.inputs["serverSideEncryption"] == {
        "enabled": True, "kmsKeyArn": key_of(deployed, deployed.region(table))}
    assert replica["kmsKeyArn"] == key_of(deployed, replica["regionName"])


def test_every_bucket_is_closed_versioned_encrypted_and_tls_only(deployed: Recording) -> None:
    buckets = {f"{r.name}-id" for r in deployed.of("Bucket")}
    assert len(buckets) == 4
    for kind in ("BucketPublicAccessBlock", "BucketOwnershipControls", "BucketVersioning", "BucketPolicy",
                 "BucketServerSideEncryptionConfiguration", "BucketLifecycleConfiguration"):
        assert {r.inputs["bucket"] for r in deployed.of(kind)} == buckets, kind
    for resource in deployed.of("BucketPublicAccessBlock"):
        assert all(resource.inputs[f"{w}Public{x}"] is True for w, x in (
            ("block", "Acls"), ("block", "Policy"), ("ignore", "Acls"), ("restrict", "Buckets")))
    for resource in deployed.of("BucketPolicy"):
        statements = {s["Sid"]: s for s in policies_of(resource)}
        assert statements["TlsOnly"]["Effect"] == "Deny"
        assert statements["TlsOnly"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_nothing_is_public_but_the_api(deployed: Recording) -> None:
    assert not {"InternetGateway", "NatGateway", "Eip", "Url"} & {r.kind for r in deployed.custom}
    for resource in deployed.of("VpcEndpoint"):
        (statement,) = policies_of(resource)
        assert resource.inputs["vpcEndpointType"] == "Gateway"
        assert statement["Condition"] == {"StringEquals": {"aws:PrincipalAccount": ACCOUNT,
                                                           "aws:ResourceAccount": ACCOUNT}}
    for resource in deployed.of("SecurityGroupIngressRule", "SecurityGroupEgressRule"):
        assert not {"cidrIpv4", "cidrIpv6"} & resource.inputs.keys(), resource.urn
        assert resource.inputs["fromPort"] == resource.inputs["toPort"]
    for resource in deployed.of("SecurityGroup"):
        assert not {"ingress", "egress"} & resource.inputs.keys(), "rules are resources of their own"
    for resource in deployed.of("DefaultSecurityGroup"):
        assert resource.inputs["ingress"] == resource.inputs["egress"] == []
    assert all(r.inputs["publiclyAccessible"] is False for r in deployed.of("ClusterInstance"))
    assert all(r.inputs["mapPublicIpOnLaunch"] is False for r in deployed.of("Subnet"))
    open_methods = Counter(r.name.partition("-api-")[2] for r in deployed.of("Method")
                           if not r.inputs["apiKeyRequired"])
    assert open_methods == {"get-health-method": 2, "get-takeover-method": 2}


# AWS knows no resources for these actions.
UNSCOPED = {"xray:PutTraceSegments", "xray:PutTelemetryRecords", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets",
            "tag:GetResources", "cloudwatch:PutMetricData", "cloudwatch:GetMetricStatistics"}


def test_roles_name_actions_and_resources(deployed: Recording) -> None:
    for resource in deployed.of("RolePolicy"):
        for statement in policies_of(resource):
            if statement["Effect"] == "Deny":
                continue
            actions, resources = set(as_list(statement["Action"])), as_list(statement["Resource"])
            assert not any(action.endswith(":*") or action == "*" for action in actions), (resource.urn, actions)
            assert resources, resource.urn
            if "*" in resources:
                assert actions <= UNSCOPED, (resource.urn, actions)
            else:
                assert all(arn.startswith("arn:aws:") for arn in resources), (resource.urn, resources)


def test_every_role_trusts_one_service(deployed: Recording) -> None:
    for resource in deployed.of("Role"):
        (statement,) = policies_of(resource)
        assert list(statement["Principal"]) == ["Service"]
        assert isinstance(statement["Principal"]["Service"], str)


def test_the_copies_both_ways_mirror_each_other(deployed: Recording) -> None:
    def mirrored(direction: str) -> Counter[tuple[str, str]]:
        resources = [r for r in deployed.custom if f"-global-{direction}" in r.name]
        region = deployed.region(resources[0])
        peer = next(r.inputs["region"] for r in deployed.of("aws") if r.inputs["region"] != region)
        words = {region: "HERE", str(peer): "THERE", direction: "COPY",
                 "-primary-": "-HERE-" if direction == "outbound" else "-THERE-",
                 "-dr-": "-THERE-" if direction == "outbound" else "-HERE-"}

        def plain(text: str) -> str:
            for word, stand_in in words.items():
                text = text.replace(word, stand_in)
            return text
        return Counter((plain(r.name), plain(json.dumps(dict(r.inputs), sort_keys=True))) for r in resources)

    assert mirrored("outbound") == mirrored("inbound")
    assert mirrored("outbound").total() == 7


def test_no_resource_waits_for_itself_or_for_what_waits_for_it(program: Recording) -> None:
    for resource in program.custom:
        assert resource.urn not in program.waits_transitively(resource), resource.urn


def test_the_dr_region_waits_for_the_primary_only_where_aws_demands_it(program: Recording) -> None:
    primary = {r.urn for r in program.custom if program.inside(r, "PrimaryRegion")}
    key = {r.urn for r in program.of("Key")}
    for resource in program.custom:
        if not program.inside(resource, "DrRegion") or resource.name.endswith("-unhealthy"):
            continue
        waits = program.waits_transitively(resource) & primary
        if (resource.kind in ("Cluster", "ClusterInstance", "Permission") or program.inside(resource, "VpcFunction")
                or program.inside(resource, "Controller")):
            continue  # the database, the functions, which are told where it is, and the controllers, told of all
        assert waits <= key, (resource.urn, waits)


def test_a_failover_leaves_nothing_to_change(program: Recording) -> None:
    moved = {"replicationSourceIdentifier", "globalClusterIdentifier", "engineVersion", "masterUsername",
             "databaseName"}
    for resource in program.of("Cluster"):
        assert resource.ignore_changes == moved
        assert "replicationSourceIdentifier" not in resource.inputs
        assert "availabilityZones" not in resource.inputs
    for resource in program.of("ClusterInstance"):
        assert resource.ignore_changes == {"engineVersion", "performanceInsightsKmsKeyId"}
    assert all(r.ignore_changes == {"availabilityZone"} for r in program.of("Subnet"))


def test_nothing_secret_is_an_output_or_in_the_environment_of_a_function(deployed: Recording) -> None:
    assert deployed.secret_outputs == set()
    assert "not-a-real-password" not in json.dumps(deployed.outputs)
    assert "existing-secret" not in json.dumps(deployed.outputs)
    known = {"VpcFunction": {"TABLE_NAME", "RECEIPTS_BUCKET", "CONTROL_BUCKET", "DATABASE_HOST", "DATABASE_READER_HOST",
                             "DATABASE_PORT", "DATABASE_NAME", "DATABASE_USER"},
             "Controller": {"STACK_OUTPUTS", "PROBE_SECONDS", "WATCH_SECONDS", "COOL_DOWN_SECONDS"}}
    for resource in deployed.of("Function"):
        kind = deployed.resources[resource.parent].kind
        assert set(resource.inputs["environment"]["variables"]) == known[kind], resource.urn
        assert "not-a-real-password" not in str(resource.inputs["environment"])
