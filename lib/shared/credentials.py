"""The database's master login, stored where both regions can read it."""
import pulumi
import pulumi_aws as aws

from contract import DATABASE_NAME
from lib.component import Component
from lib.region.database import ENGINE, Writer
from lib.region.region import Region
from lib.settings import Profile


class Credentials(Component, type_name="Credentials"):
    """A secret in one region and its replica in the other, each under its own region's key.

    It names no host: after a failover that would be the wrong one.
    """

    def __init__(self, name: str, *, profile: Profile, writer: Writer, primary: Region, standby: Region,
                 opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        self.secret = aws.secretsmanager.Secret(
            f"{name}-secret", name=primary.names.secret, description="Master login of the payments database",
            kms_key_id=primary.key.arn, replicas=[{"region": standby.names.region, "kms_key_id": standby.key.arn}],
            force_overwrite_replica_secret=True, recovery_window_in_days=profile.secret_recovery_days,
            opts=self.durable())
        aws.secretsmanager.SecretVersion(
            f"{name}-login", secret_id=self.secret.id,
            # `make rotate-password` puts a newer one, which stays. AWS may delete a version without a label, and the
            # next update would create it again, with the first password as the current one: so it has one of its own.
            version_stages=["AWSCURRENT", "AsDeployed"],
            opts=self.opts(delete_before_replace=False, ignore_changes=["secret_string", "version_stages"]),
            secret_string=pulumi.Output.json_dumps({"engine": ENGINE.value, "dbname": DATABASE_NAME,
                                                    "username": writer.username, "password": writer.password}))
        self.register_outputs({"arn": self.secret.arn})
