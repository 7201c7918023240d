"""The customer key that encrypts everything in one region."""
from typing import Any

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
        shared: dict[str, Any] = {
            "description": f"TapStack {names.suffix}: everything at rest in {names.region}",
            "policy": key_policy(names), "deletion_window_in_days": profile.key_deletion_days,
            "opts": self.durable(retain=profile.retain)}
        self.key: aws.kms.Key | aws.kms.ReplicaKey = (
            aws.kms.Key(f"{name}-key", multi_region=True, enable_key_rotation=True, **shared) if replica_of is None else
            aws.kms.ReplicaKey(f"{name}-key", primary_key_arn=replica_of, **shared))
        self.arn: pulumi.Output[str] = self.key.arn
        aws.kms.Alias(f"{name}-alias", name=names.key_alias, target_key_id=self.key.key_id, opts=self.opts())
        self.register_outputs({"arn": self.arn})
