"""The table that decides whether a payment exists, in both regions."""
import pulumi
import pulumi_aws as aws

from contract import KEY_ATTRIBUTE, Consistency
from lib.component import Component
from lib.region.region import Region
from lib.settings import Settings


class PaymentsTable(Component, type_name="PaymentsTable"):
    """A DynamoDB global table: a customer key and point-in-time recovery in each replica from the start.

    Changing either later would replace the replica. `strong` adds the witness, a third region that breaks the tie and
    cannot be read; with it an acknowledged write survives the loss of any one region.
    """

    def __init__(self, name: str, *, settings: Settings, primary: Region, standby: Region,
                 opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        profile, strong = settings.profile, settings.table.consistency is Consistency.STRONG
        self.table = aws.dynamodb.Table(
            f"{name}-table", name=primary.names.table, billing_mode="PAY_PER_REQUEST", hash_key=KEY_ATTRIBUTE,
            attributes=[{"name": KEY_ATTRIBUTE, "type": "S"}],
            stream_enabled=True, stream_view_type="NEW_AND_OLD_IMAGES",
            server_side_encryption={"enabled": True, "kms_key_arn": primary.key.arn},
            point_in_time_recovery={"enabled": True}, deletion_protection_enabled=profile.protect,
            replicas=[{"region_name": standby.names.region, "kms_key_arn": standby.key.arn,
                       "point_in_time_recovery": True, "propagate_tags": True,
                       "deletion_protection_enabled": profile.protect,
                       "consistency_mode": "STRONG" if strong else "EVENTUAL"}],
            global_table_witness={"region_name": str(settings.table.witness_region)} if strong else None,
            opts=self.durable())
        self.register_outputs({"arn": self.table.arn})
