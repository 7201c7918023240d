"""KMS."""

from collections.abc import Mapping
from typing import Any

from rehearsal.kinds.model import Call, Context, Kind, Listing, Text


def _live_keys(context: Context, region: str) -> dict[str, Any]:
    """A key cannot be deleted, only be scheduled to go after some days: from then on it does not count."""
    client = context.client("kms", region)
    keys = [client.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
            for page in client.get_paginator("list_keys").paginate() for key in page["Keys"]]
    return {"Keys": [key["KeyId"] for key in keys if key["KeyState"] != "PendingDeletion"]}


_DELETE = Call("schedule_key_deletion", {"KeyId": "id", "PendingWindowInDays": "in.deletionWindowInDays"})

KINDS: Mapping[str, Kind] = {
    "aws:kms/key:Key": Kind(
        service="kms", create=Call("create_key"),
        id="out.KeyMetadata.KeyId",
        then=(Call("enable_key_rotation", {"KeyId": "id"}, when="in.enableKeyRotation"),),
        outputs={"keyId": "id", "arn": "out.KeyMetadata.Arn"},
        listed=(Listing(_live_keys, "Keys"),), delete=(_DELETE,)),
    # Asked of the region that holds the primary key.
    "aws:kms/replicaKey:ReplicaKey": Kind(
        service="kms",
        create=Call("replicate_key", {"KeyId": "in.primaryKeyArn", "ReplicaRegion": "region"},
                    region="split(in.primaryKeyArn, ':')[3]"), id="out.ReplicaKeyMetadata.KeyId",
        outputs={"keyId": "id", "arn": "out.ReplicaKeyMetadata.Arn"},
        delete=(_DELETE,)),
    "aws:kms/alias:Alias": Kind(
        service="kms", create=Call("create_alias"), renames={"name": "AliasName"}, named="name", id="in.name",
        outputs={"arn": Text("arn:aws:kms:{region}:{account}:{id}")},
        listed=(Listing("list_aliases", "Aliases[].AliasName"),), delete=(Call("delete_alias", {"AliasName": "id"}),)),
}
