"""The customer key that encrypts everything in one region."""
import pulumi
import pulumi_aws as aws

from lib.component import Component
from lib.keys import key_policy
from lib.names import Names
from lib.settings import Profile


class Encryption(Component, type_name="Encryption"):
    """One key and its alias: a multi-region key with rotation, or its replica when `replica_of` is given.

    The two share key material, so what one region encrypted the other can decrypt while the first is gone. A replica
    takes its rotation from the key that it replicates.
    """

    def __init__(self, name: str, *, names: Names, profile: Profile, replica_of: pulumi.Input[str] | None,
                 opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        description = f"TapStack {names.suffix}: everything at rest in {names.region}"
        policy = key_policy(names)
        if replica_of is None:
            self.key: aws.kms.Key | aws.kms.ReplicaKey = aws.kms.Key(
                f"{name}-key", description=description, policy=policy, multi_region=True, enable_key_rotation=True,
                deletion_window_in_days=profile.key_deletion_days, opts=self.durable(retain=profile.retain))
        else:
            self.key = aws.kms.ReplicaKey(
                f"{name}-key", description=description, policy=policy, primary_key_arn=replica_of,
                deletion_window_in_days=profile.key_deletion_days, opts=self.durable(retain=profile.retain))
        self.arn: pulumi.Output[str] = self.key.arn
        aws.kms.Alias(f"{name}-alias", name=names.key_alias, target_key_id=self.key.key_id, opts=self.opts())
        self.register_outputs({"arn": self.arn})
