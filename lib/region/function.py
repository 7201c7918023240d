"""The functions of one region, each behind the alias `live`. Those in the VPC are one package with several entries."""
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import files
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws

from lib import policies
from lib.component import Component
from lib.names import Names
from lib.region.database import DATABASE, Database
from lib.region.network import Network
from lib.settings import Profile

ALIAS = "live"
ROOT = Path(__file__).resolve().parents[2]
CONTRACT = ROOT / "contract.py"
PAYMENTS = ROOT / "payments"
AUTHORITIES = PAYMENTS / "rds-ca.pem"
# Pure Python, so that what is installed here runs there: the driver, and what it imports.
SHIPPED = ("pg8000", "scramp", "asn1crypto", "python-dateutil", "six")
DATABASE_USER = "payments_app"


def package(*sources: Path, distributions: Sequence[str] = (), pattern: str = "*") -> pulumi.AssetArchive:
    """A deployment package: modules, the files of Python packages that match a pattern, and distributions' sources.

    Compiled files stay out: they differ from machine to machine, and each would be a change of the function.
    """
    found = {path.relative_to(source.parent).as_posix(): path for source in sources
             for path in ([source] if source.is_file() else source.rglob(pattern))}
    for distribution in distributions:
        # Some ask for their own version when they are imported, which METADATA tells.
        found |= {str(file): Path(str(file.locate())) for file in files(distribution) or ()
                  if file.suffix == ".py" or file.name == "METADATA"}
    return pulumi.AssetArchive({name: pulumi.FileAsset(path) for name, path in sorted(found.items())
                                if path.is_file() and "__pycache__" not in path.parts})


def require_authorities(bundle: Path, *regions: str) -> None:
    """RunError unless the bundle that is shipped trusts RDS in each region: no function could reach the database."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(bundle)
    trusted = str(context.get_ca_certs())
    for region in regions:
        if f"Amazon RDS {region} Root CA" not in trusted:
            raise pulumi.RunError(
                f"region {region!r}: {bundle.name} has no authority of RDS there: run `make authorities`")


def payments_permissions(names: Names) -> list[policies.Statement]:
    """What taking and finding payments needs of the stores."""
    receipts, control = (f"arn:aws:s3:::{bucket}" for bucket in (names.receipts, names.control))
    return [
        policies.allow(["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], names.table_arn),
        policies.allow("s3:PutObject", f"{receipts}/receipts/*"),
        policies.allow("s3:GetObject", f"{control}/takeover"),
        policies.allow("s3:ListBucket", [receipts, control]),
    ]


def migrate_permissions(names: Names) -> list[policies.Statement]:
    """The first right to write is an item of the table."""
    return [policies.allow("dynamodb:PutItem", names.table_arn,
                           {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["!right"]}})]


def reconcile_permissions(names: Names) -> list[policies.Statement]:
    """Reading every store, and replaying into one what another kept."""
    receipts = f"arn:aws:s3:::{names.receipts}"
    return [
        policies.allow(["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:Scan"],
                       names.table_arn),
        policies.allow(["s3:GetObject", "s3:PutObject"], f"{receipts}/receipts/*"),
        policies.allow(["s3:ListBucket", "s3:ListBucketVersions"], receipts),
    ]


@dataclass(frozen=True, kw_only=True)
class FunctionSpec:
    """A way into a package: the names of its function and role, what it may do, its limits in seconds and MB.

    `through` are the services that use the region's key for it.
    """

    function: str
    role: str
    handler: str
    permissions: Sequence[policies.Statement]
    timeout: int
    memory: int = 512
    concurrency: int = -1
    through: Sequence[str] = ("dynamodb", "s3")


def function_specs(names: Names, concurrency: int) -> dict[str, FunctionSpec]:
    """The functions in the VPC by what they are for; `concurrency` is that of the one that takes payments."""
    return {
        "payments": FunctionSpec(function=names.function, role=names.function_role, handler="payments.handler.handler",
                          permissions=payments_permissions(names), timeout=10, concurrency=concurrency),
        "migrate": FunctionSpec(function=names.migrate, role=names.migrate_role, handler="payments.migrate.handler",
                         permissions=migrate_permissions(names), timeout=120),
        "reconcile": FunctionSpec(function=names.reconcile, role=names.reconcile_role, handler="payments.reconcile.handler",
                           permissions=reconcile_permissions(names), timeout=900, memory=1024),
    }


class LiveFunction(Component, type_name="LiveFunction"):
    """A function, its published version behind the alias `live`, its role and its log group.

    What it does not settle is in the keyword arguments `settings`, which go to the function as they are.
    """

    def __init__(self, name: str, entry: FunctionSpec, *, names: Names, profile: Profile, key_arn: pulumi.Input[str],
                 code: pulumi.AssetArchive, variables: Mapping[str, pulumi.Input[str]], opts: pulumi.ResourceOptions,
                 **settings: Any) -> None:
        super().__init__(name, opts)
        self.log_group = f"/aws/lambda/{entry.function}"
        logs = aws.cloudwatch.LogGroup(f"{name}-logs", name=self.log_group, kms_key_id=key_arn,
                                       retention_in_days=profile.log_retention_days, opts=self.opts())
        self.role = aws.iam.Role(f"{name}-role", name=entry.role, assume_role_policy=policies.trust("lambda"),
                                 opts=self.opts())
        grant = aws.iam.RolePolicy(
            f"{name}-policy", role=self.role.id, name="function", opts=self.opts(), policy=policies.document(
                *entry.permissions, *self._runtime(names, entry, self.log_group, key_arn)))
        self.function = aws.lambda_.Function(
            f"{name}-function", name=entry.function, role=self.role.arn, code=code, handler=entry.handler,
            runtime="python3.13", architectures=["arm64"], publish=True, memory_size=entry.memory,
            timeout=entry.timeout, kms_key_arn=key_arn, source_kms_key_arn=key_arn,
            reserved_concurrent_executions=entry.concurrency, environment={"variables": variables},
            tracing_config={"mode": "Active"}, logging_config={"log_format": "Text", "log_group": logs.name},
            opts=self.opts(depends_on=[grant, logs]), **settings)
        self.alias = aws.lambda_.Alias(f"{name}-alias", name=ALIAS, function_name=self.function.name,
                                       function_version=self.function.version, opts=self.opts())

    @staticmethod
    def _runtime(names: Names, entry: FunctionSpec, log_group: str, key_arn: pulumi.Input[str]) -> list[policies.Statement]:
        """What any function of the stack needs to run: keys, logs and traces."""
        arn = names.arn("lambda", f"function:{entry.function}")
        return [
            policies.key_use(key_arn, ["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey*", "kms:DescribeKey"],
                             [f"{service}.{names.region}" for service in entry.through]),
            # Lambda decrypts the environment with the role's own right, through no other service.
            policies.allow("kms:Decrypt", key_arn, {"StringLike": {
                "kms:EncryptionContext:aws:lambda:FunctionArn": [arn, f"{arn}:*"]}}),
            policies.allow(["logs:CreateLogStream", "logs:PutLogEvents"],
                           names.arn("logs", f"log-group:{log_group}:*")),
            # X-Ray knows no resources.
            policies.allow(["xray:PutTraceSegments", "xray:PutTelemetryRecords"], "*"),
        ]


class VpcFunction(LiveFunction, type_name="VpcFunction"):
    """A function in the VPC that is told where the database is, and may log in to it."""

    def __init__(self, name: str, entry: FunctionSpec, *, names: Names, profile: Profile, network: Network,
                 database: Database, key_arn: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
        login = pulumi.Output.concat(names.arn("rds-db", "dbuser:"), database.cluster.cluster_resource_id,
                                     f"/{DATABASE_USER}")
        permissions = [*entry.permissions, policies.allow("rds-db:connect", login),
                       *self._interfaces(names, entry.function)]
        super().__init__(
            name, replace(entry, permissions=permissions), names=names, profile=profile, key_arn=key_arn, opts=opts,
            code=package(CONTRACT, PAYMENTS, distributions=SHIPPED),
            variables={
                "TABLE_NAME": names.table, "RECEIPTS_BUCKET": names.receipts, "CONTROL_BUCKET": names.control,
                "DATABASE_HOST": database.cluster.endpoint, "DATABASE_READER_HOST": database.cluster.reader_endpoint,
                "DATABASE_PORT": database.cluster.port.apply(str), "DATABASE_NAME": DATABASE,
                "DATABASE_USER": DATABASE_USER},
            vpc_config={"subnet_ids": network.subnet_ids, "security_group_ids": [network.function_group.id]},
            # Lambda keeps its network interfaces for up to 40 minutes, and a destroy waits for them with the subnets.
            # The swap at least frees the security group.
            replace_security_groups_on_destroy=True,
            replacement_security_group_ids=[network.vpc.default_security_group_id])
        self.register_outputs({"alias_arn": self.alias.arn})

    @staticmethod
    def _interfaces(names: Names, function: str) -> list[policies.Statement]:
        """Network interfaces for Lambda itself; the function's own code is denied them all."""
        return [
            # The first two know no resources; of the others an interface has no identifier yet.
            policies.allow(["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"], "*"),
            policies.allow(["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
                            "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"], names.arn("ec2", "*/*")),
            {"Effect": "Deny", "Action": "ec2:*", "Resource": "*", "Condition": {
                "ArnEquals": {"lambda:SourceFunctionArn": names.arn("lambda", f"function:{function}")}}},
        ]
