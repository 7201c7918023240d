"""`python -m rehearsal.privileges`, while a rehearsal's stack is up: which check fails without each permission.

It takes one action after another out of the policy of a function's role, has the function do its work, and puts the
policy back. It writes docs/privileges.md. Never on AWS: it changes the roles of the stack that is up.
"""
import json
import os
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from pg8000.native import Connection

from contract import (
    DATABASE_NAME,
    DATABASE_USER,
    KEY_ATTRIBUTE,
    LEVER_KEY,
    RECEIPTS_PREFIX,
    RECORD_KEY,
    Metric,
    OutputsError,
    read_outputs,
)
from payments.errors import StoreUnavailable
from recovery.cloud import Cloud
from recovery.environment import system_environment
from recovery.errors import RecoveryError
from recovery.observation import Observation
from recovery.plan import Action, Plan
from recovery.stack import Stack
from recovery.steps import NOT_PERMITTED
from rehearsal.aws.clients import EmulatorClients, plain_http
from rehearsal.aws.ministack import SESSION
from rehearsal.errors import RehearsalError
from rehearsal.workload.checks import expect
from rehearsal.workload.load import new_payment
from rehearsal.workload.region import RegionClient
from tools.migrate import MigrationFailed, migrate

PAGE = Path("docs/privileges.md")
NOT_ENFORCED: Mapping[str, str] = {
    "s3:ListBucket": "without it S3 answers 403 instead of 404 for a missing object; the emulator answers 404",
    "kms:": "test_roles.py: the emulator checks no permissions of keys",
    "logs:": "test_roles.py: the emulator writes the logs itself",
    "ec2:": "test_roles.py: the emulator makes no network interface",
    "xray:": "test_roles.py: the emulator traces nothing",
}
"""Actions that the emulator does not enforce, and what fails without them."""
NO_FUNCTION = "test_roles.py: the emulator assumes no service roles"
"""What fails without the permissions of a role that only AWS services assume."""
HEAD = """# Permissions

What each role in a region may do, and what fails without it. `make privileges` writes this page: in a rehearsal it
removes one action at a time from a role, has the function do its work, and names the first thing that fails. For
actions that the emulator does not enforce, the page names the unit test that fails instead, or what AWS answers. The
gate fails if the page and the program's permissions differ. `make privileges` also tries, as each role, what it must
not do (`tests/integration/test_stolen_role.py`).

| role | action | without it |
|---|---|---|
"""

Check = Callable[[], object]


@dataclass(frozen=True, order=True)
class Privilege:
    """An action that a role may do, and what fails without it; empty if nothing does."""

    role: str
    action: str
    without: str


def page(found: Iterable[Privilege]) -> str:
    """The page of all permissions. Raises CheckFailed if nothing fails without one of them."""
    rows = sorted(found)
    expect([f"{row.role} {row.action}" for row in rows if not row.without], [], "permissions that nothing needs")
    return HEAD + "".join(f"| {row.role} | `{row.action}` | {row.without} |\n" for row in rows)


def _credentials(endpoint: str, role: str, region: str) -> Mapping[str, str]:
    """The credentials with which a role's functions run in a region, as environment variables."""
    with plain_http() as client:
        found: Mapping[str, str] = client.post(endpoint + SESSION, json={"role": role, "region": region}).json()
    return found


class FunctionWork:
    """What the functions of the region that leads must be able to do."""

    def __init__(self, outputs: Mapping[str, Any], clients: EmulatorClients) -> None:
        self._outputs, self._clients = outputs, clients
        self.region = RegionClient.of("primary", outputs, clients)
        self._s3 = clients("s3", self.region.name)

    def checks(self) -> Mapping[str, Mapping[str, Check]]:
        """The work of each function, by its role."""
        return {"payments": self._payments(), "reconcile": self._reconcile(), "migrate": self._migrate(),
                "controller": self._controller()}

    def _payments(self) -> Mapping[str, Check]:
        """The work of the payments function."""
        api, table = self.region.api, self._clients("dynamodb", self.region.name)

        def paid() -> Mapping[str, Any]:
            payment = new_payment()
            api.pay(payment)
            return payment

        def forgotten() -> Mapping[str, Any]:
            payment = paid()
            table.delete_item(TableName=self.region.table, Key={KEY_ATTRIBUTE: {"S": payment[KEY_ATTRIBUTE]}})
            return payment

        return {
            "accepts a payment": lambda: expect(api.pay(new_payment()).status, 201, "status"),
            "finds a payment": lambda: expect(api.find(paid()[KEY_ATTRIBUTE]).status, 200, "status"),
            "answers a repeated payment": lambda: expect(api.pay(paid()).status, 201, "status"),
            "answers a repeat of what the table has lost": lambda: expect(api.pay(forgotten()).status, 201, "status")}

    def _reconcile(self) -> Mapping[str, Check]:
        """The work of repair."""
        region, s3 = self.region, self._s3
        table, item = self._clients("dynamodb", region.name), {"TableName": region.table}

        def leave_pending(key: Any, _receipt: str) -> None:
            table.update_item(**item, Key=key, UpdateExpression="SET #s = :p, epoch = :e",
                              ExpressionAttributeNames={"#s": "status"},
                              ExpressionAttributeValues={":p": {"S": "PENDING"}, ":e": {"N": "0"}})

        def delete_receipt(_key: Any, receipt: str) -> None:
            for version in s3.list_object_versions(Bucket=region.bucket, Prefix=receipt)["Versions"]:
                s3.delete_object(Bucket=region.bucket, Key=receipt, VersionId=version["VersionId"])

        def repair(damage: Callable[[Any, str], object]) -> None:
            payment = new_payment()
            region.api.pay(payment)
            name = payment[KEY_ATTRIBUTE]
            damage({KEY_ATTRIBUTE: {"S": name}}, f"{RECEIPTS_PREFIX}{name}.json")
            found = region.reconciled()
            kept = region.item(name) or {}
            expect((found["error"], kept.get("status")), ("", {"S": "SETTLED"}), "error and status of the item")
            region.receipt(name)

        damages: Mapping[str, Callable[[Any, str], object]] = {
            "restores an item": lambda key, _: table.delete_item(**item, Key=key),
            "settles what was left pending": leave_pending, "restores a receipt": delete_receipt,
            "restores a receipt below a delete marker": lambda _, key: s3.delete_object(Bucket=region.bucket, Key=key)}
        return {what: partial(repair, damage) for what, damage in damages.items()}

    def _migrate(self) -> Mapping[str, Check]:
        """The work of the function that brings the ledger's schema up to date."""
        table = self._clients("dynamodb", self.region.name)
        record = {KEY_ATTRIBUTE: {"S": RECORD_KEY}}

        def write() -> None:
            kept = table.get_item(TableName=self.region.table, Key=record)["Item"]
            table.delete_item(TableName=self.region.table, Key=record)
            try:
                migrate(self._outputs, self._clients)
                expect("Item" in table.get_item(TableName=self.region.table, Key=record), True, "record")
            finally:
                table.put_item(TableName=self.region.table, Item=kept)

        return {"writes the record that is missing": write}

    def _controller(self) -> Mapping[str, Check]:
        """The work of a controller, done by its code in its role's session: a controller itself would try again."""
        stack = Stack.of(self._outputs)
        plan = Plan(action=Action.FAILOVER, stack=stack, target=stack.site(self.region.name))
        account = plan.target.topic_arn.split(":")[4]
        role = f"arn:aws:iam::{account}:role/tapstack-controller-{stack.environment_suffix}-{self.region.name}"
        found = _credentials(self._clients.endpoint, role.rpartition("/")[2], self.region.name)
        session = EmulatorClients(self._clients.endpoint, connections=1, credentials={
            name.lower(): value for name, value in found.items() if name.startswith("AWS_") and name != "AWS_REGION"})
        watched = self._clients("cloudwatch", self.region.name)

        def cloud() -> Cloud:
            return Cloud(plan=plan, environment=system_environment(session, {}))

        def look() -> None:
            facts = cloud().facts()
            expect((facts.wrong, facts.own.ready, facts.lever), ({}, True, False), "what is wrong, ready, lever")

        def note() -> None:
            table = cloud().table
            table.pause()
            before = table.observation(self.region.name)
            seen = Observation(region=self.region.name, at=table.heard, number=before.number + 1 if before else 0)
            expect(table.write_observation(seen, before), True, "written")

        def lag() -> None:
            watched.put_metric_data(Namespace="AWS/RDS", MetricData=[{
                "MetricName": "AuroraGlobalDBReplicationLag", "Value": 20.0,
                "Timestamp": datetime.now(UTC) - timedelta(minutes=1),
                "Dimensions": [{"Name": "DBClusterIdentifier", "Value": plan.target.cluster_id}]}])
            asking = cloud()
            asking.table.record()
            expect(asking.ledger_lag() is not None, True, "figure")

        def lever() -> None:
            try:
                for pulled in (True, False):
                    cloud().set_lever(plan.target, pulled=pulled)
                    expect(cloud().lever(plan.target), pulled, "pulled")
            finally:
                self._s3.delete_object(Bucket=plan.target.control_bucket, Key=LEVER_KEY)

        def move() -> None:
            # The region has the writer: who may ask is told so, and nothing moves. The drills move it.
            try:
                session("rds", self.region.name).failover_global_cluster(
                    GlobalClusterIdentifier=stack.global_cluster_id, TargetDbClusterIdentifier=plan.target.cluster_arn,
                    AllowDataLoss=True)
            except ClientError as error:
                expect(error.response["Error"]["Code"] in NOT_PERMITTED, False, "refused")

        return {"looks": look, "writes what it saw": note,
                "publishes what it saw": lambda: cloud().publish({Metric.THIS_REGION_READY: 1.0}),
                "asks how far the ledger's copy is behind": lag,
                "pulls its lever and resets it": lever, "asks for the promotion of the database": move,
                "notifies people": lambda: cloud().notify("A rehearsal", "Nothing has happened."),
                "starts repair": lambda: cloud().start_repair(),
                "asks IAM what it may do": lambda: expect(cloud().denied(role), [], "denied")}

    def disconnect(self) -> None:
        """End the functions' connections to the ledger: only a new connection needs a login."""
        secret = self._clients("secretsmanager", self.region.name).get_secret_value(
            SecretId=self._outputs["database_secret_arn"])["SecretString"]
        with closing(Connection(
                json.loads(secret)["username"], host=self._outputs["primary_cluster_endpoint"],
                port=int(self._outputs["primary_cluster_port"]), database=DATABASE_NAME,
                password=json.loads(secret)["password"],
                ssl_context=ssl.create_default_context(cafile=os.environ["PGSSLROOTCERT"]))) as session:
            session.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = :user",
                        user=DATABASE_USER)


def without(document: Mapping[str, Any], action: str) -> dict[str, Any]:
    """A policy in which no statement allows an action."""
    found = [{**each, "Action": [one for one in _actions(each) if one != action]} if each["Effect"] == "Allow" else each
             for each in document["Statement"]]
    return {**document, "Statement": [each for each in found if each["Action"]]}


def allowed(document: Mapping[str, Any]) -> list[str]:
    """The actions that a policy allows."""
    return sorted({action for each in document["Statement"] if each["Effect"] == "Allow" for action in _actions(each)})


def _actions(statement: Mapping[str, Any]) -> list[str]:
    return statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]


def not_enforced(action: str) -> str:
    """What fails without an action that the emulator does not enforce; empty if it enforces the action."""
    return NOT_ENFORCED.get(action) or NOT_ENFORCED.get(action.partition(":")[0] + ":") or ""


def first_failure(checks: Mapping[str, Check]) -> str:
    """The name of the first check that fails; empty if none does."""
    for name, check in checks.items():
        try:
            check()
        except (RehearsalError, RecoveryError, StoreUnavailable, MigrationFailed, BotoCoreError, ClientError):
            return name
    return ""


def examine(outputs: Mapping[str, Any], clients: EmulatorClients) -> Iterator[Privilege]:
    """Take each permission out of each role of a region in turn. Raises CheckFailed if something fails with all."""
    work, region = FunctionWork(outputs, clients), outputs["primary_region"]
    iam, checks = clients("iam", region), work.checks()
    for role in iam.list_roles()["Roles"]:
        label, ours = role["RoleName"].removeprefix("tapstack-"), f"-{outputs['environment_suffix']}-{region}"
        if not label.endswith(ours):
            continue
        label = label.removesuffix(ours)
        expect(first_failure(checks.get(label, {})), "", f"what fails for {label} with all permissions")
        for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
            policy = {"RoleName": role["RoleName"], "PolicyName": name}
            whole = iam.get_role_policy(**policy)["PolicyDocument"]
            for action in allowed(whole):
                reason = not_enforced(action) if label in checks else NO_FUNCTION
                if not reason:
                    iam.put_role_policy(**policy, PolicyDocument=json.dumps(without(whole, action)))
                    work.disconnect()
                    reason = first_failure(checks[label])
                    iam.put_role_policy(**policy, PolicyDocument=json.dumps(whole))
                    work.disconnect()
                yield Privilege(label, action, reason)


def main() -> None:
    """Examine the stack of a rehearsal that is up."""
    try:
        outputs, endpoint = read_outputs(os.environ), os.environ["AWS_ENDPOINT_URL"]
    except (KeyError, OutputsError) as error:
        typer.echo(f"privileges: no stack is up here ({error}): use make privileges", err=True)
        raise typer.Exit(2) from None
    found = []
    try:
        for each in examine(outputs, EmulatorClients(endpoint, connections=1)):
            typer.echo(f"  {each.role} {each.action}: {each.without or 'NOTHING FAILS'}")
            found.append(each)
        PAGE.write_text(page(found), encoding="utf-8")
    except (RehearsalError, BotoCoreError, ClientError) as error:
        typer.echo(f"privileges: {error}", err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    typer.run(main)
