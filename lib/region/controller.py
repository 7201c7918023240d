"""The function that watches the other region and fails over to its own: started every minute, outside the VPC.

The VPC has no route to what it calls (RDS, Lambda, CloudWatch, SNS). All of that is in its own region; in the other one
it calls the public API, and the payments function, which says whether it can pay.
"""
import pulumi

from contract import (
    ALIAS,
    CHECK_PATH_KEY,
    COOL_DOWN_SECONDS,
    LEVER_KEY,
    METRICS_NAMESPACE,
    OBSERVATION_PREFIX,
    PAUSE_KEY,
    RECORD_KEY,
    WATCH_SECONDS,
    Variable,
)
from lib import policies
from lib.names import Names
from lib.region.function import CONTRACT, PAYMENTS, ROOT, FunctionSpec, LiveFunction, package
from lib.region.region import Region
from lib.settings import Settings

RECOVERY = ROOT / "recovery"
SHIPPED = ("dnspython",)


def permissions(names: Names, peer: Names) -> list[policies.Statement]:
    """What a controller needs to watch `peer`, the region that may be lost, and to fail over to that of `names`."""
    control = f"arn:aws:s3:::{names.control}"
    everywhere = f"arn:aws:rds::{names.account}:global-cluster:{names.global_cluster}"
    own, other = (each.arn("rds", f"cluster:{each.cluster}") for each in (names, peer))
    payments, others, repair = (each.arn("lambda", f"function:{function}:{ALIAS}") for each, function in (
        (names, names.function), (peer, peer.function), (names, names.reconcile)))
    watch = f"{OBSERVATION_PREFIX}{names.region}"
    return [
        policies.allow("dynamodb:GetItem", names.table_arn, policies.for_all(
            "StringEquals", policies.LEADING_KEYS, [RECORD_KEY, PAUSE_KEY, watch])),
        policies.allow("dynamodb:PutItem", names.table_arn, policies.for_all(
            "StringEquals", policies.LEADING_KEYS, [RECORD_KEY, watch])),
        # AWS demands permission for each cluster that the call concerns; the call goes to this region alone.
        policies.allow("rds:FailoverGlobalCluster", [everywhere, own, other]),
        policies.allow("rds:DescribeGlobalClusters", everywhere),
        policies.allow("rds:DescribeDBClusters", own),
        # Listing a cluster's instances means describing all and filtering.
        policies.allow("rds:DescribeDBInstances", names.arn("rds", "db:*")),
        policies.allow(["s3:PutObject", "s3:DeleteObject"], f"{control}/{LEVER_KEY}"),
        policies.allow("s3:GetObject", [f"{control}/{LEVER_KEY}", f"{control}/{CHECK_PATH_KEY}"]),
        policies.allow("s3:ListBucket", control),
        policies.allow("lambda:InvokeFunction", [payments, others, repair]),
        policies.allow("iam:SimulatePrincipalPolicy", names.role_arn(names.controller_role)),
        policies.allow("sns:Publish", names.arn("sns", names.topic)),
        # These two actions of CloudWatch have no resources.
        policies.allow("cloudwatch:PutMetricData", "*", {"StringEquals": {"cloudwatch:namespace": METRICS_NAMESPACE}}),
        policies.allow("cloudwatch:GetMetricStatistics", "*"),
    ]


class ControllerFunction(LiveFunction, type_name="Controller"):
    """A region's controller and the rule that starts it: a child of its region, created after both regions.

    `description` is all that it knows of the stack, as JSON. A start that fails is not repeated: the next one follows
    within a minute.
    """

    def __init__(self, region: Region, *, peer: Names, settings: Settings, description: pulumi.Input[str]) -> None:
        name, names, checks = f"{region.name}-controller", region.names, settings.health_check
        spec = FunctionSpec(
            function=names.controller, role=names.controller_role, handler="recovery.controller.handler",
            permissions=permissions(names, peer), timeout=900, memory=192, traced=False)
        super().__init__(
            name, spec, names=names, profile=settings.profile, key_arn=region.key.arn,
            code=package(CONTRACT, PAYMENTS, RECOVERY, distributions=SHIPPED, pattern="*.py"),
            variables={Variable.STACK_OUTPUTS: description, Variable.ROLE_ARN: names.role_arn(names.controller_role),
                       Variable.PROBE_SECONDS: str(checks.look), Variable.WATCH_SECONDS: str(WATCH_SECONDS),
                       Variable.COOL_DOWN_SECONDS: str(COOL_DOWN_SECONDS),
                       Variable.DETECTION_SECONDS: str(checks.interval * checks.threshold)},
            opts=pulumi.ResourceOptions(parent=region))
        self.start_every(WATCH_SECONDS // 60, rule=names.watch_rule, what="controller")
        self.register_outputs({"alias_arn": self.alias.arn})
