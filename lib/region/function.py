"""The payments function of one region."""
from pathlib import Path

import pulumi
import pulumi_aws as aws

from lib import policies
from lib.component import Component
from lib.names import Names
from lib.region.network import Network
from lib.settings import Profile

ALIAS = "live"
PACKAGE = Path(__file__).resolve().parents[2] / "payments"
MEMORY_MB = 512
TIMEOUT_SECONDS = 10


def package(folder: Path) -> pulumi.AssetArchive:
    """The deployment package: a Python package's sources and data, in a fixed order.

    Compiled files stay out: they differ from machine to machine, and each would be a change of the function.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return pulumi.AssetArchive({path.relative_to(folder.parent).as_posix(): pulumi.FileAsset(path) for path in files})


class PaymentsFunction(Component):
    """The function in the VPC, its published version behind the alias `live`, its role and its log group."""

    def __init__(self, name: str, *, names: Names, profile: Profile, concurrency: int, network: Network,
                 key_arn: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        logs = aws.cloudwatch.LogGroup(f"{name}-logs", name=names.function_logs, kms_key_id=key_arn,
                                       retention_in_days=profile.log_retention_days, opts=self.opts())
        self.role = aws.iam.Role(f"{name}-role", name=names.function_role,
                                 assume_role_policy=policies.trust("lambda"), opts=self.opts())
        grant = aws.iam.RolePolicy(f"{name}-policy", role=self.role.id, name="payments",
                                   policy=policies.document(*self._permissions(names, key_arn)), opts=self.opts())
        self.function = aws.lambda_.Function(
            f"{name}-function", name=names.function, role=self.role.arn, code=package(PACKAGE),
            handler="payments.handler.handler", runtime="python3.13", architectures=["arm64"], publish=True,
            memory_size=MEMORY_MB, timeout=TIMEOUT_SECONDS, kms_key_arn=key_arn, source_kms_key_arn=key_arn,
            reserved_concurrent_executions=concurrency,
            environment={"variables": {"TABLE_NAME": names.table, "RECEIPTS_BUCKET": names.receipts,
                                       "CONTROL_BUCKET": names.control}},
            vpc_config={"subnet_ids": network.subnet_ids, "security_group_ids": [network.function_group.id]},
            # Lambda keeps its network interfaces for up to 40 minutes, and a destroy waits for them with the subnets.
            # The swap at least frees the security group.
            replace_security_groups_on_destroy=True,
            replacement_security_group_ids=[network.vpc.default_security_group_id],
            tracing_config={"mode": "Active"},
            logging_config={"log_format": "Text", "log_group": logs.name},
            opts=self.opts(depends_on=[grant, logs]))
        self.alias = aws.lambda_.Alias(f"{name}-alias", name=ALIAS, function_name=self.function.name,
                                       function_version=self.function.version, opts=self.opts())
        self.register_outputs({"alias_arn": self.alias.arn})

    @staticmethod
    def _permissions(names: Names, key_arn: pulumi.Input[str]) -> list[policies.Statement]:
        receipts, control = (f"arn:aws:s3:::{bucket}" for bucket in (names.receipts, names.control))
        function = names.arn("lambda", f"function:{names.function}")
        interfaces = ["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses",
                      "ec2:UnassignPrivateIpAddresses"]
        return [
            policies.allow(["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], names.table_arn),
            policies.allow("s3:PutObject", f"{receipts}/receipts/*"),
            policies.allow("s3:GetObject", f"{control}/takeover"),
            policies.allow("s3:ListBucket", [receipts, control]),
            policies.key_use(key_arn, ["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey*", "kms:DescribeKey"],
                             [f"dynamodb.{names.region}", f"s3.{names.region}"]),
            # Lambda decrypts the environment with the role's own right, through no other service.
            policies.allow("kms:Decrypt", key_arn, {"StringLike": {
                "kms:EncryptionContext:aws:lambda:FunctionArn": [function, f"{function}:*"]}}),
            policies.allow(["logs:CreateLogStream", "logs:PutLogEvents"],
                           names.arn("logs", f"log-group:{names.function_logs}:*")),
            # X-Ray and DescribeNetworkInterfaces know no resources. The others are Lambda's own, before an
            # interface has an identifier; the function's code is denied them all.
            policies.allow(["xray:PutTraceSegments", "xray:PutTelemetryRecords", "ec2:DescribeNetworkInterfaces",
                            "ec2:DescribeSubnets"], "*"),
            policies.allow(interfaces, names.arn("ec2", "*/*")),
            {"Effect": "Deny", "Action": "ec2:*", "Resource": "*",
             "Condition": {"ArnEquals": {"lambda:SourceFunctionArn": function}}},
        ]
