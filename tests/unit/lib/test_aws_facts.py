"""What AWS and its provider demand of the program and an emulator does not: each fact, with the page that says so.

Facts about keys are in test_keys.py, about permissions in test_roles.py; a fact about one component is in its own test.
"""
import re
from functools import partial
from itertools import pairwise
from typing import Any

from contract import HEALTH_PATH, LEVER_PATH, RECEIPTS_PREFIX
from lib.region.controller import RECOVERY
from lib.region.function import PAYMENTS
from tests.unit.lib.conftest import CASES, recording
from tests.unit.lib.iam import allowed, policies_of
from tests.unit.lib.recorder import ACCOUNT, SECRET, Recording, Resource
from tests.unit.lib.resource_types import short
from tests.unit.lib.test_contract import key_of
from tests.unit.lib.test_keys import leaves


def of_region(program: Recording, kind: str, component: str) -> list[Resource]:
    """The resources of a kind in the primary or the standby region."""
    return [each for each in program.of(kind) if program.inside(each, component)]


# --- Aurora global database


def test_aurora_does_not_manage_the_login_of_a_global_database(deployed: Recording) -> None:
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-secrets-manager.html#rds-secrets-manager-limitations
    for each in deployed.of("Cluster", "GlobalCluster"):
        assert "manageMasterUserPassword" not in each.inputs


def test_the_engine_is_upgraded_through_the_global_cluster(deployed: Recording) -> None:
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-upgrade.html
    # https://github.com/hashicorp/terraform-provider-aws/issues/42919, .../40921
    (everywhere,) = deployed.of("GlobalCluster")
    assert "engineVersion" in everywhere.inputs
    assert not everywhere.ignore_changes


def test_a_global_database_is_deleted_from_the_standbys_instances_to_the_global_cluster(deployed: Recording) -> None:
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-deleting.html: what waits for
    # another is deleted before it. In this order they are created, too: without the writer's instance a standby fails,
    # "MasterUsername must be provided": https://github.com/hashicorp/terraform-provider-aws/issues/26030
    (everywhere,) = deployed.of("GlobalCluster")
    (primary,), (standby,) = (of_region(deployed, "Cluster", each) for each in ("PrimaryRegion", "DrRegion"))
    writer = of_region(deployed, "ClusterInstance", "PrimaryRegion")[0]
    order = [standby, writer, primary, everywhere]
    for later, earlier in pairwise(order):
        assert earlier.urn in deployed.waits_transitively(later), later.urn
    for instance in deployed.of("ClusterInstance"):
        cluster = standby if deployed.inside(instance, "DrRegion") else primary
        assert cluster.urn in deployed.waits_transitively(instance)


def test_serverless_instances_belong_to_a_provisioned_cluster_with_limits(deployed: Recording) -> None:
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.create.html
    for instance in deployed.of("ClusterInstance"):
        (cluster,) = (each for each in deployed.of("Cluster")
                      if f"{each.name}-id" == instance.inputs["clusterIdentifier"])
        assert cluster.inputs["engineMode"] == "provisioned"
        if instance.inputs["instanceClass"] == "db.serverless":
            assert cluster.inputs["serverlessv2ScalingConfiguration"].keys() >= {"minCapacity", "maxCapacity"}


# --- DynamoDB global table


def test_replicas_are_declared_in_one_place(deployed: Recording) -> None:
    # https://github.com/hashicorp/terraform-provider-aws/issues/38968; GlobalTable is the version of 2017:
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_versions.html
    assert not {"dynamodb.TableReplica", "dynamodb.GlobalTable"} & {short(each) for each in deployed.custom}
    (table,) = deployed.of("Table")
    assert len(table.inputs["replicas"]) == 1


def test_what_would_recreate_a_replica_is_set_from_the_start(deployed: Recording) -> None:
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html and the provider:
    # https://www.pulumi.com/registry/packages/aws/api-docs/dynamodb/table/
    (table,) = deployed.of("Table")
    (replica,) = table.inputs["replicas"]
    assert replica["kmsKeyArn"] == key_of(deployed, replica["regionName"])
    assert replica["pointInTimeRecovery"] is replica["propagateTags"] is True
    assert (table.inputs["streamEnabled"], table.inputs["streamViewType"]) == (True, "NEW_AND_OLD_IMAGES")


def test_no_code_needs_what_a_strong_table_lacks() -> None:
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html: it takes no
    # transactions. Nor are they atomic between the regions of an eventual table.
    for path in (path for package in (PAYMENTS, RECOVERY) for path in package.rglob("*.py")):
        assert "transact_" not in path.read_text(encoding="utf-8"), path


# --- S3


def test_a_buckets_settings_are_resources_of_their_own(deployed: Recording) -> None:
    # https://www.pulumi.com/registry/packages/aws/api-docs/s3/bucket/: inline ones and these delete each other.
    for bucket in deployed.of("Bucket"):
        assert bucket.inputs.keys() <= {"bucket", "forceDestroy", "tags"}
    assert not [each.urn for each in deployed.custom if each.type.startswith("aws:s3/") and each.kind.endswith("V2")]


def test_objects_are_copied_both_ways_with_their_changes_in_time_and_under_the_others_key(deployed: Recording) -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-config-for-kms-objects.html,
    # .../replication-for-metadata-changes.html, .../replication-time-control.html, .../delete-marker-replication.html
    configs, enabled = deployed.of("BucketReplicationConfig"), {"status": "Enabled"}
    versionings = {each.urn for each in deployed.of("BucketVersioning") if "-receipts-" in each.name}
    assert len({deployed.region(each) for each in configs}) == 2
    for config in configs:
        assert versionings <= config.waits_for, "both buckets must be versioned first"
        (rule,) = config.inputs["rules"]
        assert rule["sourceSelectionCriteria"] == dict.fromkeys(
            ("sseKmsEncryptedObjects", "replicaModifications"), enabled)
        assert (rule["filter"], rule["deleteMarkerReplication"]) == ({"prefix": RECEIPTS_PREFIX}, enabled)
        destination = rule["destination"]
        other = next(each for each in deployed.of("aws") if each.inputs["region"] != deployed.region(config))
        assert destination["encryptionConfiguration"]["replicaKmsKeyId"] == key_of(
            deployed, other.inputs["region"])
        assert destination["replicationTime"] == {**enabled, "time": {"minutes": 15}}
        assert destination["metrics"] == {**enabled, "eventThreshold": {"minutes": 15}}


def test_access_logs_reach_a_bucket_of_the_region_that_s3_delivers_them_to(deployed: Recording) -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html: in the same region, with
    # S3's own key, without Object Lock, and by its policy.
    def of_bucket(kind: str, name: str) -> list[Resource]:
        return [each for each in deployed.custom if each.kind == kind and each.inputs["bucket"] == name]

    buckets = {f"{each.name}-id": each for each in deployed.of("Bucket")}
    for logging in deployed.of("BucketLogging"):
        target, source = logging.inputs["targetBucket"], buckets[logging.inputs["bucket"]]
        assert deployed.region(buckets[target]) == deployed.region(source) == deployed.region(logging)
        (encryption,), (policy,) = (of_bucket(kind, target) for kind in (
            "BucketServerSideEncryptionConfiguration", "BucketPolicy"))
        (rule,) = encryption.inputs["rules"]
        assert rule == {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}
        assert not of_bucket("BucketObjectLockConfiguration", target)
        assert policy.urn in logging.waits_for
        sent = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": deployed.arn(source)}
        put = partial(allowed, list(policies_of(policy)), "s3:PutObject",
                      f"{deployed.arn(buckets[target])}/{logging.inputs['targetPrefix']}2026-11-27",
                      principal="logging.s3.amazonaws.com")
        assert put(context=sent)
        assert not any(put(context={**sent, **other}) for other in (
            {"aws:SourceAccount": "999999999999"}, {"aws:SourceArn": "arn:aws:s3:::another"}))


# --- KMS


def test_one_key_is_multi_region_and_the_other_its_replica_each_with_a_policy(deployed: Recording) -> None:
    # https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-overview.html
    (key,), (replica,) = deployed.of("Key"), deployed.of("ReplicaKey")
    assert key.inputs["multiRegion"] is True
    assert replica.inputs["primaryKeyArn"] == deployed.arn(key)
    assert {"policy"} <= key.inputs.keys() & replica.inputs.keys()


# --- Lambda, API Gateway, ACM


def test_a_regional_endpoint_is_a_text_and_stays_on(deployed: Recording) -> None:
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-disable-default-endpoint.html: the
    # controllers and the health checks of a stack without a domain call it.
    for each in deployed.of("RestApi"):
        assert each.inputs["endpointConfiguration"]["types"] == "REGIONAL"
        assert not each.inputs.get("disableExecuteApiEndpoint")


def test_no_limit_exceeds_what_an_account_of_api_gateway_has(dev: Recording) -> None:
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
    for each in dev.of("MethodSettings"):
        assert each.inputs["settings"]["throttlingRateLimit"] <= 10_000
        assert each.inputs["settings"]["throttlingBurstLimit"] <= 5_000


def test_the_checkers_of_route_53_are_never_throttled(dev: Recording, domain: Recording) -> None:
    # About 16 checkers ask each endpoint every interval, and an answer of 429 is a failure:
    # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html
    open_paths = {f"~1{SECRET}~1{path.strip('/')}/GET" for path in (HEALTH_PATH, LEVER_PATH)}
    limits = {each.inputs["methodPath"]: each.inputs["settings"] for each in dev.of("MethodSettings")}
    checks = [each.inputs for each in domain.of("HealthCheck") if each.inputs["type"] == "HTTPS"]
    asked = sum(16 / check["requestInterval"] for check in checks)  # a second, by the checks of both regions
    for path in open_paths:
        assert limits[path]["throttlingRateLimit"] > 10 * asked


def test_a_custom_domain_takes_a_validated_certificate(domain: Recording) -> None:
    # https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html.
    for name in domain.of("DomainName"):
        valid = {each.urn for each in domain.of("CertificateValidation")
                 if domain.region(each) == domain.region(name)}
        assert valid & name.waits_for
        assert name.inputs["endpointConfiguration"]["types"] == "REGIONAL"


def test_no_record_leads_straight_to_an_api(domain: Recording) -> None:
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-custom-domains.html: TLS and the Host header
    # would not match.
    for record in domain.of("Record"):
        assert "execute-api" not in str(record.inputs)


def test_an_override_names_its_method_with_every_slash_of_the_path_escaped(deployed: Recording) -> None:
    # https://docs.aws.amazon.com/apigateway/latest/api/API_MethodSetting.html, and as AWS reads it back:
    # https://github.com/hashicorp/terraform-provider-aws/issues/9738
    for each in deployed.of("MethodSettings"):
        assert re.fullmatch(r"\*/\*|(~1[^/]+)+/[A-Z]+", each.inputs["methodPath"])


def test_the_value_of_an_api_key_has_20_to_128_letters_and_digits(deployed: Recording) -> None:
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html
    for key in deployed.of("ApiKey"):
        (source,) = key.property_dependencies
        value = deployed.resources[source].inputs
        assert 20 <= value["length"] <= 128
        assert value["special"] is False


# --- Schedules and backups


def test_a_rate_is_in_the_singular_for_one_and_in_the_plural_for_more(deployed: Recording) -> None:
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rate-expressions.html: any other is refused.
    rates = [each.inputs["scheduleExpression"] for each in deployed.of("EventRule")
             if "scheduleExpression" in each.inputs]
    assert rates
    for rate in rates:
        assert re.fullmatch(r"rate\((1 minute|([2-9]|\d\d+) minutes)\)", rate)


def test_every_backup_is_kept_as_long_as_the_lock_of_its_vault_demands(prod: Recording) -> None:
    # https://docs.aws.amazon.com/aws-backup/latest/devguide/vault-lock.html: a job that would keep it shorter fails.
    least = max(each.inputs["minRetentionDays"] for each in prod.of("VaultLockConfiguration"))
    for plan in prod.of("Plan"):
        for rule in plan.inputs["rules"]:
            for kept in (rule, *rule["copyActions"]):
                assert kept["lifecycle"]["deleteAfter"] >= least


# --- CloudWatch: where AWS emits the metrics of lag


def test_every_lag_has_its_alarm_where_the_metric_is_emitted(dev: Recording) -> None:
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html,
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html,
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/metrics-dimensions.html
    regions = [str(each.inputs["region"]) for each in dev.of("aws")]
    for own, other in (regions, regions[::-1]):
        found: dict[str, dict[str, Any]] = {
            f"{each.inputs['namespace']} {each.inputs['metricName']}": each.inputs["dimensions"]
            for each in dev.of("MetricAlarm") if dev.region(each) == own}
        for metric in ("AuroraGlobalDBReplicationLag", "AuroraGlobalDBRPOLag"):  # roles swap
            assert found[f"AWS/RDS {metric}"].keys() == {"DBClusterIdentifier"}
            assert own in found[f"AWS/RDS {metric}"]["DBClusterIdentifier"]
        assert found["AWS/DynamoDB ReplicationLatency"]["ReceivingRegion"] == other
        assert own in found["AWS/S3 ReplicationLatency"]["DestinationBucket"]
        assert own in found["AWS/S3 OperationsFailedReplication"]["SourceBucket"]
        for metric in ("AWS/S3 ReplicationLatency", "AWS/S3 OperationsFailedReplication"):
            assert found[metric].keys() == {"SourceBucket", "DestinationBucket", "RuleId"}


# --- The engine


def test_no_input_is_made_of_an_output_as_text() -> None:
    # https://www.pulumi.com/docs/iac/concepts/inputs-outputs/all/: an f-string embeds a warning instead of the value.
    for case in CASES:
        for resource in recording(case).custom:
            assert not [path for path, text in leaves(dict(resource.inputs), short(resource))
                        if "Output[T]" in text], resource.urn
