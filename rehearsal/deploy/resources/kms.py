"""KMS."""

from typing import Any

from rehearsal.aws.clients import EmulatorClients
from rehearsal.deploy.resources.model import Call, ResourceType, Template, tagging, words


def _live_keys(clients: EmulatorClients, region: str) -> dict[str, Any]:
    """The keys that are not scheduled for deletion; KMS cannot delete a key at once."""
    client = clients("kms", region)
    keys = [client.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
            for page in client.get_paginator("list_keys").paginate() for key in page["Keys"]]
    return {"Keys": [key["KeyId"] for key in keys if key["KeyState"] != "PendingDeletion"]}


_READ = (Call("describe_key"), Call("get_key_policy"))
_UPDATE = {"description": (Call("update_key_description"),), "policy": (Call("put_key_policy"),),
           **tagging("tag_resource", "untag_resource")}
_HELD = {"description": "found.Description", "policy": "out.Policy"}
_FOUND = "out.KeyMetadata.KeyState != 'PendingDeletion' && out.KeyMetadata"
_DELETE = Call("schedule_key_deletion", {"PendingWindowInDays": "in.deletionWindowInDays"})

RESOURCE_TYPES = {
    "aws:kms/key:Key": ResourceType(
        "kms", Call("create_key"), id="out.KeyMetadata.KeyId",
        after_create=(Call("enable_key_rotation", when="in.enableKeyRotation"),),
        outputs={"keyId": "id", "arn": "out.KeyMetadata.Arn"}, listings={_live_keys: "Keys"},
        read=(*_READ, Call("get_key_rotation_status")), found=_FOUND,
        held={**_HELD, "enableKeyRotation": "out.KeyRotationEnabled"}, replace=words("multiRegion"), update={
            "enableKeyRotation": (Call("enable_key_rotation", when="in.enableKeyRotation"),
                                  Call("disable_key_rotation", when="!in.enableKeyRotation")), **_UPDATE},
        delete=(_DELETE,)),
    # A call to the region of the primary key, whose id it has.
    "aws:kms/replicaKey:ReplicaKey": ResourceType(
        "kms",
        Call("replicate_key", {"KeyId": "in.primaryKeyArn", "ReplicaRegion": "region"},
             region="split(in.primaryKeyArn, ':')[3]"),
        id="split(in.primaryKeyArn, '/')[1]", outputs={"keyId": "id", "arn": "out.ReplicaKeyMetadata.Arn"},
        read=_READ, found=_FOUND, held=_HELD, replace=words("primaryKeyArn"), update=_UPDATE,
        delete=(_DELETE,)),
    "aws:kms/alias:Alias": ResourceType(
        "kms", Call("create_alias"), renames={"name": "AliasName"}, name_input="name", id="in.name",
        outputs={"arn": Template("arn:aws:kms:{region}:{account}:{id}")},
        listings={"list_aliases": "Aliases[].AliasName"}, read=(Call("list_aliases"),),
        found="pick(out.Aliases, {AliasName: id})", replace=words("name"), update={
            "targetKeyId": (Call("update_alias"),)}, delete=(Call("delete_alias"),)),
}
