"""What is wrong with a deployed stack, above all where its regions differ: a failover would make that felt.

What the next deployment makes good must not prevent it, so it is not looked for before `up`.
"""
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from contract import ALIAS
from recovery.cloud import writer_of
from recovery.doctor.check import Checks, Look, Situation, Symptom, answer_of_any
from recovery.doctor.needs import Needs
from recovery.plan import COMMAND
from recovery.stack import Site, Stack

AGAIN = "`make up`: a deployment that ended early leaves its regions different"
ACCEPT = "set the two regions alike and deploy, or accept that one of them can carry less after a failover"


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A stack by its outputs, and what its settings say that the next deployment needs, if they are known."""

    stack: Stack
    needs: Needs | None

    @property
    def regions(self) -> list[str]:
        """The primary region first."""
        return [site.region for site in self.stack.sites]


DEPLOYED = Checks[Deployed]()


@DEPLOYED.add("stack's account", "Are you signed in to the stack's account?")
def right_account(look: Look, there: Deployed, _region: str) -> Iterator[Symptom]:
    """Every ARN of the stack contains its account."""
    account = there.stack.sites[0].cluster_arn.split(":")[4]
    if account != look.account:
        yield Symptom(problem=f"the stack is in account {account}, and you are signed in to {look.account}",
                      remedy="sign in to the stack's account, or use another outputs file")


@DEPLOYED.add("writer", "Where is the writer, and do the settings agree?")
def writer(look: Look, there: Deployed, _region: str) -> Iterator[Symptom]:
    """A switchover or failover moves the writer; no deployment does."""
    found = answer_of_any(look, there.regions, "rds", "DescribeGlobalClusters",
                          GlobalClusterIdentifier=there.stack.global_cluster_id)["GlobalClusters"]
    region = writer_of(found[0]) if found else None
    if region is None:
        yield Symptom(problem="the global database has no writer", remedy=f"see `{COMMAND} status`")
    elif region != there.regions[0]:
        yield Symptom(problem=f"the writer is in {region}, not in the primary region {there.regions[0]}", fails=False,
                      remedy="leave primaryRegion and drRegion as they are; `failback` before a `destroy`")
    wanted = there.needs and [each.region for each in there.needs.regions]
    if wanted and wanted != there.regions:
        yield Symptom(problem=f"primaryRegion and drRegion are {' and '.join(wanted)}, and the stack was deployed in "
                      f"{' and '.join(there.regions)}: `up` would replace its data", remedy="set them back")


@DEPLOYED.add("versions", "Do both regions run the same code and engine?", unless=Situation.BEFORE_UP)
def versions(look: Look, there: Deployed, _region: str) -> Iterable[Symptom]:
    """A difference in code or engine may make a failover fail."""
    def read(site: Site) -> dict[str, Any]:
        functions = {name: _configuration(look, site, arn) for name, arn in _functions(site).items()}
        return {"engine": _cluster(look, site)["EngineVersion"],
                **{f"code of {name}": found["CodeSha256"] for name, found in functions.items()},
                **{f"runtime of {name}": found["Runtime"] for name, found in functions.items()}}

    return _unlike(there, read, AGAIN, fails=True)


@DEPLOYED.add("capacity", "Can either region carry the load?", unless=Situation.BEFORE_UP)
def capacity(look: Look, there: Deployed, _region: str) -> Iterable[Symptom]:
    """Settings may make the standby smaller on purpose."""
    def read(site: Site) -> dict[str, Any]:
        instances = look("rds", "DescribeDBInstances", site.region,
                         Filters=[{"Name": "db-cluster-id", "Values": [site.cluster_id]}])["DBInstances"]
        functions = {name: _configuration(look, site, arn) for name, arn in _functions(site).items()}
        reserved = look("lambda", "GetFunctionConcurrency", site.region, FunctionName=_payments(site))
        return {"instances": ", ".join(sorted(each["DBInstanceClass"] for each in instances)) or "none",
                "capacity": _shown(_cluster(look, site).get("ServerlessV2ScalingConfiguration", {})),
                "reserved executions": reserved.get("ReservedConcurrentExecutions", "none"),
                **{f"memory of {name}, MB": found["MemorySize"] for name, found in functions.items()}}

    return _unlike(there, read, ACCEPT, fails=False)


@DEPLOYED.add("parameters", "Are database and table configured alike?", unless=Situation.BEFORE_UP)
def parameters(look: Look, there: Deployed, _region: str) -> Iterable[Symptom]:
    """Parameters of the engine, protection and backups."""
    table = there.stack.payments_table_name

    def read(site: Site) -> dict[str, Any]:
        cluster = _cluster(look, site)
        found = look("rds", "DescribeDBClusterParameters", site.region, Source="user",
                     DBClusterParameterGroupName=cluster["DBClusterParameterGroup"])["Parameters"]
        replica = look("dynamodb", "DescribeTable", site.region, TableName=table)["Table"]
        backups = look("dynamodb", "DescribeContinuousBackups", site.region,
                       TableName=table)["ContinuousBackupsDescription"]
        return {**{each["ParameterName"]: each.get("ParameterValue", "") for each in found},
                "days of backups": cluster["BackupRetentionPeriod"],
                "database's deletion protection": cluster.get("DeletionProtection", False),
                "IAM authentication": cluster.get("IAMDatabaseAuthenticationEnabled", False),
                "table's deletion protection": replica.get("DeletionProtectionEnabled", False),
                "table's point-in-time recovery":
                    backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus", "none")}

    return _unlike(there, read, AGAIN, fails=True)


@DEPLOYED.add("permissions", "Do roles and keys permit the same in both regions?", unless=Situation.BEFORE_UP)
def permissions(look: Look, there: Deployed, _region: str) -> Iterable[Symptom]:
    """The policies of key and roles, each without what its own region is called.

    Only the settings tell all the roles; without them, those of the functions are compared.
    """
    def read(site: Site) -> dict[str, Any]:
        plain = {_cluster(look, site)["DbClusterResourceId"]: "CLUSTER", site.region: "HERE",
                 there.stack.other(site.region).region: "THERE"}
        roles = there.needs.of_region(site.region).roles if there.needs else {
            name: _configuration(look, site, each)["Role"].rpartition("/")[2]
            for name, each in _functions(site).items()}
        key = look("kms", "GetKeyPolicy", site.region, KeyId=site.key_arn, PolicyName="default")["Policy"]
        policies = [("key", json.loads(key)), *_role_policies(look, site.region, roles)]
        return {f"{name}: {_plain(statement, plain)}": "permitted"
                for name, policy in policies for statement in policy["Statement"]}

    return _unlike(there, read, AGAIN, fails=True)


def _unlike(there: Deployed, read: Callable[[Site], dict[str, Any]], remedy: str, *, fails: bool) -> Iterator[Symptom]:
    """A finding for each key that has another value in the other region."""
    here, elsewhere = there.stack.sites
    first, second = read(here), read(elsewhere)
    for key in sorted(first.keys() | second.keys()):
        one, other = first.get(key, "none"), second.get(key, "none")
        if one != other:
            yield Symptom(problem=f"{key}: {one} in {here.region}, {other} in {elsewhere.region}", remedy=remedy,
                          fails=fails)


def _role_policies(look: Look, region: str, roles: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """The policies of roles, each with what the role is called in both regions; none of a role that does not exist."""
    for name, role in roles.items():
        found = look("iam", "ListRolePolicies", region, absent=("NoSuchEntity",), RoleName=role)
        for policy in found["PolicyNames"] if found else ():
            yield name, look("iam", "GetRolePolicy", region, RoleName=role, PolicyName=policy)["PolicyDocument"]


def _plain(statement: Any, plain: Mapping[str, str]) -> str:
    """A statement as text, with names replaced."""
    text = json.dumps(statement, sort_keys=True)
    for own, word in plain.items():
        text = text.replace(own, word)
    return text


def _cluster(look: Look, site: Site) -> dict[str, Any]:
    found: dict[str, Any] = look("rds", "DescribeDBClusters", site.region,
                                 DBClusterIdentifier=site.cluster_id)["DBClusters"][0]
    return found


def _payments(site: Site) -> str:
    return site.function_alias_arn.split(":")[6]


def _functions(site: Site) -> dict[str, str]:
    """The names of a region's functions, by what they are called in both."""
    return {"payments": _payments(site), "reconcile": site.reconcile_function_name,
            "controller": site.controller_function_name}


def _configuration(look: Look, site: Site, function: str) -> dict[str, Any]:
    found: dict[str, Any] = look("lambda", "GetFunctionConfiguration", site.region, FunctionName=function,
                                 Qualifier=ALIAS)
    return found


def _shown(limits: dict[str, Any]) -> str:
    return f"{limits.get('MinCapacity', 0):g} to {limits.get('MaxCapacity', 0):g} ACU" if limits else "none"
