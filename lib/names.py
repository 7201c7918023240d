"""Physical names: one catalogue, each bounded by its service's limit.

A name carries the environment suffix, the region where its name space is global, and no word for a role:
after a failover `primary` would be a lie in it.
"""
from dataclasses import dataclass

LONGEST_REGION = "ap-northeast-1"


@dataclass(frozen=True)
class Physical:
    """A name's template, the longest that its service takes (characters), and what it names."""

    template: str
    limit: int
    what: str

    def __get__(self, names: "Names | None", _owner: type) -> str:
        return self.template if names is None else self.template.format(**vars(names))


@dataclass(frozen=True)
class Names:
    """The names of one region: suffix, region (`us-east-1`) and account (12 digits) put into the catalogue."""

    suffix: str
    region: str
    account: str

    # the same in both regions
    table = Physical("payment-transactions-{suffix}", 255, "DynamoDB table")
    global_cluster = Physical("tapstack-{suffix}", 63, "Aurora global cluster")
    secret = Physical("tapstack/{suffix}/database", 512, "secret")
    key_alias = Physical("alias/tapstack-{suffix}", 256, "KMS alias")
    network = Physical("tapstack-{suffix}", 255, "VPC")
    function_group = Physical("tapstack-function-{suffix}", 255, "security group")
    database_group = Physical("tapstack-database-{suffix}", 255, "security group")
    function = Physical("tapstack-payments-{suffix}", 64, "Lambda function")
    migrate = Physical("tapstack-migrate-{suffix}", 64, "Lambda function")
    reconcile = Physical("tapstack-reconcile-{suffix}", 64, "Lambda function")
    controller = Physical("tapstack-controller-{suffix}", 64, "Lambda function")
    watch_rule = Physical("tapstack-watch-{suffix}", 64, "EventBridge rule")
    api = Physical("tapstack-payments-{suffix}", 255, "REST API")
    topic = Physical("tapstack-alarms-{suffix}", 256, "SNS topic")
    alarm = Physical("tapstack-{suffix}", 180, "CloudWatch alarm")
    vault = Physical("tapstack-{suffix}", 50, "backup vault")
    backup_plan = Physical("tapstack-{suffix}", 50, "backup plan")
    flow_logs = Physical("/tapstack/{suffix}/vpc-flow", 512, "log group")
    api_logs = Physical("/tapstack/{suffix}/api-access", 512, "log group")
    # regional name spaces whose names are shown beside one another
    cluster = Physical("tapstack-{suffix}-{region}", 55, "Aurora cluster")
    subnet_group = Physical("tapstack-{suffix}-{region}", 255, "database subnet group")
    parameter_group = Physical("tapstack-{suffix}-{region}", 252, "cluster parameter group")
    database_logs = Physical("/aws/rds/cluster/tapstack-{suffix}-{region}/postgresql", 512, "log group")
    dashboard = Physical("tapstack-{suffix}-{region}", 255, "dashboard")
    # global name spaces
    receipts = Physical("tapstack-receipts-{suffix}-{region}-{account}", 63, "S3 bucket")
    control = Physical("tapstack-control-{suffix}-{region}-{account}", 63, "S3 bucket")
    function_role = Physical("tapstack-payments-{suffix}-{region}", 64, "IAM role")
    migrate_role = Physical("tapstack-migrate-{suffix}-{region}", 64, "IAM role")
    reconcile_role = Physical("tapstack-reconcile-{suffix}-{region}", 64, "IAM role")
    controller_role = Physical("tapstack-controller-{suffix}-{region}", 64, "IAM role")
    flow_logs_role = Physical("tapstack-flow-logs-{suffix}-{region}", 64, "IAM role")
    api_logs_role = Physical("tapstack-api-logs-{suffix}-{region}", 64, "IAM role")
    replication_role = Physical("tapstack-replication-{suffix}-{region}", 64, "IAM role")
    backup_role = Physical("tapstack-backup-{suffix}-{region}", 64, "IAM role")

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource in this region and account: `arn("lambda", "function:x")`."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    @property
    def table_arn(self) -> str:
        """The ARN of this region's replica of the table."""
        return self.arn("dynamodb", f"table/{self.table}")


CATALOGUE: dict[str, Physical] = {key: value for key, value in vars(Names).items() if isinstance(value, Physical)}


def _room(name: Physical) -> int:
    """How many characters of suffix the name leaves room for, in the region with the longest name."""
    return name.limit - len(name.template.format(suffix="", region=LONGEST_REGION, account="0" * 12))


_TIGHTEST = min(CATALOGUE.values(), key=_room)
MAX_SUFFIX: int = _room(_TIGHTEST)
SUFFIX_LIMITED_BY: str = f"the {_TIGHTEST.what} {_TIGHTEST.template}, at most {_TIGHTEST.limit} characters"
