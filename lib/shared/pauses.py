"""The AWS FIS experiment, and its role, by which a drill pauses the copies that leave a region."""
import pulumi
import pulumi_aws as aws

from contract import RECEIPTS_PREFIX
from lib import policies
from lib.component import Component
from lib.region.bucket import PAUSABLE
from lib.region.region import Region

LONGEST = "PT1H"
"""How long a pause lasts at most, even if the drill has been killed."""


class Pauses(Component, type_name="Pauses"):
    """A template of an experiment: the table and the receipts are not copied from `source` to `destination` any more.

    The table is named by its ARN. AWS finds buckets by their tags only, so the receipts' has one of its own.

    https://docs.aws.amazon.com/fis/latest/userguide/fis-actions-reference.html
    """

    def __init__(self, name: str, *, source: Region, destination: Region, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        names, receipts = source.names, source.receipts.arn
        trust = policies.trust("fis", names.account, names.arn("fis", "experiment/*"))
        role, grant = self.role(
            "", names.pauses_role, trust, "pause",
            # It refuses DynamoDB's replication in policies of the table and of its stream.
            policies.allow(["dynamodb:DescribeTable", "dynamodb:GetResourcePolicy", "dynamodb:PutResourcePolicy",
                            "dynamodb:DeleteResourcePolicy"],
                           [names.table_arn, f"{names.table_arn}/stream/*"]),
            policies.allow("s3:PauseReplication", receipts, {
                "StringEquals": {"s3:DestinationRegion": destination.names.region}}),
            # https://docs.aws.amazon.com/fis/latest/userguide/security_iam_id-based-policy-examples.html
            policies.allow(["s3:GetReplicationConfiguration", "s3:PutReplicationConfiguration"], receipts, {
                "BoolIfExists": {"s3:isReplicationPauseRequest": "true"}}),
            policies.allow(["s3:ListAllMyBuckets", "tag:GetResources"], "*"))
        self.template = aws.fis.ExperimentTemplate(
            f"{name}-template", description=f"Pause the copies from {names.region} to {destination.names.region}",
            role_arn=role.arn, stop_conditions=[{"source": "none"}],
            experiment_options={"account_targeting": "single-account", "empty_target_resolution_mode": "fail"},
            targets=[
                {"name": "table", "resource_type": "aws:dynamodb:global-table", "selection_mode": "ALL",
                 "resource_arns": [names.table_arn]},
                {"name": "receipts", "resource_type": "aws:s3:bucket", "selection_mode": "ALL",
                 "resource_tags": [{"key": PAUSABLE, "value": names.receipts}]}],
            actions=[
                {"name": "table", "action_id": "aws:dynamodb:global-table-pause-replication",
                 "parameters": [{"key": "duration", "value": LONGEST}],
                 "target": {"key": "Tables", "value": "table"}},
                {"name": "receipts", "action_id": "aws:s3:bucket-pause-replication",
                 "parameters": [{"key": "duration", "value": LONGEST},
                                {"key": "region", "value": destination.names.region},
                                {"key": "destinationBuckets", "value": destination.names.receipts},
                                {"key": "prefixes", "value": RECEIPTS_PREFIX}],
                 "target": {"key": "Buckets", "value": "receipts"}}],
            opts=self.opts(depends_on=[grant]))
        self.register_outputs({"template_id": self.template.id})
