"""Examples: what single parts of the program are made of."""
import json
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.component import Component
from lib.global_foundation import login
from lib.names import MAX_SUFFIX, SUFFIX_LIMITED_BY, Names
from lib.region.function import AUTHORITIES, PAYMENTS, SHIPPED, package, require_authorities
from lib.region.network import first_zones, subnet_cidrs
from tests.unit.lib.conftest import CASES, SECRET_ARN, recording
from tests.unit.lib.recorder import ACCOUNT, Recording, Resource, record


def one(resources: list[Resource], name_part: str) -> Resource:
    """The one resource whose logical name holds `name_part`."""
    (found,) = [r for r in resources if name_part in r.name]
    return found


@pytest.mark.parametrize("case", CASES)
def test_every_output_has_a_value(case: str) -> None:
    assert not [key for key, value in recording(case).outputs.items() if value is None]


def test_outputs_without_a_domain_say_so(dev: Recording) -> None:
    assert dev.outputs["dns"] == "off: domainName is not set"
    empty = {key for key, value in dev.outputs.items() if value in ("", [])} - {"witness_region"}
    assert empty == {"domain_name", "service_url", "hosted_zone_id", "name_servers", "health_alarm_names",
                     "failover_health_check_id", *(f"{role}_{key}" for role in ("primary", "dr") for key in (
                         "host_name", "health_check_id", "takeover_health_check_id"))}
    assert not {"Record", "Zone", "HealthCheck", "Certificate", "DomainName"} & {r.kind for r in dev.custom}


def test_outputs_with_a_domain(domain: Recording) -> None:
    outputs = domain.outputs
    assert outputs["dns"] == "on"
    assert outputs["service_url"] == "https://pay.example.com"
    assert outputs["primary_host_name"] == "us-west-2.pay.example.com"
    assert outputs["dr_host_name"] == "us-east-1.pay.example.com"
    assert outputs["name_servers"] == ["ns1.example", "ns2.example"]
    assert len(outputs["health_alarm_names"]) == 4


def test_the_regions_are_the_configured_ones(domain: Recording) -> None:
    assert (domain.outputs["primary_region"], domain.outputs["dr_region"]) == ("us-west-2", "us-east-1")
    assert {r.inputs["region"] for r in domain.of("aws")} == {"us-west-2", "us-east-1"}


def test_providers_carry_the_tags_and_know_no_emulator() -> None:
    program = recording("prod-released-domain-zone-europe")
    for provider in program.of("aws"):
        tags = json.loads(provider.inputs["defaultTags"])["tags"]
        assert tags == {"Project": "TapStack", "Environment": "dev", "ManagedBy": "pulumi", "CostCentre": "42"}
        assert not {"endpoints", "accessKey", "secretKey", "s3UsePathStyle"} & provider.inputs.keys()


def test_providers_of_an_emulator_reach_nothing_else(domain: Recording) -> None:
    for provider in domain.of("aws"):
        (endpoints,) = json.loads(provider.inputs["endpoints"])
        assert set(endpoints.values()) == {"http://127.0.0.1:4566"}
        assert {"s3", "rds", "lambda", "dynamodb", "iam", "sts"} <= endpoints.keys()
        for flag in ("skipCredentialsValidation", "skipMetadataApiCheck", "skipRequestingAccountId", "s3UsePathStyle"):
            assert json.loads(provider.inputs[flag]) is True


def test_a_flood_of_what_needs_no_key_is_let_through_before_payments_are(dev: Recording) -> None:
    limits = {r.inputs["methodPath"]: r.inputs["settings"]["throttlingRateLimit"] for r in dev.of("MethodSettings")}
    assert limits == {"*/*": 100, "health/GET": 2000, "takeover/GET": 2000}


def test_a_failed_copy_is_watched_at_its_source_and_a_late_one_at_its_destination(dev: Recording) -> None:
    for alarm in dev.of("MetricAlarm"):
        if alarm.inputs["namespace"] == "AWS/S3":
            end = "SourceBucket" if "Failed" in alarm.inputs["metricName"] else "DestinationBucket"
            assert dev.region(alarm) in alarm.inputs["dimensions"][end]


def test_only_the_writer_has_a_master_login(dev: Recording) -> None:
    writer, reader = (one(dev.of("Cluster"), f"-{role}-") for role in ("primary", "dr"))
    assert writer.inputs["databaseName"] == "payments"
    assert writer.inputs["masterUsername"] == "ledger_admin"
    assert "masterPassword" in writer.inputs
    assert not {"databaseName", "masterUsername", "masterPassword"} & reader.inputs.keys()


def test_the_reader_waits_for_the_writers_first_instance(dev: Recording) -> None:
    reader = one(dev.of("Cluster"), "-dr-")
    assert one(dev.of("ClusterInstance"), "-primary-").urn in reader.dependencies
    assert reader.inputs["sourceRegion"] == dev.outputs["primary_region"]
    assert dev.of("GlobalCluster")[0].urn in reader.waits_for


def test_an_existing_secret_is_used_and_none_is_made(prod: Recording) -> None:
    assert prod.outputs["database_secret_arn"] == SECRET_ARN
    assert not {"Secret", "SecretVersion"} & {r.kind for r in prod.custom}
    writer = one(prod.of("Cluster"), "-primary-")
    assert "existing-secret" in str(writer.inputs["masterPassword"])
    assert "someone" in str(writer.inputs["masterUsername"])


def test_a_generated_secret_is_replicated_and_names_no_host(domain: Recording) -> None:
    (secret,) = domain.of("Secret")
    (replica,) = secret.inputs["replicas"]
    assert replica == {"region": "us-east-1", "kmsKeyId": domain.outputs["dr_key_arn"]}
    assert secret.inputs["forceOverwriteReplicaSecret"] is True
    content = str(domain.of("SecretVersion")[0].inputs["secretString"])
    assert "password" in content
    assert "host" not in content


@pytest.mark.parametrize("text", ["no json", "[]", '{"username": "u"}', '"text"', "7"])
def test_a_secret_that_holds_no_login_is_one_clear_line_that_does_not_quote_it(text: str) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        login(text, SECRET_ARN)
    assert str(caught.value) == f"databaseSecretArn = {SECRET_ARN!r}: must hold JSON with username and password"
    assert caught.value.__suppress_context__


def test_the_table_is_eventual_without_a_witness_or_strong_with_one(dev: Recording, domain: Recording) -> None:
    def table(program: Recording) -> dict[str, Any]:
        return dict(program.of("Table")[0].inputs)

    assert table(dev)["replicas"][0]["consistencyMode"] == "EVENTUAL"
    assert "globalTableWitness" not in table(dev)
    assert table(domain)["replicas"][0]["consistencyMode"] == "STRONG"
    assert table(domain)["globalTableWitness"] == {"regionName": "us-east-2"}
    for program in (dev, domain):
        assert table(program)["streamViewType"] == "NEW_AND_OLD_IMAGES"
        assert table(program)["pointInTimeRecovery"] == {"enabled": True}
        assert table(program)["replicas"][0]["pointInTimeRecovery"] is True
        assert table(program)["replicas"][0]["propagateTags"] is True


def test_a_strong_table_has_no_lag_to_alarm_on(dev: Recording, domain: Recording) -> None:
    def lags(program: Recording) -> list[str]:
        return [r.name for r in program.of("MetricAlarm") if r.inputs["metricName"] == "ReplicationLatency"
                and r.inputs["namespace"] == "AWS/DynamoDB"]

    assert len(lags(dev)) == 2
    assert lags(domain) == []


def test_lag_alarms_go_off_at_the_recovery_point(dev: Recording, domain: Recording) -> None:
    for program, milliseconds in ((dev, 60_000), (domain, 1000)):
        lag = [r for r in program.of("MetricAlarm") if r.inputs["metricName"].startswith("AuroraGlobalDB")]
        assert len(lag) == 4
        assert {r.inputs["threshold"] for r in lag} == {milliseconds}


def test_alarms_tell_somebody(deployed: Recording) -> None:
    for alarm in deployed.of("MetricAlarm"):
        (topic,) = alarm.inputs["alarmActions"]
        assert topic == alarm.inputs["okActions"][0]
        assert ("statistic" in alarm.inputs) is not ("extendedStatistic" in alarm.inputs)


def test_the_other_region_is_watched_and_so_is_the_watcher(dev: Recording) -> None:
    for role, peer in (("primary", "dr"), ("dr", "primary")):
        alarm = one(dev.of("MetricAlarm"), f"-{role}-alarms-other-region").inputs
        assert (alarm["namespace"], alarm["metricName"], alarm["dimensions"]) == (
            "TapStack", "OtherRegionHealthy", {"Stack": "dev"})
        assert (alarm["statistic"], alarm["comparisonOperator"], alarm["threshold"]) == (
            "Minimum", "LessThanThreshold", 1)
        assert (alarm["period"], alarm["evaluationPeriods"], alarm["datapointsToAlarm"]) == (60, 1, 1)
        assert alarm["treatMissingData"] == "breaching"
        own, other = (dev.outputs[f"{each}_region"] for each in (role, peer))
        assert alarm["alarmDescription"] == (
            f"{other} does not answer, or it is not watched: `python -m recovery status`, "
            f"then `python -m recovery failover --to {own}`")
        errors = one(dev.of("MetricAlarm"), f"-{role}-alarms-controller-errors").inputs
        assert errors["dimensions"] == {"FunctionName": "tapstack-controller-dev"}


def test_only_a_silent_watcher_is_a_breach(dev: Recording) -> None:
    breaching = {r.name for r in dev.of("MetricAlarm") if r.inputs["treatMissingData"] != "notBreaching"}
    assert breaching == {f"tap-dev-{role}-alarms-other-region" for role in ("primary", "dr")}


def test_an_e_mail_address_is_subscribed_in_both_regions(prod: Recording, dev: Recording) -> None:
    assert [r.inputs["endpoint"] for r in prod.of("TopicSubscription")] == ["night@example.com"] * 2
    assert "TopicSubscription" not in {r.kind for r in dev.custom}


def test_a_dashboard_shows_every_alarm_of_its_region(dev: Recording) -> None:
    for role in ("primary", "dr"):
        widgets = json.loads(one(dev.of("Dashboard"), f"-{role}-").inputs["dashboardBody"])["widgets"]
        assert {w["properties"]["region"] for w in widgets} == {dev.outputs[f"{role}_region"]}
        assert len(widgets) == len(dev.outputs[f"{role}_alarm_names"])
        assert len({(w["x"], w["y"]) for w in widgets}) == len(widgets)


def test_the_same_api_key_works_in_both_regions(dev: Recording) -> None:
    here, there = dev.of("ApiKey")
    assert here.inputs["value"] == there.inputs["value"]
    assert dev.region(here) != dev.region(there)
    plans = {r.inputs["keyId"]: r.inputs["usagePlanId"] for r in dev.of("UsagePlanKey")}
    assert plans == {dev.outputs[f"{role}_api_key_id"]: dev.outputs[f"{role}_usage_plan_id"]
                     for role in ("primary", "dr")}


def test_the_account_role_of_api_gateway_may_belong_to_somebody_else(prod: Recording, dev: Recording) -> None:
    assert len(dev.of("Account")) == 2
    assert "Account" not in {r.kind for r in prod.custom}
    for stage in dev.of("Stage"):
        assert any(dev.resources[urn].kind == "Account" for urn in stage.dependencies)


def test_a_stage_is_deployed_after_every_integration(dev: Recording) -> None:
    for deployment in dev.of("Deployment"):
        integrations = {r.urn for r in dev.of("Integration") if r.parent == deployment.parent}
        assert len(integrations) == 4
        assert integrations <= deployment.dependencies


def test_the_function_is_called_through_its_alias_only(dev: Recording) -> None:
    for role in ("primary", "dr"):
        integrations = [r for r in dev.of("Integration") if f"-{role}-" in r.name]
        (uri,) = {r.inputs["uri"] for r in integrations}
        region = dev.outputs[f"{role}_region"]
        assert f":lambda:{region}:{ACCOUNT}:function:tapstack-payments-dev:live/" in uri
        permission = one(dev.of("Permission"), f"-{role}-api-")
        assert permission.inputs["qualifier"] == "live"
        assert permission.inputs["sourceArn"].endswith("/executionArn/live/*/*")


def test_the_function_lets_go_of_its_security_group(dev: Recording) -> None:
    for function in dev.of("Function"):
        if dev.inside(function, "VpcFunction"):
            assert function.inputs["replaceSecurityGroupsOnDestroy"] is True
            assert function.inputs["replacementSecurityGroupIds"]
        else:
            assert "vpcConfig" not in function.inputs
        assert function.inputs["architectures"] == ["arm64"]
        assert function.inputs["publish"] is True
        assert function.inputs["tracingConfig"] == {"mode": "Active"}


def test_concurrency_is_unreserved_in_dev_reserved_in_prod_and_settable(
        dev: Recording, prod: Recording, domain: Recording) -> None:
    reserved = [{f.inputs["reservedConcurrentExecutions"] for f in p.of("Function") if "-payments-" in f.name}
                for p in (dev, prod, domain)]
    assert reserved == [{-1}, {300}, {7}]


def test_the_package_holds_sources_only(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "sub").mkdir()
    for name in ("b.py", "a.py", "sub/c.json", "__pycache__/a.cpython-311.pyc"):
        (folder / name).write_text("x", encoding="utf-8")
    assert list(package(folder).assets) == ["code/a.py", "code/b.py", "code/sub/c.json"]


def test_the_package_that_is_shipped_has_the_handlers_the_migrations_and_the_driver() -> None:
    shipped = package(PAYMENTS, distributions=SHIPPED).assets
    assert shipped.keys() >= {
        "payments/handler.py", "payments/migrate.py", "payments/reconcile.py", "payments/migrations/0001_ledger.sql",
        "payments/rds-ca.pem", "pg8000/native.py", "scramp/core.py", "asn1crypto/core.py", "dateutil/tz/tz.py",
        "six.py"}
    assert {"pg8000", "scramp"} <= {name.partition("-")[0] for name in shipped if name.endswith(".dist-info/METADATA")}
    assert not [name for name in shipped if name.endswith((".pyc", ".so")) or ".." in name]


def test_the_functions_in_the_vpc_do_not_ship_recovery(dev: Recording) -> None:
    shipped = [f.inputs["code"].assets for f in dev.of("Function") if dev.inside(f, "VpcFunction")]
    assert len(shipped) == 6
    assert not [name for assets in shipped for name in assets if name.startswith("recovery/")]


def test_the_functions_are_told_where_the_database_is_and_may_log_in_to_it_only(dev: Recording) -> None:
    for role in ("primary", "dr"):
        functions = [f for f in dev.of("Function") if f"-{role}-" in f.name and dev.inside(f, "VpcFunction")]
        assert len(functions) == 3
        for function in functions:
            variables = function.inputs["environment"]["variables"]
            assert variables["DATABASE_HOST"] == dev.outputs[f"{role}_cluster_endpoint"]
            assert variables["DATABASE_READER_HOST"] == dev.outputs[f"{role}_cluster_reader_endpoint"]
            assert variables["DATABASE_PORT"] == "5432"
        for policy in dev.of("RolePolicy"):
            if f"-{role}-" in policy.name and "rds-db:connect" in policy.inputs["policy"]:
                statements = json.loads(policy.inputs["policy"])["Statement"]
                (login,) = [s["Resource"] for s in statements if s["Action"] == "rds-db:connect"]
                assert login.startswith(f"arn:aws:rds-db:{dev.outputs[f'{role}_region']}:{ACCOUNT}:dbuser:")
                assert login.endswith("-cluster/clusterResourceId/payments_app")


def test_replication_waits_for_both_versionings_and_leaves_nothing_out(dev: Recording) -> None:
    for config in dev.of("BucketReplicationConfig"):
        waited = {dev.resources[urn].name for urn in config.dependencies
                  if dev.resources[urn].kind == "BucketVersioning"}
        assert waited == {"tap-dev-primary-receipts-versions", "tap-dev-dr-receipts-versions"}
        (rule,) = config.inputs["rules"]
        assert rule["deleteMarkerReplication"] == {"status": "Enabled"}
        assert rule["sourceSelectionCriteria"] == {"sseKmsEncryptedObjects": {"status": "Enabled"},
                                                   "replicaModifications": {"status": "Enabled"}}
        destination = rule["destination"]
        assert destination["replicationTime"] == {"status": "Enabled", "time": {"minutes": 15}}
        assert destination["metrics"] == {"status": "Enabled", "eventThreshold": {"minutes": 15}}
        other = "dr" if "outbound" in config.name else "primary"
        assert destination["encryptionConfiguration"] == {"replicaKmsKeyId": dev.outputs[f"{other}_key_arn"]}


def test_the_control_bucket_is_never_copied(dev: Recording) -> None:
    assert not [r for r in dev.of("BucketReplicationConfig") if "control" in str(r.inputs)]


def test_backups_go_to_the_other_region(dev: Recording) -> None:
    for direction, source, destination in (("outbound", "primary", "dr"), ("inbound", "dr", "primary")):
        (rule,) = one(dev.of("Plan"), direction).inputs["rules"]
        assert rule["targetVaultName"] == dev.outputs[f"{source}_backup_vault_name"]
        assert f"tap-dev-{destination}-vault" in rule["copyActions"][0]["destinationVaultArn"]
        selected = one(dev.of("Selection"), direction).inputs["resources"]
        region = dev.outputs[f"{source}_region"]
        assert f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/payment-transactions-dev" in selected
        assert dev.outputs[f"{source}_cluster_arn"] in selected


def test_the_primary_record_hangs_on_the_calculation_and_the_secondary_on_its_own_check(domain: Recording) -> None:
    records = {r.inputs["failoverRoutingPolicies"][0]["type"]: r for r in domain.of("Record")
               if "failoverRoutingPolicies" in r.inputs}
    assert records["PRIMARY"].inputs["healthCheckId"] == domain.outputs["failover_health_check_id"]
    assert records["SECONDARY"].inputs["healthCheckId"] == domain.outputs["dr_health_check_id"]
    assert {r.inputs["name"] for r in records.values()} == {"pay.example.com"}
    assert {r.inputs["setIdentifier"] for r in records.values()} == {"us-west-2", "us-east-1"}


def checks_of(program: Recording) -> dict[str, Resource]:
    """The health checks by the id that their output gives."""
    return {f"{check.name}-id": check for check in program.of("HealthCheck")}


def test_a_region_has_a_lever_that_counts_at_once(domain: Recording) -> None:
    for role, region, inverted in (("primary", "us-west-2", False), ("dr", "us-east-1", True)):
        lever = checks_of(domain)[domain.outputs[f"{role}_takeover_health_check_id"]].inputs
        assert (lever["fqdn"], lever["resourcePath"]) == (f"{region}.pay.example.com", "/takeover")
        assert (lever["type"], lever["requestInterval"], lever["failureThreshold"]) == ("HTTPS", 10, 1)
        assert lever["invertHealthcheck"] is inverted


@pytest.mark.parametrize(("alive", "pulled", "stays"), [
    # the regions that answer, and those that were told to take over
    ("primary dr", "", True),
    ("dr", "", False),
    ("primary dr", "dr", False),
    ("dr", "dr", False),
    ("primary", "dr", True),  # a standby that does not answer cannot take over
    ("primary dr", "primary dr", True),
    ("dr", "primary dr", False),
    ("primary", "primary dr", True),
    ("primary dr", "primary", True),
    ("dr", "primary", False),
    ("", "", False),
])
def test_the_primary_keeps_the_traffic_while_it_answers_unless_the_standby_took_it_and_it_did_not_take_it_back(
        domain: Recording, alive: str, pulled: str, stays: bool) -> None:
    checks = checks_of(domain)
    roles = {domain.outputs[f"{role}_host_name"]: role for role in ("primary", "dr")}
    failover = checks[domain.outputs["failover_health_check_id"]].inputs

    def healthy(check: Any) -> bool:
        role = roles[check["fqdn"]]
        answers_200 = role in alive.split() and (check["resourcePath"] == "/health" or role in pulled.split())
        return answers_200 is not check["invertHealthcheck"]

    assert failover["type"] == "CALCULATED"
    states = [healthy(checks[child].inputs) for child in failover["childHealthchecks"]]
    assert (states.count(True) >= failover["childHealthThreshold"]) is stays


def test_a_region_is_checked_by_its_own_host_never_by_the_failover_name(domain: Recording) -> None:
    for check in domain.of("HealthCheck"):
        assert check.inputs.get("fqdn") != "pay.example.com"
    checks = {r.name.rpartition("-dns-")[2]: r.inputs for r in domain.of("HealthCheck")}
    for role, region in (("primary", "us-west-2"), ("dr", "us-east-1")):
        asked = checks[f"{role}-check"]
        assert (asked["fqdn"], asked["resourcePath"]) == (f"{region}.pay.example.com", "/health")
        assert (asked["requestInterval"], asked["failureThreshold"], asked["type"]) == (10, 3, "HTTPS")


def test_both_certificates_share_one_validation_record(domain: Recording) -> None:
    proofs = [r for r in domain.of("Record") if r.inputs["type"] == "CNAME"]
    assert len(proofs) == 1
    assert len(domain.of("Certificate")) == len(domain.of("CertificateValidation")) == 2
    for valid in domain.of("CertificateValidation"):
        assert proofs[0].urn in valid.waits_for
    assert {r.inputs["securityPolicy"] for r in domain.of("DomainName")} == {"TLS_1_2"}


def test_health_alarms_exist_only_where_route_53_publishes(domain: Recording) -> None:
    alarms = [r for r in domain.of("MetricAlarm") if r.inputs["namespace"] == "AWS/Route53"]
    assert {domain.region(r) for r in alarms} == {"us-east-1"}
    # At rest the primary region has not taken back, which its check counts as unhealthy.
    assert [r.inputs["dimensions"]["HealthCheckId"] for r in alarms] == [
        domain.outputs[f"{check}_health_check_id"] for check in ("primary", "dr", "dr_takeover", "failover")]
    assert recording("prod-released-domain-zone-europe").outputs["health_alarm_names"] == []


def test_an_existing_zone_is_used(domain: Recording) -> None:
    europe = recording("prod-released-domain-zone-europe")
    assert "Zone" not in {r.kind for r in europe.custom}
    assert {r.inputs["zoneId"] for r in europe.of("Record")} == {"Z0123456789ABCDEFGHIJ"}
    assert domain.of("Zone")[0].inputs["name"] == "pay.example.com"


def test_bad_settings_end_the_program_before_anything_is_registered() -> None:
    with pytest.raises(pulumi.RunError, match="drRegion = 'us-east-1': must differ from primaryRegion"):
        record({"drRegion": "us-east-1"})


@given(st.integers(16, 24), st.integers(0, 255))
def test_subnets_lie_in_the_network_and_apart(prefix: int, block: int) -> None:
    network = IPv4Network((f"10.{block}.0.0", prefix))
    subnets = subnet_cidrs(network)
    assert len(subnets) == 3
    assert all(s.subnet_of(network) and s.prefixlen <= 28 for s in subnets)
    assert not any(a.overlaps(b) for a in subnets for b in subnets if a is not b)


def test_a_region_with_too_few_zones_is_refused() -> None:
    assert first_zones(["b", "a", "d", "c"], "us-east-1") == ["a", "b", "c"]
    with pytest.raises(pulumi.RunError, match=r"^region 'us-west-1': offers 2 availability zones; 3 are needed$"):
        first_zones(["a", "b"], "us-west-1")


def test_a_region_whose_database_could_not_be_trusted_is_refused_by_name() -> None:
    require_authorities(AUTHORITIES, "us-east-1", "eu-central-1", "ap-southeast-3")
    with pytest.raises(pulumi.RunError, match=r"^region 'mx-central-1': rds-ca\.pem has no authority of RDS there"):
        require_authorities(AUTHORITIES, "us-east-1", "mx-central-1")


def test_such_a_region_is_refused_before_anything_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[str] = []
    monkeypatch.setattr(Component, "__init__", lambda _, name, *__: registered.append(name))
    with pytest.raises(pulumi.RunError, match="mx-central-1"):
        record({"drRegion": "mx-central-1"})
    assert registered == []


def test_names_say_what_bounds_the_suffix() -> None:
    assert MAX_SUFFIX == 17
    assert SUFFIX_LIMITED_BY.startswith("the S3 bucket tapstack-receipts-{suffix}")
    names = Names("dev", "us-east-1", ACCOUNT)
    assert names.receipts == f"tapstack-receipts-dev-us-east-1-{ACCOUNT}"
    assert names.table_arn == f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/payment-transactions-dev"
