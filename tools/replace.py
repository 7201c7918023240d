"""Replaces a lost region of a stack by a third one: `make replace STACK=prod LOST=us-east-1 NEW=eu-west-1`.

Lists what would be done. With ARGS=--yes the surviving region detaches the lost one from what spans both, the stack's
state forgets what the lost region held, and the stack's file names the new region; `make up` then creates what belongs
there. Nothing is asked of the lost region, and everything is decided by the state, so a replacement that was
interrupted is continued by the same command.

The survivor is the primary region afterwards, since that is where a stack's writer starts: in the state the names of
the two roles are exchanged. Physical names have no role, so nothing in AWS is renamed.
"""
import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from contract import PROJECT, Consistency
from lib import parsers
from tools.clients import Clients, WrongAccount, boto_clients, require_account
from tools.destroy import kind
from tools.init import InitFailed, zones_of
from tools.pulumi_cli import Pulumi, PulumiFailed, run

boto_client = boto_clients(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 2})
CONTROL_PLANES = "us-east-1"
"""Where the control planes of IAM and Route 53 are, and that of S3 for making buckets and setting them up:
https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/global-services.html"""
THERE = {"iam": "get_account_summary", "route53": "get_hosted_zone_count", "s3": "list_buckets"}
"""A call to each control plane that changes nothing."""
# What spans both regions and is created in the primary region: it survives there or in its replica, or is global.
REGIONAL = ("GlobalCluster", "Table", "Secret", "SecretVersion")
GLOBAL = ("HealthCheck", "Record", "Zone")
PROVIDER, DEPLOYED = "pulumi:providers:aws", "tapstack:index:DeployedStack"
FIRST = ("pulumi:pulumi:Stack", DEPLOYED, "tapstack:index:TapStack", PROVIDER)  # in the state
PARTNERS = {"primary": "dr", "dr": "primary", "outbound": "inbound", "inbound": "outbound"}
FAILOVER = re.compile(r"global-dns-(primary|secondary)((?:-leads)?)")  # the records that clients follow
ROLE = re.compile(r"(?<![^-])(primary|dr|outbound|inbound)(?![^-])")
URN = re.compile(r"(urn:pulumi:[^\":]+::[^\":]+::)((?:(?!::)[^\"])+)::([^\":]+)")
SERVER_ERROR = 500

Resource = dict[str, Any]


class ReplaceFailed(Exception):
    """The region cannot be replaced: says why, in one line."""


@dataclass(frozen=True)
class Replacement:
    """What the state of a stack becomes when the region `new` with its three `zones` replaces `lost`."""

    resources: Sequence[Resource]
    lost: str
    new: str
    zones: str

    @cached_property
    def identity(self) -> Mapping[str, str]:
        """The fixed settings with which the stack is deployed."""
        return next(each["outputs"] for each in self.resources if each["type"] == DEPLOYED)

    @property
    def primary_is_lost(self) -> bool:
        """Whether the lost region is the primary one, so that the survivor takes that role."""
        return self.identity["primaryRegion"] == self.lost

    @property
    def survivor(self) -> str:
        """The region that survives."""
        return self.identity["drRegion" if self.primary_is_lost else "primaryRegion"]

    def settings(self) -> dict[str, str]:
        """The settings that change."""
        was = self.identity
        new = {"drRegion": self.new, "drZones": self.zones}
        if not self.primary_is_lost:
            return new
        (key,) = (each for each in self.of("Key", "ReplicaKey") if self._provider(each) == self.survivor)
        new |= {"primaryRegion": self.survivor, "primaryZones": was["drZones"], "primaryVpcCidr": was["drVpcCidr"],
                "drVpcCidr": was["primaryVpcCidr"], "primaryKeyOrigin": key["inputs"].get("primaryKeyArn", "")}
        if was["databaseSecretArn"]:
            new["databaseSecretArn"] = was["databaseSecretArn"].replace(f":{self.lost}:", f":{self.survivor}:")
        return new

    def forgotten(self) -> list[Resource]:
        """What the lost region holds, and the records that lead to it."""
        return [each for each in self.resources if self._is_lost(each)]

    def left_behind(self) -> list[str]:
        """A line for each kind of resource that stays in AWS, unmanaged, with the ids."""
        found: dict[str, list[str]] = {}
        for each in self.forgotten():
            if each["type"] != PROVIDER and kind(each) != "Record":
                found.setdefault(kind(each), []).append(str(each.get("id")))
        return [f"{what}: {', '.join(ids)}" for what, ids in sorted(found.items())]

    def needs_control_planes(self) -> str:
        """What the new region needs, and only the control planes in us-east-1 can create, by number and kind."""
        kinds = Counter(kind(each) for each in self.forgotten() if each["type"].split(":")[1].split("/")[0] in THERE)
        return ", ".join(f"{number} {what}" for what, number in kinds.items())

    def state(self) -> list[Resource]:
        """The resources of the new state: providers first, since what moves to another one must follow it."""
        gone = {each["urn"] for each in self.forgotten()}
        kept = [self._detached(self._moved(each), gone) for each in self.resources if each["urn"] not in gone]
        if self.primary_is_lost:
            kept = json.loads(URN.sub(self._exchanged, json.dumps(kept)))
            kept = [{**each, "type": each["urn"].split("::")[2].rpartition("$")[2]} for each in kept]
        return sorted(kept, key=lambda each: FIRST.index(each["type"]) if each["type"] in FIRST else len(FIRST))

    def of(self, *kinds: str) -> list[Resource]:
        """The resources of some kinds."""
        return [each for each in self.resources if kind(each) in kinds]

    def lost_records(self) -> dict[str, set[tuple[str, str, str]]]:
        """Name, type and set identifier of the records that lead to the lost region, by the id of their zone."""
        found: dict[str, set[tuple[str, str, str]]] = {}
        for each in self.of("Record"):
            if self._is_lost(each):
                given = each["inputs"]
                found.setdefault(given["zoneId"], set()).add(
                    (given["name"], given["type"], given.get("setIdentifier", "")))
        return found

    @cached_property
    def _regions(self) -> Mapping[str, str]:
        """The region of each AWS provider, by its URN and id."""
        return {f"{each['urn']}::{each['id']}": each["inputs"]["region"]
                for each in self.resources if each["type"] == PROVIDER}

    def _provider(self, resource: Resource) -> str:
        """The region of a resource's provider; empty if it has none of AWS's."""
        return self._regions.get(resource.get("provider", ""), "")

    def _is_lost(self, resource: Resource) -> bool:
        if resource["type"] == PROVIDER:
            return bool(resource["inputs"]["region"] == self.lost)
        if kind(resource) == "Record":
            given = resource["inputs"]
            return self.lost in (*given["name"].split("."), given.get("setIdentifier"))
        return self._provider(resource) == self.lost and kind(resource) not in (*REGIONAL, *GLOBAL)

    def _moved(self, resource: Resource) -> Resource:
        """The resource as it is in the surviving region, without its replica in the lost one."""
        moved, outputs = dict(resource), dict(resource.get("outputs", {}))
        if resource["type"] == DEPLOYED:
            return {**moved, "outputs": {**outputs, **self.settings()}}
        if kind(resource) in ("Table", "Secret"):
            moved |= {"inputs": {**resource["inputs"], "replicas": []}, "outputs": {**outputs, "replicas": []}}
        if self._provider(resource) != self.lost:
            return moved
        if kind(resource) in REGIONAL:
            text = json.dumps(moved)
            keys = {self._provider(each): each["outputs"]["arn"] for each in self.of("Key", "ReplicaKey")}
            moved = json.loads(text.replace(keys[self.lost], keys[self.survivor]).replace(self.lost, self.survivor))
        elif "region" in outputs:
            moved["outputs"] = {**outputs, "region": self.survivor}
        return {**moved, "provider": next(ref for ref, region in self._regions.items() if region == self.survivor)}

    @staticmethod
    def _detached(resource: Resource, gone: set[str]) -> Resource:
        """The resource without its dependencies on what is gone."""
        by_property = {key: [each for each in urns or () if each not in gone]
                       for key, urns in (resource.get("propertyDependencies") or {}).items()}
        return {**resource, "propertyDependencies": by_property,
                "dependencies": [each for each in resource.get("dependencies") or () if each not in gone]}

    def _exchanged(self, urn: re.Match[str]) -> str:
        """The URN of the same resource in the region of the other role."""
        stack, types, name = urn.groups()
        types = re.sub("PrimaryRegion|DrRegion",
                       lambda role: "DrRegion" if role[0] == "PrimaryRegion" else "PrimaryRegion", types)
        prefix = f"tap-{self.identity['environmentSuffix']}-"
        head, rest = (prefix, name.removeprefix(prefix)) if name.startswith(prefix) else (name, "")
        followed = FAILOVER.fullmatch(rest) if types.endswith("Record") else None
        if followed:
            rest = f"global-dns-{'secondary' if followed[1] == 'primary' else 'primary'}{followed[2]}"
        elif not rest.endswith("-unhealthy"):  # these alarms are named after the check that they watch
            rest = ROLE.sub(lambda role: PARTNERS[role[0]], rest, count=1)
        return f"{stack}{types}::{head}{rest}"


def silent(clients: Clients) -> Iterator[str]:
    """The services whose control planes in us-east-1 do not answer; a refusal is an answer."""
    for service, question in THERE.items():
        try:
            getattr(clients(service, CONTROL_PLANES), question)()
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", SERVER_ERROR) >= SERVER_ERROR:
                yield service
        except BotoCoreError:
            yield service


def refusals(plan: Replacement, clients: Clients) -> Iterator[str]:
    """Why the region cannot be replaced now; nothing if it can."""
    if plan.identity["tableConsistency"] == Consistency.STRONG:
        yield ("the table is strong: AWS adds no replica to one that holds items, so payments would have to move to "
               "another stack")
    (database,) = plan.of("GlobalCluster")
    found = clients("rds", plan.survivor).describe_global_clusters(GlobalClusterIdentifier=database["id"])
    if not any(member["IsWriter"] and member["DBClusterArn"].split(":")[3] == plan.survivor
               for cluster in found["GlobalClusters"] for member in cluster["GlobalClusterMembers"]):
        yield f"{plan.survivor} does not have the database's writer: run `failover --to {plan.survivor}` first"
    down = list(silent(clients))
    if down:
        yield (f"the control planes of {', '.join(down)} in {CONTROL_PLANES} do not answer, and only they can create "
               f"{plan.needs_control_planes()} for {plan.new}: try again when they do")


def detach(plan: Replacement, clients: Clients) -> None:
    """Detach the lost region from the survivor's database, table and secret, and from the records that clients follow.

    What is detached already stays so.
    """
    (database,), (table,) = plan.of("GlobalCluster"), plan.of("Table")
    rds, dynamodb = clients("rds", plan.survivor), clients("dynamodb", plan.survivor)
    for cluster in rds.describe_global_clusters(GlobalClusterIdentifier=database["id"])["GlobalClusters"]:
        for member in cluster["GlobalClusterMembers"]:
            if member["DBClusterArn"].split(":")[3] == plan.lost:
                rds.remove_from_global_cluster(
                    GlobalClusterIdentifier=database["id"], DbClusterIdentifier=member["DBClusterArn"])
    replicas = dynamodb.describe_table(TableName=table["id"])["Table"].get("Replicas", ())
    if plan.lost in [each["RegionName"] for each in replicas]:
        dynamodb.update_table(TableName=table["id"], ReplicaUpdates=[{"Delete": {"RegionName": plan.lost}}])
        dynamodb.get_waiter("table_exists").wait(TableName=table["id"])  # until it is active
    for secret in plan.of("Secret"):
        _detach_secret(clients("secretsmanager", plan.survivor), secret["inputs"]["name"], plan.lost)
    for zone, wanted in plan.lost_records().items():
        client = clients("route53", plan.survivor)
        found = [record for page in client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
                 for record in page["ResourceRecordSets"]
                 if (record["Name"].removesuffix("."), record["Type"], record.get("SetIdentifier", "")) in wanted]
        if found:
            client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={
                "Changes": [{"Action": "DELETE", "ResourceRecordSet": record} for record in found]})


def _detach_secret(client: Any, name: str, lost: str) -> None:
    found = client.describe_secret(SecretId=name)
    if found.get("PrimaryRegion") == lost:
        client.stop_replication_to_replica(SecretId=name)
    elif lost in [each["Region"] for each in found.get("ReplicationStatus", ())]:
        client.remove_regions_from_replication(SecretId=name, RemoveReplicaRegions=[lost])


def replace(stack: str, lost: str, new: str, *, yes: bool, pulumi: Pulumi = run,
            clients: Clients = boto_client) -> Iterator[str]:
    """Replace the region if `yes`; yields what is done, or would be.

    Raises ReplaceFailed, WrongAccount, and the errors of AWS.
    """
    document = json.loads(pulumi("stack", "export", "--stack", stack))
    deployment = document["deployment"]
    resources = deployment.get("resources") or []
    if deployment.get("pending_operations"):
        raise ReplaceFailed(f"an `up` was interrupted: run `make adopt STACK={stack}` first")
    regions = [each["outputs"][key] for each in resources if each["type"] == DEPLOYED
               for key in ("primaryRegion", "drRegion")]
    if not regions:
        raise ReplaceFailed(f"{stack} is not deployed")
    if lost not in regions:
        raise ReplaceFailed(f"LOST={lost}: must be {' or '.join(regions)}")
    if new in regions:
        raise ReplaceFailed(f"NEW={new}: must be a third region")
    try:
        plan = Replacement(resources, lost, new, zones_of(parsers.region(new), clients))
    except ValueError as error:
        raise ReplaceFailed(f"NEW={new}: {error}") from None
    require_account(plan.identity["account"], clients, plan.survivor)
    yield f"{plan.survivor} detaches {lost} from the database, the table, the secret and DNS"
    yield f"the state forgets {len(plan.forgotten())} resources; in AWS these stay until you delete them:"
    yield from (f"  {line}" for line in plan.left_behind())
    settings = plan.settings()
    yield from (f"Pulumi.{stack}.yaml: {key} = {value}" for key, value in settings.items())
    if refused := list(refusals(plan, clients)):
        raise ReplaceFailed("; ".join(refused))
    if yes:
        detach(plan, clients)
        pulumi("config", "set-all", "--stack", stack, *(
            part for key, value in settings.items() for part in ("--plaintext", f"{PROJECT}:{key}={value}")))
        deployment["resources"] = plan.state()  # the last step: until then the same command finds the old state
        pulumi("stack", "import", "--stack", stack, text=json.dumps(document))
    yield (f"done: `make up STACK={stack}` creates {new}; then copy the receipts written so far, see docs/deployment.md"
           if yes else f"to do it: make replace STACK={stack} LOST={lost} NEW={new} ARGS=--yes")


def main(arguments: Sequence[str], pulumi: Pulumi = run, clients: Clients = boto_client) -> int:
    """Run the command line. Returns the exit code: 0 done or shown, 1 refused or failed."""
    parser = argparse.ArgumentParser(prog="replace", description=__doc__)
    for name in ("stack", "lost", "new"):
        parser.add_argument(name)
    parser.add_argument("--yes", action="store_true", help="do it, instead of only showing it")
    given = parser.parse_args(arguments)
    try:
        for line in replace(given.stack, given.lost, given.new, yes=given.yes, pulumi=pulumi, clients=clients):
            print(line)
    except (ReplaceFailed, PulumiFailed, InitFailed, WrongAccount, ClientError, BotoCoreError) as error:
        print(f"replace: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
