"""What each service's role needs for what its resource is configured to do, both ways; and who may assume it."""
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.unit.lib.iam import Context, Statement, allowed, as_list, policies_of, statements
from tests.unit.lib.recorder import ACCOUNT, Recording, Resource
from tests.unit.lib.test_contract import key_of

STRANGER = "999999999999"
DOCS = "https://docs.aws.amazon.com"
LOGS_KEY = f"{DOCS}/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html#cmk-permissions-readwrite"
REPLICATION = f"{DOCS}/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html"
REPLICATION_KEYS = f"{DOCS}/AmazonS3/latest/userguide/replication-config-for-kms-objects.html"
FIS = f"{DOCS}/fis/latest/userguide/fis-actions-reference.html"
BACKUP = f"{DOCS}/aws-managed-policy/latest/reference/AWSBackupServiceRolePolicyForBackup.html"
BACKUP_AURORA = f"{DOCS}/aws-backup/latest/devguide/security-iam-awsmanpol.html#customer-managed-policies"
BACKUP_KEYS = f"{DOCS}/aws-backup/latest/devguide/encryption.html"
INTERFACES = f"{DOCS}/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions"


@dataclass(frozen=True)
class Need:
    """Actions on a resource (ARN) that a role needs, what AWS sends with the request, and AWS's page."""

    actions: tuple[str, ...]
    resource: str
    page: str
    context: Context = field(default_factory=dict)


def key_needs(actions: str, key: str, service: str, region: str, page: str) -> Need:
    """A key that is used through a service."""
    return Need(tuple(f"kms:{action}" for action in actions.split()), key, page,
                {"kms:ViaService": f"{service}.{region}.amazonaws.com"})


def write_logs(program: Recording, group: Resource, more: str, page: str) -> Iterator[Need]:
    """A role writes to a log group.

    AWS's page on flow logs adds CreateLogGroup. But the program creates the group, and a record that comes late, after
    a destroy, would create it again.
    """
    yield Need(("logs:CreateLogStream", "logs:PutLogEvents", *(f"logs:{action}" for action in more.split())),
               f"{program.arn(group)}:log-stream:stream", page)
    if "kmsKeyId" in group.inputs:
        yield key_needs("Encrypt Decrypt ReEncryptFrom ReEncryptTo GenerateDataKey DescribeKey",
                        group.inputs["kmsKeyId"], "logs", program.region(group), LOGS_KEY)


def log_group(program: Recording, user: Resource, name: str) -> Resource:
    """The log group of a name or ARN, in the region of its user."""
    (found,) = (group for group in program.of("LogGroup") if program.region(group) == program.region(user)
                and name in (group.inputs["name"], program.arn(group)))
    return found


def of_flow_log(program: Recording, log: Resource) -> Iterator[Need]:
    """A VPC's flow log."""
    page = f"{DOCS}/vpc/latest/userguide/flow-logs-iam-role.html"
    yield from write_logs(program, log_group(program, log, log.inputs["logDestination"]), "DescribeLogStreams", page)
    yield Need(("logs:DescribeLogGroups",), f"arn:aws:logs:{program.region(log)}:{ACCOUNT}:log-group:", page)


def of_api_account(program: Recording, account: Resource) -> Iterator[Need]:
    """API Gateway's logs, of every API in the account and region."""
    page = f"{DOCS}/apigateway/latest/developerguide/set-up-logging.html"
    (stage,) = (each for each in program.of("Stage") if program.region(each) == program.region(account))
    group = log_group(program, account, stage.inputs["accessLogSettings"]["destinationArn"])
    yield from write_logs(program, group, "CreateLogGroup DescribeLogStreams GetLogEvents FilterLogEvents", page)
    yield Need(("logs:DescribeLogGroups",), f"arn:aws:logs:{program.region(account)}:{ACCOUNT}:log-group:other", page)


def of_lever(program: Recording, integration: Resource) -> Iterator[Need]:
    """An integration that asks S3 for an object's head."""
    page = f"{DOCS}/AmazonS3/latest/API/API_HeadObject.html"
    bucket, _, key = integration.inputs["uri"].partition(":s3:path/")[2].partition("/")
    yield Need(("s3:GetObject",), f"arn:aws:s3:::{bucket}/{key}", page)
    yield Need(("s3:ListBucket",), f"arn:aws:s3:::{bucket}", page)
    # A head needs the key only for the checksum. If it ever needs more, no lever is seen.
    yield key_needs("Decrypt", key_of(program, program.region(integration)), "s3", program.region(integration), page)


# What code may call of services that encrypt with the key, and what that needs of it.
KEY_OF_CALLS = {
    "dynamodb": ("Decrypt", f"{DOCS}/amazondynamodb/latest/developerguide/encryption.usagenotes.html"),
    "s3:PutObject": ("GenerateDataKey", f"{DOCS}/AmazonS3/latest/userguide/UsingKMSEncryption.html"),
    "s3:GetObject": ("Decrypt", f"{DOCS}/AmazonS3/latest/userguide/UsingKMSEncryption.html"),
    "sns:Publish": ("GenerateDataKey Decrypt", f"{DOCS}/sns/latest/dg/sns-key-management.html"),
}


def of_function(program: Recording, function: Resource) -> Iterator[Need]:
    """A function: its logs, traces, environment and network interfaces, and the key of what its code calls."""
    inputs, region, own = function.inputs, program.region(function), program.arn(function)
    yield from write_logs(program, log_group(program, function, inputs["loggingConfig"]["logGroup"]), "",
                          f"{DOCS}/aws-managed-policy/latest/reference/AWSLambdaBasicExecutionRole.html")
    if inputs["tracingConfig"]["mode"] == "Active":
        yield Need(("xray:PutTraceSegments", "xray:PutTelemetryRecords"), "*",
                   f"{DOCS}/lambda/latest/dg/services-xray.html")
    if "kmsKeyArn" in inputs:
        yield Need(("kms:Decrypt",), inputs["kmsKeyArn"],
                   f"{DOCS}/lambda/latest/dg/permissions-source-function-arn.html",
                   {"kms:EncryptionContext:aws:lambda:FunctionArn": own})
    if "vpcConfig" in inputs:
        yield Need(tuple(f"ec2:{action}" for action in (
            "CreateNetworkInterface", "DescribeNetworkInterfaces", "DescribeSubnets", "DeleteNetworkInterface",
            "AssignPrivateIpAddresses", "UnassignPrivateIpAddresses")), "*", INTERFACES)
    called = [action for statement in granted(program, function.inputs["role"])
              for action in as_list(statement["Action"])]
    for call, (actions, page) in KEY_OF_CALLS.items():
        if any(action == call or action.startswith(f"{call}:") for action in called):
            yield key_needs(actions, inputs["kmsKeyArn"], call.partition(":")[0], region, page)


def of_replication(program: Recording, replication: Resource) -> Iterator[Need]:
    """The copies of a bucket's objects. Replication time control and replicas' changes need no more than these."""
    (rule,) = replication.inputs["rules"]
    buckets = {name: bucket for bucket in program.of("Bucket") for name in (f"{bucket.name}-id", program.arn(bucket))}
    source, copy = buckets[replication.inputs["bucket"]], buckets[rule["destination"]["bucket"]]
    encrypted = {encryption.inputs["bucket"]: encryption.inputs["rules"][0]
                 for encryption in program.of("BucketServerSideEncryptionConfiguration")}
    yield Need(("s3:GetReplicationConfiguration", "s3:ListBucket"), program.arn(source), REPLICATION)
    yield Need(("s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"),
               f"{program.arn(source)}/receipts/1", REPLICATION)
    yield Need(("s3:ReplicateObject", "s3:ReplicateTags"), f"{program.arn(copy)}/receipts/1", REPLICATION)
    if any(lock.inputs["bucket"] == f"{source.name}-id" for lock in program.custom
           if lock.kind == "BucketObjectLockConfiguration"):
        yield Need(("s3:GetObjectRetention", "s3:GetObjectLegalHold"), f"{program.arn(source)}/receipts/1",
                   f"{DOCS}/AmazonS3/latest/userguide/object-lock-managing.html#object-lock-managing-replication")
    if rule["deleteMarkerReplication"]["status"] == "Enabled":
        yield Need(("s3:ReplicateDelete",), f"{program.arn(copy)}/receipts/1", REPLICATION)
    if rule["sourceSelectionCriteria"]["sseKmsEncryptedObjects"]["status"] == "Enabled":
        key = encrypted[f"{source.name}-id"]["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"]
        yield key_needs("Decrypt", key, "s3", program.region(source), REPLICATION_KEYS)
        # GenerateDataKey for an object that has no key, Decrypt for the bucket key.
        yield key_needs("Encrypt GenerateDataKey" + " Decrypt" * encrypted[f"{copy.name}-id"]["bucketKeyEnabled"],
                        rule["destination"]["encryptionConfiguration"]["replicaKmsKeyId"], "s3", program.region(copy),
                        REPLICATION_KEYS)


def of_backup(program: Recording, selection: Resource) -> Iterator[Need]:
    """The backups of a table and a cluster, and their copies."""
    (plan,) = (each for each in program.of("Plan") if f"{each.name}-id" == selection.inputs["planId"])
    (rule,) = plan.inputs["rules"]
    region = program.region(plan)
    vaults = {program.arn(vault): vault for vault in program.of("Vault")}
    (own,) = (vault for vault in vaults.values() if program.region(vault) == region)
    kept = [own, *(vaults[copy["destinationVaultArn"]] for copy in rule["copyActions"])]
    yield Need(("tag:GetResources",), "*", BACKUP)
    for vault in kept:
        place, key = program.region(vault), vault.inputs["kmsKeyArn"]
        yield Need(("backup:DescribeBackupVault", "backup:CopyIntoBackupVault"), program.arn(vault), BACKUP)
        yield Need(("backup:TagResource",), f"arn:aws:backup:{place}:{ACCOUNT}:recovery-point:1", BACKUP)
        yield Need(("kms:DescribeKey",), key, BACKUP)
        yield Need(("kms:CreateGrant",), key, BACKUP, {"kms:GrantIsForAWSResource": "true"})
        yield key_needs("GenerateDataKey Decrypt", key, "backup", place, BACKUP_KEYS)
    for resource in selection.inputs["resources"]:
        if ":dynamodb:" in resource:
            yield Need(("dynamodb:DescribeTable", "dynamodb:CreateBackup", "dynamodb:StartAwsBackupJob",
                        "dynamodb:ListTagsOfResource"), resource, BACKUP)
            yield Need(("dynamodb:DescribeBackup", "dynamodb:DeleteBackup"), f"{resource}/backup/1", BACKUP)
            for vault in kept:
                yield key_needs("GenerateDataKey Decrypt", vault.inputs["kmsKeyArn"], "dynamodb",
                                program.region(vault), BACKUP)
        else:
            # ModifyDBClusterSnapshotAttribute is for copies to other accounts, to which it opens a snapshot.
            snapshots = tuple(f"rds:{action}" for action in (
                "CopyDBClusterSnapshot", "DescribeDBClusterSnapshots", "AddTagsToResource", "ListTagsForResource",
                "DeleteDBClusterSnapshot", "CreateDBClusterSnapshot"))
            yield Need(("rds:CreateDBClusterSnapshot", "rds:DescribeDBClusters", "rds:ListTagsForResource"), resource,
                       BACKUP_AURORA)
            for vault in kept:
                yield Need(snapshots, f"arn:aws:rds:{program.region(vault)}:{ACCOUNT}:cluster-snapshot:awsbackup:job-1",
                           BACKUP_AURORA)


def of_pauses(program: Recording, template: Resource) -> Iterator[Need]:
    """An experiment of AWS FIS that pauses copies."""
    table, receipts = template.inputs["targets"]
    for arn in (table["resourceArns"][0], f"{table['resourceArns'][0]}/stream/1"):
        yield Need(("dynamodb:PutResourcePolicy", "dynamodb:DeleteResourcePolicy", "dynamodb:GetResourcePolicy",
                    "dynamodb:DescribeTable"), arn, FIS)
    (bucket,) = (program.arn(each) for each in program.of("Bucket")
                 if receipts["resourceTags"][0]["value"] in each.inputs.get("tags", {}).values())
    (to,) = (each["value"] for each in template.inputs["actions"][1]["parameters"] if each["key"] == "region")
    yield Need(("s3:PauseReplication",), bucket, FIS, {"s3:DestinationRegion": to})
    yield Need(("s3:GetReplicationConfiguration", "s3:PutReplicationConfiguration"), bucket, FIS,
               {"s3:isReplicationPauseRequest": "true"})
    yield Need(("s3:ListAllMyBuckets", "tag:GetResources"), "*", FIS)


USERS = {"FlowLog": ("iamRoleArn", of_flow_log), "Account": ("cloudwatchRoleArn", of_api_account),
         "Function": ("role", of_function), "BucketReplicationConfig": ("role", of_replication),
         "Selection": ("iamRoleArn", of_backup), "Integration": ("credentials", of_lever),
         "ExperimentTemplate": ("roleArn", of_pauses)}
# What a function's code calls is not configured: tests of the code say what that is.
CONFIGURED = ("kms:", "logs:", "xray:", "ec2:")


def granted(program: Recording, role_arn: str) -> list[Statement]:
    """The statements of a role's policies."""
    (role,) = (each for each in program.of("Role") if program.arn(each) == role_arn)
    return [statement for policy in program.of("RolePolicy") if policy.inputs["role"] == f"{role.name}-id"
            for statement in policies_of(policy)]


def using(resource: Resource) -> bool:
    """Whether a resource has a role."""
    return resource.kind in USERS and USERS[resource.kind][0] in resource.inputs


def users(program: Recording) -> Iterator[tuple[Resource, list[Statement], list[Need]]]:
    """Every resource with a role, what its role may, and what the resource needs."""
    for resource in program.custom:
        if using(resource):
            argument, needs = USERS[resource.kind]
            policy = [statement for statement in granted(program, resource.inputs[argument])
                      if resource.kind != "Function" or as_list(statement["Action"])[0].startswith(CONFIGURED)]
            yield resource, policy, list(needs(program, resource))


def missing(policy: Iterable[Statement], needs: Iterable[Need]) -> list[tuple[str, str]]:
    """What a policy does not allow of what is needed."""
    policy = list(policy)
    return [(action, need.resource) for need in needs for action in need.actions
            if not allowed(policy, action, need.resource, need.context)]


def test_every_role_has_a_user_that_the_tests_know(deployed: Recording) -> None:
    used = {resource.inputs[USERS[resource.kind][0]] for resource in deployed.custom if using(resource)}
    assert {deployed.arn(role) for role in deployed.of("Role")} == used


def test_a_role_may_do_what_its_resource_needs(deployed: Recording) -> None:
    for resource, policy, needs in users(deployed):
        assert missing(policy, needs) == [], resource.urn


def test_a_role_may_do_nothing_that_its_resource_does_not_need(deployed: Recording) -> None:
    for resource, policy, needs in users(deployed):
        for statement in policy:
            if statement["Effect"] == "Deny":
                continue
            for action in statement["Action"]:
                used = [need for need in needs for each in need.actions
                        if allowed([{**statement, "Action": action}], each, need.resource, need.context)]
                assert used, (resource.urn, action)
            for arn in as_list(statement["Resource"]):
                used = [need for need in needs for each in need.actions
                        if allowed([{**statement, "Resource": arn}], each, need.resource, need.context)]
                assert used, (resource.urn, arn)
            for service in as_list(statement.get("Condition", {}).get("StringEquals", {}).get("kms:ViaService", [])):
                assert any(need.context.get("kms:ViaService") == service for need in needs), (resource.urn, service)


def test_no_statement_of_a_role_can_be_missing(dev: Recording) -> None:
    for resource, policy, needs in users(dev):
        for statement in policy:
            if statement["Effect"] == "Allow":
                assert missing((each for each in policy if each != statement), needs), (resource.urn, statement)


def test_a_functions_own_code_is_denied_the_network_interfaces(deployed: Recording) -> None:
    for resource, policy, needs in users(deployed):
        for need in needs:
            if need.page == INTERFACES:
                own: Context = {"lambda:SourceFunctionArn": deployed.arn(resource)}
                assert not any(allowed(policy, action, "*", own) for action in need.actions)


# --- Who may assume a role, and on whose behalf a service may do anything


def source_of(program: Recording, resource: Resource) -> tuple[str, str | None]:
    """The service that assumes a resource's role, and the ARN that AWS says it sends."""
    service, arn = {
        "FlowLog": ("vpc-flow-logs", f"arn:aws:ec2:{program.region(resource)}:{ACCOUNT}:vpc-flow-log/fl-1"),
        "Function": ("lambda", None), "Account": ("apigateway", None), "Integration": ("apigateway", None),
        "BucketReplicationConfig": ("s3", None),
        # https://docs.aws.amazon.com/fis/latest/userguide/getting-started-iam-service-role.html
        "ExperimentTemplate": ("fis", f"arn:aws:fis:{program.region(resource)}:{ACCOUNT}:experiment/EXP1"),
        "Selection": ("backup", None)}[resource.kind]
    return f"{service}.amazonaws.com", arn


def trusts(program: Recording) -> Iterator[tuple[Resource, Statement]]:
    """Every resource with a role, and the one statement of the role's trust policy."""
    for resource in program.custom:
        if using(resource):
            (role,) = (each for each in program.of("Role")
                       if program.arn(each) == resource.inputs[USERS[resource.kind][0]])
            (statement,) = policies_of(role)
            yield resource, statement


def test_a_role_is_assumed_by_its_service_for_this_account_only(deployed: Recording) -> None:
    for resource, trust in trusts(deployed):
        principal, arn = source_of(deployed, resource)

        def assumed(by: str, context: dict[str, Any], statement: Statement = trust) -> bool:
            return allowed([statement], "sts:AssumeRole", context=context, principal=by)

        sent = {"aws:SourceAccount": ACCOUNT, **({"aws:SourceArn": arn} if arn else {})}
        assert assumed(principal, sent), resource.urn
        assert not assumed("ec2.amazonaws.com", sent)
        assert not assumed(principal, {**sent, "aws:SourceAccount": STRANGER}), resource.urn
        # What the service's page does not say that it sends may be missing, lest it be refused for ever.
        assert assumed(principal, {}) is (
            resource.kind not in ("ExperimentTemplate", "FlowLog", "Function")), resource.urn
        if resource.kind == "Function":
            assert assumed(principal, {**sent, "aws:SourceArn": deployed.arn(resource)})
            assert assumed(principal, {**sent, "aws:SourceArn": f"{deployed.arn(resource)}:1"})
            assert not assumed(principal, {**sent, "aws:SourceArn": f"{deployed.arn(resource)}-2"})
        if arn:
            assert not assumed(principal, {**sent, "aws:SourceArn": arn.replace(ACCOUNT, STRANGER)})


def test_a_service_acts_for_this_account_only(deployed: Recording) -> None:
    found = 0
    for resource, statement in statements(deployed):
        if statement["Effect"] == "Allow" and "Service" in statement.get("Principal", {}):
            found += 1
            accounts = [keys["aws:SourceAccount"] for operator, keys in statement["Condition"].items()
                        if operator in ("StringEquals", "StringEqualsIfExists")]
            assert accounts == [ACCOUNT], resource.urn
    assert found > 20
    # The ARN in a permission to invoke names the account, and "a SourceAccount setting prevents EventBridge from being
    # able to invoke the function":
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-troubleshooting.html#eb-lam-function-not-invoked
    for permission in deployed.of("Permission"):
        assert f":{ACCOUNT}:" in permission.inputs["sourceArn"]
        assert "sourceAccount" not in permission.inputs


def test_a_condition_on_all_values_of_a_key_demands_the_key(deployed: Recording) -> None:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    for resource, statement in statements(deployed):
        conditions = statement.get("Condition", {})
        for operator, keys in conditions.items():
            if operator.startswith("ForAllValues:") and statement["Effect"] == "Allow":
                assert dict.fromkeys(keys, "false").items() <= conditions["Null"].items(), resource.urn
