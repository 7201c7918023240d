"""What the sessions of the functions' roles can do in wrong hands: none of it works, or repair undoes it.

They are the roles' own sessions, which only a rehearsal gives away.
"""
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import Request

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from pg8000.exceptions import DatabaseError

from contract import (
    CANARY_PREFIX,
    CHECK_PATH_KEY,
    DATABASE_NAME,
    DATABASE_USER,
    KEY_ATTRIBUTE,
    LEVER_KEY,
    METRICS_NAMESPACE,
    OBSERVATION_PREFIX,
    PAUSE_KEY,
    READINESS,
    RECEIPTS_PREFIX,
    RECORD_KEY,
)
from payments.deadline import Timing
from payments.ledger import DatabaseAddress, iam_login, open_connection
from tests.integration.stack import EMULATED, Region, Secret, ask, payment

pytestmark = pytest.mark.skipif(not EMULATED, reason="nobody gets a session of a function's role from AWS")
REFUSED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}

Attempt = Callable[[], object]

MAY = {
    "function_name": {"write a payment", "read a payment"},
    "reconcile_function_name": {"write a payment", "read a payment"},
    "migrate_function_name": {"take leadership"},
    "controller_function_name": {
        "take leadership", "forge a heartbeat", "pull a lever", "move the database", "start a repair",
        "invoke the payments function", "publish a false metric", "read the path of the health checks"},
}
"""What a function's work needs is not tried: the threat model says what a thief could do with it."""


@dataclass(frozen=True)
class Thief:
    """Who has the session of a role in a region: gives the client of a service, there or in another one."""

    session: boto3.Session
    region: str

    def __call__(self, service: str, region: str = "") -> Any:
        return self.session.client(service, region_name=region or self.region, config=Config(
            retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}))


def thief_of(region: Region, output: str) -> Thief:
    """A thief of the role of a function, which an output of its region names."""
    lambdas = region.client("lambda")
    role = lambdas.get_function_configuration(FunctionName=region[output])["Role"].rpartition("/")[2]
    asked = json.dumps({"role": role, "region": region.name}).encode()
    found = ask(Request(os.environ["AWS_ENDPOINT_URL"] + "/_rehearsal/session", data=asked)).body
    session = boto3.Session(found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"], found["AWS_SESSION_TOKEN"])
    return Thief(session, region.name)


@pytest.fixture(scope="module")
def victim(writer: Region, api_key: Secret) -> Mapping[str, Any]:
    """A payment that was accepted."""
    asked = payment()
    assert writer.call("POST", "/payment", asked, api_key).status == 201
    return asked


def attempts(thief: Thief, region: Region, victim: Mapping[str, Any]) -> dict[str, Attempt]:
    """What a thief tries, by what that would be."""
    table, key = region.outputs["payments_table_name"], f"{RECEIPTS_PREFIX}{victim['payment_id']}.json"
    dynamodb, s3, lambdas, kms = (thief(each) for each in ("dynamodb", "s3", "lambda", "kms"))
    bucket, alarm = region["receipts_bucket"], {"AlarmNames": region["alarm_names"][:1]}
    version = region.client("s3").list_object_versions(Bucket=bucket, Prefix=key)["Versions"][0]["VersionId"]
    role = region["function_role_name"]

    def put(name: str) -> Attempt:
        return partial(dynamodb.put_item, TableName=table, Item={KEY_ATTRIBUTE: {"S": name}, "epoch": {"N": "99"}})

    return {
        "take leadership": put(RECORD_KEY),
        "raise the epoch": partial(
            dynamodb.update_item, TableName=table, Key={KEY_ATTRIBUTE: {"S": RECORD_KEY}},
            UpdateExpression="SET epoch = :new", ExpressionAttributeValues={":new": {"N": "99"}}),
        "forge a heartbeat": put(OBSERVATION_PREFIX + region.name),
        "forge the other region's heartbeat": put(OBSERVATION_PREFIX + region.peer.name),
        "write a payment": put(victim["payment_id"]),
        "read a payment": partial(dynamodb.get_item, TableName=table,
                                  Key={KEY_ATTRIBUTE: {"S": victim["payment_id"]}}),
        "read all payments": partial(dynamodb.query, TableName=table, KeyConditionExpression="payment_id = :id",
                                     ExpressionAttributeValues={":id": {"S": victim["payment_id"]}}),
        "forge the other region's canary": put(CANARY_PREFIX + region.peer.name),
        "pause the controllers": put(PAUSE_KEY),
        "pull a lever": partial(s3.put_object, Bucket=region["control_bucket"], Key=LEVER_KEY, Body=b""),
        "pull the other region's lever": partial(
            thief("s3", region.peer.name).put_object, Bucket=region.peer["control_bucket"], Key=LEVER_KEY, Body=b""),
        "read the path of the health checks": partial(
            s3.get_object, Bucket=region["control_bucket"], Key=CHECK_PATH_KEY),
        "change the path of the health checks": partial(
            s3.put_object, Bucket=region["control_bucket"], Key=CHECK_PATH_KEY, Body=b"x"),
        "delete a payment": partial(
            dynamodb.delete_item, TableName=table, Key={KEY_ATTRIBUTE: {"S": victim["payment_id"]}}),
        "read who has read a receipt": partial(s3.list_objects_v2, Bucket=region["logs_bucket"]),
        "forge an access log": partial(s3.put_object, Bucket=region["logs_bucket"], Key=f"{bucket}/log", Body=b""),
        "delete an access log": partial(s3.delete_object, Bucket=region["logs_bucket"], Key=f"{bucket}/log"),
        "log no access": partial(s3.put_bucket_logging, Bucket=bucket, BucketLoggingStatus={}),
        "delete a receipt": partial(s3.delete_object, Bucket=bucket, Key=key),
        "delete a version of a receipt": partial(s3.delete_object, Bucket=bucket, Key=key, VersionId=version),
        "write to the other region's bucket": partial(
            s3.put_object, Bucket=region.peer["receipts_bucket"], Key=key, Body=b"", IfNoneMatch="*"),
        "open the bucket": partial(s3.delete_bucket_policy, Bucket=bucket),
        "read the database's login": partial(
            thief("secretsmanager").get_secret_value, SecretId=region.outputs["database_secret_arn"]),
        "read the other region's login": partial(
            thief("secretsmanager", region.peer.name).get_secret_value,
            SecretId=region.outputs["database_secret_arn"].rpartition(":")[2]),
        "start a repair": partial(lambdas.invoke, FunctionName=region["reconcile_function_name"], Qualifier="live"),
        "invoke the payments function": partial(
            lambdas.invoke, FunctionName=region["function_alias_arn"], Payload=json.dumps(
                {"resource": READINESS, "httpMethod": "POST", "headers": {}, "body": None, "isBase64Encoded": False})),
        "read an API key": partial(
            thief("apigateway").get_api_key, apiKey=region["api_key_id"], includeValue=True),
        "change a function": partial(lambdas.update_function_configuration, FunctionName=region["function_name"],
                                     Timeout=1),
        "disable a key": partial(kms.disable_key, KeyId=region["key_arn"]),
        "delete a key": partial(kms.schedule_key_deletion, KeyId=region["key_arn"], PendingWindowInDays=7),
        "widen its own role": partial(
            thief("iam").put_role_policy, RoleName=role, PolicyName="more", PolicyDocument=json.dumps(
                {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})),
        "move the database": partial(
            thief("rds").failover_global_cluster, GlobalClusterIdentifier=region.outputs["global_cluster_id"],
            TargetDbClusterIdentifier=region.peer["cluster_arn"], AllowDataLoss=True),
        "publish a false metric": partial(thief("cloudwatch").put_metric_data, Namespace=METRICS_NAMESPACE,
                                          MetricData=[{"MetricName": "Exposure", "Value": 0}]),
        "silence an alarm": partial(thief("cloudwatch").disable_alarm_actions, **alarm),
        "delete a log": partial(thief("logs").delete_log_group, logGroupName=region["flow_log_group"]),
        "delete an alarm": partial(thief("cloudwatch").delete_alarms, **alarm),
        "stop the stream": partial(dynamodb.update_table, TableName=table,
                                   StreamSpecification={"StreamEnabled": False}),
        "stop the backups": partial(
            dynamodb.update_continuous_backups, TableName=table,
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}),
        "delete the table": partial(dynamodb.delete_table, TableName=table),
        "delete the vault": partial(thief("backup").delete_backup_vault, BackupVaultName=region["backup_vault_name"]),
        "delete the backup plan": partial(thief("backup").delete_backup_plan, BackupPlanId=region["backup_plan_id"]),
    }


def refusals(tried: Mapping[str, Attempt]) -> Iterator[tuple[str, str]]:
    """What each attempt was refused with, empty if it was not."""
    for what, attempt in tried.items():
        try:
            attempt()
        except ClientError as error:
            yield what, error.response["Error"]["Code"]
        else:
            yield what, ""


@pytest.mark.parametrize("function", MAY)
def test_a_stolen_role_moves_blocks_and_deletes_nothing(
        writer: Region, victim: Mapping[str, Any], function: str) -> None:
    tried = attempts(thief_of(writer, function), writer, victim)
    assert tried.keys() > MAY[function]
    tried = {what: attempt for what, attempt in tried.items() if what not in MAY[function]}
    assert {what: code for what, code in refusals(tried) if code not in REFUSED} == {}


def test_a_stolen_payments_role_writes_no_receipt_twice(writer: Region, victim: Mapping[str, Any]) -> None:
    s3 = thief_of(writer, "function_name")("s3")
    request = {"Bucket": writer["receipts_bucket"], "Key": f"{RECEIPTS_PREFIX}{victim['payment_id']}.json"}
    receipt = s3.get_object(**request)
    put = partial(s3.put_object, **request, Body=b"forged")
    found = dict(refusals({"overwrite": put, "if it is this one": partial(put, IfMatch=receipt["ETag"]),
                           "if there is none": partial(put, IfNoneMatch="*")}))
    assert found == {"overwrite": "AccessDenied", "if it is this one": "AccessDenied",
                     "if there is none": "PreconditionFailed"}


@pytest.mark.parametrize(("function", "user"), [
    *(("function_name", user) for user in ("ledger_admin", "postgres", DATABASE_USER)),
    *((function, DATABASE_USER) for function in ("controller_function_name", "migrate_function_name"))])
def test_a_stolen_role_logs_in_to_the_database_as_the_payments_user_only(
        writer: Region, function: str, user: str) -> None:
    database = DatabaseAddress(host=writer["cluster_endpoint"], port=int(writer["cluster_port"]), name=DATABASE_NAME)
    credentials = thief_of(writer, function).session.get_credentials()
    login = partial(iam_login, database, user=user, region=writer.name, credentials=credentials)
    refused = nullcontext() if (function, user) == ("function_name", DATABASE_USER) else pytest.raises(
        DatabaseError, match="authentication failed")
    with refused:
        open_connection(database, Timing(), login, Path(os.environ["PGSSLROOTCERT"])).close()


@pytest.mark.parametrize(("statement", "code"), [
    (f"SELECT ledger.post_mark('us-east-1', {2**62})", "TS003"), ("SELECT ledger.pass_fence(1)", "42501"),
    *((statement, "42501") for statement in (
        "UPDATE ledger.fence SET epoch = 99", "DELETE FROM ledger.postings", "UPDATE ledger.postings SET amount = 1",
        "UPDATE ledger.marks SET number = 99", "CREATE TABLE ledger.mine (a int)", "CREATE TABLE public.mine (a int)",
        "DROP FUNCTION ledger.pass_fence", "SET ROLE ledger_admin", "DELETE FROM public.schema_migrations"))])
def test_a_stolen_login_rewrites_nothing_and_fences_nobody_for_good(
        writer: Region, statement: str, code: str) -> None:
    database = DatabaseAddress(host=writer["cluster_endpoint"], port=int(writer["cluster_port"]), name=DATABASE_NAME)
    login = partial(iam_login, database, user=DATABASE_USER, region=writer.name,
                    credentials=thief_of(writer, "function_name").session.get_credentials())
    with closing(open_connection(database, Timing(), login, Path(os.environ["PGSSLROOTCERT"]))) as session, \
            pytest.raises(DatabaseError) as refused:
        session.run(statement)
    assert refused.value.args[0]["C"] == code


def test_what_a_stolen_payments_role_changes_in_the_table_is_restored_from_the_ledger(
        writer: Region, victim: Mapping[str, Any], api_key: Secret) -> None:
    # IAM cannot protect stored values from who may write some.
    thief_of(writer, "function_name")("dynamodb").update_item(
        TableName=writer.outputs["payments_table_name"], Key={KEY_ATTRIBUTE: {"S": victim["payment_id"]}},
        UpdateExpression="SET amount = :more, payee = :thief",
        ExpressionAttributeValues={":more": {"N": "99"}, ":thief": {"S": "thief"}})
    forged = writer.call("GET", f"/payment/{victim['payment_id']}", key=api_key).body
    assert (forged["amount"], forged["payee"]) == (99, "thief")
    answer = writer.client("lambda").invoke(FunctionName=writer["reconcile_function_name"], Qualifier="live",
                                            Payload=b'{"begin": true}')
    assert json.loads(answer["Payload"].read())["counts"]["repaired"] >= 1
    restored = writer.call("GET", f"/payment/{victim['payment_id']}", key=api_key).body
    assert {key: restored[key] for key in victim} == victim
