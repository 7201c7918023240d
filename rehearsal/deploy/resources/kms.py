"""KMS."""

from typing import Any

from rehearsal.aws.clients import EmulatorClients
from rehearsal.deploy.resources.model import BotoCall, ResourceType, Template


def _live_keys(clients: EmulatorClients, region: str) -> dict[str, Any]:
    """The keys that are not scheduled for deletion, which is as deleted as a key can be."""
    client = clients("kms", region)
    keys = [client.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
            for page in client.get_paginator("list_keys").paginate() for key in page["Keys"]]
    return {"Keys": [key["KeyId"] for key in keys if key["KeyState"] != "PendingDeletion"]}


_DELETE = BotoCall("schedule_key_deletion", {"KeyId": "id", "PendingWindowInDays": "in.deletionWindowInDays"})

RESOURCE_TYPES = {
    "aws:kms/key:Key": ResourceType(
        service="kms", create=BotoCall("create_key"), id="out.KeyMetadata.KeyId",
        after_create=(BotoCall("enable_key_rotation", {"KeyId": "id"}, when="in.enableKeyRotation"),),
        outputs={"keyId": "id", "arn": "out.KeyMetadata.Arn"}, listings={_live_keys: "Keys"}, delete=(_DELETE,)),
    # A call to the region of the primary key.
    "aws:kms/replicaKey:ReplicaKey": ResourceType(
        service="kms",
        create=BotoCall("replicate_key", {"KeyId": "in.primaryKeyArn", "ReplicaRegion": "region"},
                        region="split(in.primaryKeyArn, ':')[3]"),
        id="out.ReplicaKeyMetadata.KeyId", outputs={"keyId": "id", "arn": "out.ReplicaKeyMetadata.Arn"},
        delete=(_DELETE,)),
    "aws:kms/alias:Alias": ResourceType(
        service="kms", create=BotoCall("create_alias"), renames={"name": "AliasName"}, name_input="name", id="in.name",
        outputs={"arn": Template("arn:aws:kms:{region}:{account}:{id}")},
        listings={"list_aliases": "Aliases[].AliasName"}, delete=(BotoCall("delete_alias", {"AliasName": "id"}),)),
}
