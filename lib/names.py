"""Physical names: one catalogue, each bounded by its service's limit.

A name has the environment suffix, the region if its name space is global, and no word for a role: after a failover
`primary` in it would be wrong.
"""
from dataclasses import dataclass

from contract import CONTROL_BUCKET

LONGEST_REGION = "ap-northeast-1"


@dataclass(frozen=True)
class PhysicalName:
    """A name's template, the longest that its service takes (characters), and what it names."""

    template: str
    limit: int
    what: str

    def __get__(self, names: "Names | None", _owner: type) -> str:
        return self.template if names is None else self.template.format(**vars(names))


@dataclass(frozen=True)
class Names:
    """The names of one region: the templates filled with suffix, region (`us-east-1`) and account (12 digits)."""

    suffix: str
    region: str
    account: str

    # the same in both regions
    table = PhysicalName("payment-transactions-{suffix}", 255, "DynamoDB table")
    global_cluster = PhysicalName("tapstack-{suffix}", 63, "Aurora global cluster")
    secret = PhysicalName("tapstack/{suffix}/database", 512, "secret")
    key_alias = PhysicalName("alias/tapstack-{suffix}", 256, "KMS alias")
    network = PhysicalName("tapstack-{suffix}", 255, "VPC")
    function_group = PhysicalName("tapstack-function-{suffix}", 255, "security group")
    database_group = PhysicalName("tapstack-database-{suffix}", 255, "security group")
    function = PhysicalName("tapstack-payments-{suffix}", 64, "Lambda function")
    migrate = PhysicalName("tapstack-migrate-{suffix}", 64, "Lambda function")
    reconcile = PhysicalName("tapstack-reconcile-{suffix}", 64, "Lambda function")
    controller = PhysicalName("tapstack-controller-{suffix}", 64, "Lambda function")
    watch_rule = PhysicalName("tapstack-watch-{suffix}", 64, "EventBridge rule")
    repair_rule = PhysicalName("tapstack-repair-{suffix}", 64, "EventBridge rule")
    api = PhysicalName("tapstack-payments-{suffix}", 255, "REST API")
    untraced = PhysicalName("tap-{suffix}", 23, "X-Ray sampling rule, before -takeover")
    topic = PhysicalName("tapstack-alarms-{suffix}", 256, "SNS topic")
    alarm = PhysicalName("tapstack-{suffix}", 180, "CloudWatch alarm")
    database_events = PhysicalName("tapstack-database-{suffix}", 64, "EventBridge rule")
    vault = PhysicalName("tapstack-{suffix}", 50, "backup vault")
    backup_plan = PhysicalName("tapstack-{suffix}", 50, "backup plan")
    flow_logs = PhysicalName("/tapstack/{suffix}/vpc-flow", 512, "log group")
    firewall_logs = PhysicalName("aws-waf-logs-tapstack-{suffix}", 512, "log group")
    api_logs = PhysicalName("/tapstack/{suffix}/api-access", 512, "log group")
    # regional name spaces, but the names of both regions are shown together
    cluster = PhysicalName("tapstack-{suffix}-{region}", 55, "Aurora cluster")
    subnet_group = PhysicalName("tapstack-{suffix}-{region}", 255, "database subnet group")
    parameter_group = PhysicalName("tapstack-{suffix}-{region}", 252, "cluster parameter group")
    database_logs = PhysicalName("/aws/rds/cluster/tapstack-{suffix}-{region}/postgresql", 512, "log group")
    dashboard = PhysicalName("tapstack-{suffix}-{region}", 255, "dashboard")
    # global name spaces
    receipts = PhysicalName("tapstack-receipts-{suffix}-{region}-{account}", 63, "S3 bucket")
    control = PhysicalName(CONTROL_BUCKET, 63, "S3 bucket")
    logs = PhysicalName("tapstack-logs-{suffix}-{region}-{account}", 63, "S3 bucket")
    function_role = PhysicalName("tapstack-payments-{suffix}-{region}", 64, "IAM role")
    migrate_role = PhysicalName("tapstack-migrate-{suffix}-{region}", 64, "IAM role")
    reconcile_role = PhysicalName("tapstack-reconcile-{suffix}-{region}", 64, "IAM role")
    controller_role = PhysicalName("tapstack-controller-{suffix}-{region}", 64, "IAM role")
    flow_logs_role = PhysicalName("tapstack-flow-logs-{suffix}-{region}", 64, "IAM role")
    lever_role = PhysicalName("tapstack-lever-{suffix}-{region}", 64, "IAM role")
    api_logs_role = PhysicalName("tapstack-api-logs-{suffix}-{region}", 64, "IAM role")
    replication_role = PhysicalName("tapstack-replication-{suffix}-{region}", 64, "IAM role")
    pauses_role = PhysicalName("tapstack-pauses-{suffix}-{region}", 64, "IAM role")
    backup_role = PhysicalName("tapstack-backup-{suffix}-{region}", 64, "IAM role")

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource in this region and account: `arn("lambda", "function:x")`."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def role_arn(self, role: str) -> str:
        """The ARN of a role of this account."""
        return f"arn:aws:iam::{self.account}:role/{role}"

    @property
    def alarms_arn(self) -> str:
        """The pattern of this region's alarm ARNs."""
        return self.arn("cloudwatch", f"alarm:{self.alarm}-*")

    @property
    def table_arn(self) -> str:
        """The ARN of this region's replica of the table."""
        return self.arn("dynamodb", f"table/{self.table}")


CATALOGUE: dict[str, PhysicalName] = {
    key: value for key, value in vars(Names).items() if isinstance(value, PhysicalName)}


def _room(name: PhysicalName) -> int:
    """How many characters the name leaves for the suffix in the region with the longest name."""
    return name.limit - len(name.template.format(suffix="", region=LONGEST_REGION, account="0" * 12))


_TIGHTEST = min(CATALOGUE.values(), key=_room)
MAX_SUFFIX: int = _room(_TIGHTEST)
SUFFIX_LIMITED_BY: str = f"the {_TIGHTEST.what} {_TIGHTEST.template}, at most {_TIGHTEST.limit} characters"
