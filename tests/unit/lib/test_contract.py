"""What holds for every resource of the program, in every configuration."""
import json
import re
from collections import Counter
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from contract import Variable
from lib.component import REPLACED_BY_RELEASES
from lib.names import CATALOGUE, LONGEST_REGION
from policy.rules import KEYS
from tests.unit.lib.conftest import CASES, PREVIEWED, recording
from tests.unit.lib.recorder import Recording, Resource, record
from tests.unit.lib.resource_types import (
    TYPES,
    Expected,
    arguments,
    misnamed,
    mistagged,
    named,
    short,
    unclassified,
)

ROLE_WORDS = re.compile(r"\b(primary|secondary|standby|dr|writer|reader|replica|failover|backup-region)\b")

# The complete list of what the two regions do not have in common.
ROLE_DECIDES: dict[str, set[str]] = {
    "Key": {"multiRegion", "enableKeyRotation"},
    "ReplicaKey": {"primaryKeyArn"},
    "Cluster": {"databaseName", "masterUsername", "masterPassword", "sourceRegion"},
}


def knows_both(program: Recording, resource: Resource) -> bool:
    """Whether a resource names the other region, too: a controller's function or its policy, or the kept outputs."""
    return resource.kind == "BucketObjectv2" or (
        resource.kind in ("Function", "RolePolicy") and program.inside(resource, "Controller"))


def suffix_of(program: Recording) -> str:
    """The environment suffix of a recorded program."""
    return next(iter(program.of("TapStack"))).name.removeprefix("tap-")


def regional(program: Recording) -> dict[str, list[Resource]]:
    """The custom resources of each region's component."""
    return {component: [r for r in program.custom if program.inside(r, component)]
            for component in ("PrimaryRegion", "DrRegion")}


def test_every_aws_resource_has_one_of_the_two_providers(program: Recording) -> None:
    # https://www.pulumi.com/docs/iac/concepts/resources/options/provider/
    providers = {r.urn for r in program if r.type == "pulumi:providers:aws"}
    assert len(providers) == 2
    for resource in program.custom:
        if resource.type.startswith("aws:"):
            assert resource.provider.rpartition("::")[0] in providers, resource.urn
    for token, provider in program.calls:
        assert provider.rpartition("::")[0] in providers, token


def test_every_resource_lies_in_its_own_region(program: Recording) -> None:
    for component, resources in regional(program).items():
        assert len({program.region(r) for r in resources}) == 1, component
    regions = {component: program.region(resources[0]) for component, resources in regional(program).items()}
    assert len(set(regions.values())) == 2
    for component, region in regions.items():
        for resource in regional(program)[component]:
            other = next(r for r in regions.values() if r != region)
            allowed = {"MetricAlarm", "Dashboard"}  # their metrics name the other region
            own = {key: value for key, value in resource.inputs.items()
                   if key not in ("sourceRegion", "primaryKeyArn")}
            may = resource.kind in allowed or knows_both(program, resource)
            assert may or other not in str(own), resource.urn


def test_resources_that_span_the_regions_are_where_they_must_be(domain: Recording) -> None:
    shared = (resource for resource in domain.custom if domain.inside(resource, "GlobalResources"))
    in_standby = {resource.name for resource in shared if domain.region(resource) == "us-east-1"}
    prefix = "tap-seventeen-letters-global-"
    assert in_standby == {prefix + name for name in (
        "inbound-role", "inbound-policy", "inbound-receipts", "inbound-backup-role", "inbound-backup-policy",
        "inbound-plan", "inbound-selection", "dns-dr-certificate", "dns-dr-valid", "dns-dr-host",
        "dns-dr-host-mapping", "dns-dr-host-record", "dns-dr-service", "dns-dr-service-mapping")}


def test_everything_is_a_child_of_the_stack_but_what_says_how_it_was_deployed(program: Recording) -> None:
    for resource in program:
        assert resource.kind in ("DeployedStack", "TapStack") or program.inside(resource, "TapStack"), resource.urn


def alike(resource: Resource, program: Recording) -> tuple[str, str, str]:
    """A resource without the names of its region, so that the two regions can be compared."""
    region = program.region(resource)
    zone, cidr = re.compile(re.escape(region) + "[a-d]"), re.compile(r"10\.[01]\.")
    kind = "Key" if resource.kind == "ReplicaKey" else resource.kind
    inputs = {key: value for key, value in resource.inputs.items()
              if key not in ROLE_DECIDES.get(resource.kind, ())}
    if knows_both(program, resource) and "environment" in inputs:  # it has both regions, by their roles
        inputs["environment"] = sorted(inputs["environment"]["variables"])
    if inputs.get("contentType") == "application/json":  # all outputs, the same in both
        assert json.loads(inputs["content"]) == program.outputs
        inputs["content"] = ""
    text = json.dumps(inputs, sort_keys=True, default=lambda code: sorted(code.assets))
    peer = next(r.inputs["region"] for r in program.of("aws") if r.inputs["region"] != region)
    text = cidr.sub("10.N.", zone.sub("ZONE", text).replace(region, "OWN").replace(str(peer), "PEER"))
    name = re.sub("-(primary|dr)-", "-ROLE-", resource.name)
    return kind, name, re.sub("-(primary|dr)-", "-ROLE-", text)


def test_both_regions_have_the_same_resources_except_those_on_the_list(deployed: Recording) -> None:
    primary, standby = (Counter(alike(r, deployed) for r in resources if r.kind != "ClusterInstance")
                        for resources in regional(deployed).values())
    differ = (primary - standby) + (standby - primary)
    # Route 53 publishes the metrics of its health checks in us-east-1 only.
    assert {(kind, name.rpartition("-")[2]) for kind, name, _ in differ} <= {("MetricAlarm", "unhealthy")}


@pytest.mark.parametrize(("case", "readers"), [("dev", 0), ("prod", 1), ("prod-released-domain-zone-europe", 1)])
def test_both_regions_have_the_same_instances_but_for_readers(case: str, readers: int) -> None:
    program = recording(case)
    primary, standby = (Counter(alike(r, program) for r in resources if r.kind == "ClusterInstance")
                        for resources in regional(program).values())
    assert standby.total() == 1
    assert not standby - primary
    assert (primary - standby).total() == readers


def test_the_list_has_only_what_the_role_decides() -> None:
    program = recording("dev")
    for kind, keys in ROLE_DECIDES.items():
        for key in keys:
            assert sum(key in r.inputs for r in program.of(kind)) == 1, (kind, key)


@pytest.mark.parametrize("case", PREVIEWED)
def test_a_preview_registers_what_a_deployment_does(case: str) -> None:
    assert set(recording(case, known=False).resources) == set(recording(case).resources)


def test_every_type_is_classified(program: Recording) -> None:
    assert unclassified(program) == set()


def test_the_table_has_only_types_of_the_program() -> None:
    assert TYPES.keys() == {short(resource) for case in CASES for resource in recording(case).custom}


@pytest.mark.parametrize("type_name", sorted(TYPES.keys() - KEYS.keys() - {"rds.GlobalCluster", "s3.Bucket"}))
def test_a_type_without_encryption_could_not_have_any(type_name: str) -> None:
    if not type_name.startswith("random."):
        assert not [each for each in arguments(type_name) if "kms" in each or "encrypt" in each]


def test_every_physical_name_fits_its_service_has_the_suffix_and_is_unique(deployed: Recording) -> None:
    # Roles are global: https://docs.aws.amazon.com/IAM/latest/UserGuide/disaster-recovery-resiliency.html
    assert misnamed(deployed, suffix_of(deployed)) == []


def test_no_physical_name_has_a_word_for_a_role(deployed: Recording) -> None:
    for resource in deployed.custom:
        expected = TYPES[short(resource)]
        name = str(resource.inputs[expected.name]) if expected.name else ""
        if not name.endswith("-unhealthy"):  # these alarms name a health check
            assert not ROLE_WORDS.search(name), (resource.urn, name)


def test_every_tag_of_the_stack_reaches_every_type_that_has_tags(deployed: Recording) -> None:
    assert mistagged(deployed) == []


def with_queue(**inputs: Any) -> Recording:
    """A program with a provider and a queue, a type that the table lacks."""
    def program() -> None:
        provider = aws.Provider("tap-dev-us-east-1", region="us-east-1")
        pulumi.CustomResource("aws:sqs/queue:Queue", "tap-dev-queue", {"name": "tapstack-dev", **inputs},
                              pulumi.ResourceOptions(provider=provider))
    return record(program=program)


def test_a_new_type_is_found_until_it_is_classified() -> None:
    program = with_queue()
    assert unclassified(program) == {"sqs.Queue"}
    assert unclassified(program, {"sqs.Queue": named(80)}) == set()


def test_a_new_type_is_held_to_its_classification() -> None:
    good, bad = with_queue(), with_queue(tags={"Project": "x"})
    types = {"sqs.Queue": named(12, tags=True)}
    (queue,) = (resource.urn for resource in good.custom)
    assert (misnamed(good, "dev", types), mistagged(good, types)) == ([], [])
    assert mistagged(bad, types) == [queue]
    assert mistagged(good, {"sqs.Queue": named(12)}) == [queue]
    for wrong, suffix in ((named(11), "dev"), (named(12), "prod"), (named(12, "bucket"), "dev"), (Expected(), "dev")):
        assert misnamed(good, suffix, {"sqs.Queue": wrong}) == [queue]


@pytest.mark.parametrize("key", CATALOGUE)
def test_the_longest_suffix_fits_every_name(key: str) -> None:
    name = CATALOGUE[key]
    text = name.template.format(suffix="s" * 17, region=LONGEST_REGION, account="1" * 12)
    assert len(text) <= name.limit


def test_fixed_names_are_deleted_before_they_are_replaced_and_data_never_is(program: Recording) -> None:
    # https://www.pulumi.com/docs/iac/concepts/resources/options/deletebeforereplace/
    for resource in program.custom:
        expected = TYPES[short(resource)]
        assert resource.delete_before_replace is not (expected.data or expected.in_use), resource.urn


@pytest.mark.parametrize("case", CASES)
def test_only_prod_that_is_not_released_protects(case: str) -> None:
    program, prod = recording(case), case.startswith("prod")
    protected = prod and "released" not in case
    for resource in program:
        assert resource.protect is (protected and resource.type not in REPLACED_BY_RELEASES), resource.urn
    for resource in program.of("Cluster", "GlobalCluster"):
        assert resource.inputs["deletionProtection"] is protected
    for resource in program.of("Table"):
        assert resource.inputs["deletionProtectionEnabled"] is protected
        assert [r["deletionProtectionEnabled"] for r in resource.inputs["replicas"]] == [protected]


def test_a_mistaken_destroy_takes_nothing_that_serves_or_keeps_data(prod: Recording) -> None:
    # https://www.pulumi.com/docs/iac/concepts/resources/options/protect/
    taken = Counter(resource.kind for resource in prod.custom if not resource.protect)
    alarms = taken.pop("MetricAlarm")
    assert alarms == len(prod.of("MetricAlarm"))
    assert taken == {
        "Dashboard": 2, "TopicSubscription": 2,  # watch only
        "CertificateValidation": 2,  # no object of AWS
        "Deployment": 2, "ClusterParameterGroup": 2}  # AWS refuses: a protected stage and a protected cluster use them
    assert all(stage.protect for stage in prod.of("Stage", "Cluster"))


@pytest.mark.parametrize("case", CASES)
def test_what_prod_keeps_outlives_the_stack_with_the_keys_that_read_it(case: str) -> None:
    # What a deleted key encrypted is lost: https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html
    program, prod = recording(case), case.startswith("prod")
    kept = [resource for resource in program.custom if resource.retain]
    assert Counter(each.kind for each in kept if not each.kind.startswith("Bucket")) == (
        {"Key": 1, "ReplicaKey": 1, "Vault": 2, "VaultLockConfiguration": 2} if prod else {})
    buckets = {f"{each.name}-id" for each in program.of("Bucket") if "-control-" not in each.name}
    assert len(buckets) == 4
    for resource in program.custom:
        if resource.kind.startswith("Bucket") and resource.kind != "BucketReplicationConfig":
            bucket = f"{resource.name}-id" if resource.kind == "Bucket" else resource.inputs["bucket"]
            assert resource.retain is (prod and bucket in buckets), resource.urn
            assert resource.inputs.get("forceDestroy", not resource.retain) is not resource.retain
    for resource in program.of("Vault"):
        assert resource.inputs["forceDestroy"] is not prod
    for resource in program.of("Cluster"):
        assert resource.inputs["skipFinalSnapshot"] is not prod
        assert resource.inputs.get("finalSnapshotIdentifier", "").endswith("-final") is prod
        assert resource.inputs["kmsKeyId"] in {program.arn(each) for each in program.of("Key", "ReplicaKey")}


def key_of(program: Recording, region: str) -> str:
    """The ARN of a region's key."""
    return program.arn(next(r for r in program.of("Key", "ReplicaKey") if program.region(r) == region))


def test_every_bucket_has_all_that_closes_versions_encrypts_and_logs_it(deployed: Recording) -> None:
    buckets = {f"{r.name}-id" for r in deployed.of("Bucket")}
    assert len(buckets) == 6
    logged = {r.inputs["bucket"] for r in deployed.of("BucketLogging")}
    assert buckets - logged == {r.inputs["targetBucket"] for r in deployed.of("BucketLogging")}
    for kind in ("BucketPublicAccessBlock", "BucketOwnershipControls", "BucketVersioning", "BucketPolicy",
                 "BucketServerSideEncryptionConfiguration", "BucketLifecycleConfiguration"):
        assert {r.inputs["bucket"] for r in deployed.of(kind)} == buckets, kind


def test_a_security_groups_rule_is_for_one_port(deployed: Recording) -> None:
    for resource in deployed.of("SecurityGroupIngressRule", "SecurityGroupEgressRule"):
        assert resource.inputs["fromPort"] == resource.inputs["toPort"]


def test_the_copies_both_ways_mirror_each_other(deployed: Recording) -> None:
    def mirrored(direction: str) -> Counter[tuple[str, str]]:
        resources = [r for r in deployed.custom if f"-global-{direction}" in r.name]
        region = deployed.region(resources[0])
        peer = next(r.inputs["region"] for r in deployed.of("aws") if r.inputs["region"] != region)
        source, target = ("primary", "dr") if direction == "outbound" else ("dr", "primary")
        words = {region: "SOURCE", str(peer): "TARGET", direction: "COPY", f"-{source}-": "-SOURCE-",
                 f"-{target}-": "-TARGET-"}

        def plain(text: str) -> str:
            for word, stand_in in words.items():
                text = text.replace(word, stand_in)
            return text
        return Counter((plain(r.name), plain(json.dumps(dict(r.inputs), sort_keys=True))) for r in resources)

    assert mirrored("outbound") == mirrored("inbound")
    assert mirrored("outbound").total() == (10 if any(r.kind == "ExperimentTemplate" for r in deployed.custom) else 7)


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
        if (resource.kind in ("Cluster", "ClusterInstance", "Permission", "BucketObjectv2")
                or program.inside(resource, "VpcFunction") or program.inside(resource, "Controller")):
            continue  # the database, the functions that know its address, controllers and outputs, which know all
        assert waits <= key, (resource.urn, waits)


def test_a_failover_leaves_nothing_to_change(program: Recording) -> None:
    # https://github.com/hashicorp/terraform-provider-aws/issues/42919 and 40921. Other zones replace a cluster.
    moved = {"replicationSourceIdentifier", "globalClusterIdentifier", "engineVersion", "masterUsername",
             "masterPassword", "databaseName", "sourceRegion"}
    for resource in program.of("Cluster"):
        assert resource.ignore_changes == moved
        assert "replicationSourceIdentifier" not in resource.inputs
        assert "availabilityZones" not in resource.inputs
    for resource in program.of("ClusterInstance"):
        assert resource.ignore_changes == {"engineVersion", "performanceInsightsKmsKeyId"}


def test_drift_is_hidden_only_where_aws_moves_a_database_or_the_provider_cannot_plan(program: Recording) -> None:
    assert {(each.kind, each.ignore_changes) for each in program
            if each.ignore_changes and each.kind not in ("Cluster", "ClusterInstance")} == {
        ("SecurityGroupEgressRule", frozenset({"prefixListId"})),
        # A password that was rotated stays, and its version the current one.
        *((each.kind, frozenset({"secretString", "versionStages"})) for each in program
          if each.kind == "SecretVersion")}


def test_nothing_secret_is_an_output_or_in_the_environment_of_a_function(deployed: Recording) -> None:
    assert deployed.secret_outputs == set()
    assert "not-a-real-password" not in json.dumps(deployed.outputs)
    assert "existing-secret" not in json.dumps(deployed.outputs)
    of_controllers = {Variable.STACK_OUTPUTS, Variable.PROBE_SECONDS, Variable.WATCH_SECONDS,
                      Variable.COOL_DOWN_SECONDS, Variable.DETECTION_SECONDS, Variable.ROLE_ARN}
    known = {"VpcFunction": set(Variable) - of_controllers - {Variable.NAME_SERVERS}, "Controller": of_controllers}
    for resource in deployed.of("Function"):
        kind = deployed.resources[resource.parent].kind
        assert set(resource.inputs["environment"]["variables"]) == known[kind], resource.urn
        assert "not-a-real-password" not in str(resource.inputs["environment"])
