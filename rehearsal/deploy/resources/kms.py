"""KMS."""

from collections.abc import Mapping
from typing import Any

from rehearsal.deploy.resources.model import BotoCall, Listing, ResourceContext, ResourceType, Template


def _live_keys(context: ResourceContext, region: str) -> dict[str, Any]:
    """A key cannot be deleted, only be scheduled to go after some days: from then on it does not count."""
    client = context.client("kms", region)
    keys = [client.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
            for page in client.get_paginator("list_keys").paginate() for key in page["Keys"]]
    return {"Keys": [key["KeyId"] for key in keys if key["KeyState"] != "PendingDeletion"]}


_DELETE = BotoCall("schedule_key_deletion", {"KeyId": "id", "PendingWindowInDays": "in.deletionWindowInDays"})

RESOURCE_TYPES: Mapping[str, ResourceType] = {
    "aws:kms/key:Key": ResourceType(
        service="kms", create=BotoCall("create_key"),
        id="out.KeyMetadata.KeyId",
        then=(BotoCall("enable_key_rotation", {"KeyId": "id"}, when="in.enableKeyRotation"),),
        outputs={"keyId": "id", "arn": "out.KeyMetadata.Arn"},
        listed=(Listing(_live_keys, "Keys"),), delete=(_DELETE,)),
    # Asked of the region that holds the primary key.
    "aws:kms/replicaKey:ReplicaKey": ResourceType(
        service="kms",
        create=BotoCall("replicate_key", {"KeyId": "in.primaryKeyArn", "ReplicaRegion": "region"},
                    region="split(in.primaryKeyArn, ':')[3]"), id="out.ReplicaKeyMetadata.KeyId",
        outputs={"keyId": "id", "arn": "out.ReplicaKeyMetadata.Arn"},
        delete=(_DELETE,)),
    "aws:kms/alias:Alias": ResourceType(
        service="kms", create=BotoCall("create_alias"), renames={"name": "AliasName"}, named="name", id="in.name",
        outputs={"arn": Template("arn:aws:kms:{region}:{account}:{id}")},
        listed=(Listing("list_aliases", "Aliases[].AliasName"),), delete=(BotoCall("delete_alias", {"AliasName": "id"}),)),
}
