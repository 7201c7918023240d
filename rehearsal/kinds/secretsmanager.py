"""Secrets Manager."""

from collections.abc import Mapping

from rehearsal.kinds.model import Call, Invoke, Kind, Listing, Text

_AT_ONCE = {"SecretId": "id", "ForceDeleteWithoutRecovery": "`true`"}

KINDS: Mapping[str, Kind] = {
    "aws:secretsmanager/secret:Secret": Kind(
        service="secretsmanager", create=Call("create_secret"), named="name", id="out.ARN",
        # Not with CreateSecret: the emulator drops the replicas there.
        then=(Call("replicate_secret_to_regions",
                   {"SecretId": "id", "AddReplicaRegions": "in.replicas[].{Region: region, KmsKeyId: kmsKeyId}",
                    "ForceOverwriteReplicaSecret": "in.forceOverwriteReplicaSecret"}, when="in.replicas"),),
        outputs={"arn": "id"},
        listed=(Listing("list_secrets", "SecretList[].Name"),),
        # A recovery window of 0 days is the provider's way to say: at once.
        delete=(Call("delete_secret", _AT_ONCE, when="in.recoveryWindowInDays == `0`"),
                Call("delete_secret", {"SecretId": "id", "RecoveryWindowInDays": "in.recoveryWindowInDays"},
                     when="in.recoveryWindowInDays != `0`")),
        dispose=(Call("delete_secret", _AT_ONCE, when="in.recoveryWindowInDays != `0`"),)),
    # A version goes with its secret.
    "aws:secretsmanager/secretVersion:SecretVersion": Kind(
        service="secretsmanager", create=Call("put_secret_value"), id=Text("{in[secretId]}|{out[VersionId]}"),
        outputs={"arn": "out.ARN", "versionId": "out.VersionId"}),
}

INVOKES: Mapping[str, Invoke] = {
    "aws:secretsmanager/getSecretVersion:getSecretVersion": Invoke(
        service="secretsmanager",
        operation="get_secret_value",
        params={"SecretId": "in.secretId"},
        outputs={"arn": "out.ARN", "secretId": "in.secretId", "secretString": "out.SecretString",
                 "versionId": "out.VersionId", "id": Text("{in[secretId]}|{out[VersionId]}")},
    ),
}
