"""The functions of one region, each behind the alias `live`. Those in the VPC share one package."""
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws

from contract import (
    ALIAS,
    CANARY_FOLDER,
    CANARY_PREFIX,
    DATABASE_NAME,
    DATABASE_USER,
    RECEIPTS_PREFIX,
    RECORD_KEY,
    REPAIR_FOLDER,
    REPAIR_MINUTES,
    REPAIR_PREFIX,
    Variable,
)
from lib import policies
from lib.component import Component
from lib.errors import ProgramError
from lib.names import Names
from lib.region.database import Database
from lib.region.network import Network
from lib.settings import Profile

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = ROOT / "contract.py"
PAYMENTS = ROOT / "payments"
AUTHORITIES = PAYMENTS / "rds-ca.pem"
# The driver and what it imports: pure Python, so that what is installed on any machine runs in Lambda.
SHIPPED = ("pg8000", "scramp", "asn1crypto", "python-dateutil", "six")


def package(*sources: Path, distributions: Sequence[str] = (), pattern: str = "*") -> pulumi.AssetArchive:
    """A deployment package: modules, the files of Python packages that match a pattern, and distributions' sources.

    Only files that git knows are shipped: neither a stray `.env` nor what was compiled, which would change with the
    machine.
    """
    found = {path.relative_to(source.parent).as_posix(): path for source in sources for path in _tracked(source)
             if path == source or path.match(pattern)}
    for distribution in distributions:
        found |= _sources(distribution)
    return pulumi.AssetArchive({name: pulumi.FileAsset(path) for name, path in sorted(found.items())})


@cache
def _tracked(source: Path) -> Sequence[Path]:
    """The files of a module or a Python package that git knows and that exist. Raises ProgramError without git."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z", "--", str(source)],  # noqa: S603, S607  # no shell, own paths
                                cwd=source.parent, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise ProgramError(f"{source}: git must say which of its files are shipped: deploy from a clone") from None
    return [path for name in listed.split("\0") if name and (path := source.parent / name).is_file()]


def _sources(distribution: str) -> dict[str, Path]:
    """The files of an installed distribution that are shipped. Raises ProgramError if any is missing."""
    try:
        # Some look up their own version, which is in METADATA, when they are imported.
        found = {str(file): Path(str(file.locate())) for file in files(distribution) or ()
                 if file.suffix == ".py" or file.name == "METADATA"}
    except PackageNotFoundError:
        found = {}
    missing = [name for name, path in found.items() if not path.is_file()] or ([] if found else ["all its files"])
    if missing:
        raise ProgramError(f"{distribution}: {missing[0]} is missing from this environment: run `make setup`")
    return found


def require_authorities(bundle: Path, *regions: str) -> None:
    """Raise ProgramError unless the shipped bundle trusts RDS in each region: no function could reach the database."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(bundle)
    trusted = str(context.get_ca_certs())
    for region in regions:
        if f"Amazon RDS {region} Root CA" not in trusted:
            raise ProgramError(
                f"region {region!r}: {bundle.name} has no authority of RDS there: run `make authorities`")


@dataclass(frozen=True, kw_only=True)
class FunctionSpec:
    """What a function is created from: its name, role and handler, its permissions, and its limits in seconds and MB.

    `concurrency` are its reserved executions, -1 for none. One that is not `traced` decides the same for what it calls.
    `pays`: whether it logs in to the ledger.
    """

    function: str
    role: str
    handler: str
    permissions: Sequence[policies.Statement]
    timeout: int
    memory: int = 512
    concurrency: int = -1
    traced: bool = True
    pays: bool = False


def function_specs(names: Names, concurrency: int) -> dict[str, FunctionSpec]:
    """The functions in the VPC, by purpose; `concurrency` is reserved for the one that accepts payments."""
    receipts = f"arn:aws:s3:::{names.receipts}"
    receipt, canary, finding = (f"{receipts}/{folder}*" for folder in (RECEIPTS_PREFIX, CANARY_FOLDER, REPAIR_FOLDER))
    records = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
    return {
        "payments": FunctionSpec(
            function=names.function, role=names.function_role, handler="payments.handler.handler", timeout=10,
            concurrency=concurrency, pays=True, permissions=[
                policies.allow(records, names.table_arn), policies.records_only(names, CANARY_PREFIX),
                policies.allow("s3:PutObject", [receipt, canary]),
                policies.allow("s3:GetObject", receipt), policies.allow("s3:ListBucket", receipts)]),
        # Makes a region the first leader: one item of the table.
        "migrate": FunctionSpec(
            function=names.migrate, role=names.migrate_role, handler="payments.migrate.handler", timeout=900,
            permissions=[policies.allow("dynamodb:PutItem", names.table_arn, policies.for_all(
                "StringEquals", policies.LEADING_KEYS, [RECORD_KEY]))]),
        "reconcile": FunctionSpec(
            function=names.reconcile, role=names.reconcile_role, handler="payments.reconcile.handler",
            timeout=REPAIR_MINUTES * 60, memory=1024, pays=True, permissions=[
                policies.allow([*records, "dynamodb:BatchGetItem", "dynamodb:Scan"], names.table_arn),
                policies.records_only(names, REPAIR_PREFIX),
                policies.allow(["s3:GetObject", "s3:GetObjectVersion"], receipt),
                policies.allow("s3:PutObject", [receipt, finding]),
                policies.allow(["s3:ListBucket", "s3:ListBucketVersions"], receipts)]),
    }


class LiveFunction(Component, type_name="LiveFunction"):
    """A function, its published version behind the alias `live`, its role and its log group.

    `more` are further arguments of the function.
    """

    def __init__(self, name: str, spec: FunctionSpec, *, names: Names, profile: Profile, key_arn: pulumi.Input[str],
                 code: pulumi.AssetArchive, variables: Mapping[str, pulumi.Input[str]], opts: pulumi.ResourceOptions,
                 **more: Any) -> None:
        super().__init__(name, opts)
        self.log_group = f"/aws/lambda/{spec.function}"
        logs = aws.cloudwatch.LogGroup(f"{name}-logs", name=self.log_group, kms_key_id=key_arn,
                                       retention_in_days=profile.log_retention_days, opts=self.opts())
        arn = names.arn("lambda", f"function:{spec.function}")
        trust = policies.trust("lambda", names.account, [arn, f"{arn}:*"])
        self.runs_as, grant = self.role("", spec.role, trust, "function",
                                         *spec.permissions, *self._runtime(names, spec, arn, key_arn))
        self.function = aws.lambda_.Function(
            f"{name}-function", name=spec.function, role=self.runs_as.arn, code=code, handler=spec.handler,
            runtime="python3.13", architectures=["arm64"], publish=True, memory_size=spec.memory,
            timeout=spec.timeout, kms_key_arn=key_arn, source_kms_key_arn=key_arn,
            reserved_concurrent_executions=spec.concurrency, environment={"variables": variables},
            tracing_config={"mode": "Active" if spec.traced else "PassThrough"},
            logging_config={"log_format": "Text", "log_group": logs.name},
            opts=self.opts(depends_on=[grant, logs]), **more)
        self.alias = aws.lambda_.Alias(f"{name}-alias", name=ALIAS, function_name=self.function.name,
                                       function_version=self.function.version, opts=self.opts())

    @staticmethod
    def _runtime(names: Names, spec: FunctionSpec, arn: str, key_arn: pulumi.Input[str]) -> list[policies.Statement]:
        """The permissions that every function of the stack needs to run: keys, logs and traces."""
        encrypted = [service for service in ("dynamodb", "s3", "sns") if any(
            action.startswith(f"{service}:") for statement in spec.permissions for action in statement["Action"])]
        return [
            policies.key_use(key_arn, [f"{service}.{names.region}" for service in (*encrypted, "logs")]),
            # Lambda decrypts the environment with the role's own permission, through no other service.
            policies.allow("kms:Decrypt", key_arn, {"StringLike": {
                "kms:EncryptionContext:aws:lambda:FunctionArn": [arn, f"{arn}:*"]}}),
            policies.allow(["logs:CreateLogStream", "logs:PutLogEvents"],
                           names.arn("logs", f"log-group:/aws/lambda/{spec.function}:*")),
            # X-Ray has no resources.
            *([policies.allow(["xray:PutTraceSegments", "xray:PutTelemetryRecords"], "*")] if spec.traced else []),
        ]


    def start_every(self, minutes: int, *, rule: str, what: str) -> None:
        """Start the function on a schedule; a start that fails is not repeated, since the next one follows.

        `rule` is the name of the rule, `what` says what starts the function does.
        """
        once = aws.lambda_.FunctionEventInvokeConfig(
            f"{self.name}-once", function_name=self.function.name, qualifier=self.alias.name, maximum_retry_attempts=0,
            maximum_event_age_in_seconds=minutes * 60, opts=self.opts())
        started = aws.cloudwatch.EventRule(
            f"{self.name}-rule", name=rule, description=f"Starts the {what}", opts=self.opts(),
            schedule_expression=f"rate({minutes} minute{'s' if minutes > 1 else ''})")
        allowed = aws.lambda_.Permission(
            f"{self.name}-invoke", action="lambda:InvokeFunction", function=self.function.name,
            qualifier=self.alias.name, principal="events.amazonaws.com", source_arn=started.arn, opts=self.opts())
        aws.cloudwatch.EventTarget(
            f"{self.name}-target", rule=started.name, arn=self.alias.arn, target_id=what,
            retry_policy={"maximum_retry_attempts": 0, "maximum_event_age_in_seconds": minutes * 60},
            opts=self.opts(depends_on=[once, allowed]))


class VpcFunction(LiveFunction, type_name="VpcFunction"):
    """A function in the VPC that knows where the database is, and may log in to it if it pays."""

    def __init__(self, name: str, spec: FunctionSpec, *, names: Names, profile: Profile, network: Network,
                 database: Database, key_arn: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
        login = pulumi.Output.concat(names.arn("rds-db", "dbuser:"), database.cluster.cluster_resource_id,
                                     f"/{DATABASE_USER}")
        permissions = [*spec.permissions, *([policies.allow("rds-db:connect", login)] if spec.pays else []),
                       *self._interfaces(names, spec.function)]
        super().__init__(
            name, replace(spec, permissions=permissions), names=names, profile=profile, key_arn=key_arn, opts=opts,
            code=package(CONTRACT, PAYMENTS, distributions=SHIPPED),
            variables={
                Variable.TABLE_NAME: names.table, Variable.RECEIPTS_BUCKET: names.receipts,
                Variable.DATABASE_HOST: database.cluster.endpoint,
                Variable.DATABASE_READER_HOST: database.cluster.reader_endpoint,
                Variable.DATABASE_PORT: database.cluster.port.apply(str), Variable.DATABASE_NAME: DATABASE_NAME,
                Variable.DATABASE_USER: DATABASE_USER},
            vpc_config={"subnet_ids": network.subnet_ids, "security_group_ids": [network.function_group.id]},
            # Lambda keeps its network interfaces for up to 40 minutes, and a destroy waits for them with the subnets.
            # The swap at least frees the security group.
            replace_security_groups_on_destroy=True,
            replacement_security_group_ids=[network.vpc.default_security_group_id])
        self.register_outputs({"alias_arn": self.alias.arn})

    @staticmethod
    def _interfaces(names: Names, function: str) -> list[policies.Statement]:
        """Lets Lambda itself manage network interfaces, and denies that to the function's own code."""
        return [
            # "Allow them on all resources", says AWS:
            # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
            policies.allow(["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets",
                            "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses",
                            "ec2:UnassignPrivateIpAddresses"], "*"),
            {"Effect": "Deny", "Action": "ec2:*", "Resource": "*", "Condition": {
                "ArnEquals": {"lambda:SourceFunctionArn": names.arn("lambda", f"function:{function}")}}},
        ]
