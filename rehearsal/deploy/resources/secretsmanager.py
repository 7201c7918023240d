"""Secrets Manager."""

from collections.abc import Mapping

from rehearsal.deploy.resources.model import BotoCall, DataFunction, Listing, ResourceType, Template

_AT_ONCE = {"SecretId": "id", "ForceDeleteWithoutRecovery": "`true`"}

RESOURCE_TYPES: Mapping[str, ResourceType] = {
    "aws:secretsmanager/secret:Secret": ResourceType(
        service="secretsmanager", create=BotoCall("create_secret"), named="name", id="out.ARN",
        # Not with CreateSecret: the emulator drops the replicas there.
        then=(BotoCall("replicate_secret_to_regions",
                   {"SecretId": "id", "AddReplicaRegions": "in.replicas[].{Region: region, KmsKeyId: kmsKeyId}",
                    "ForceOverwriteReplicaSecret": "in.forceOverwriteReplicaSecret"}, when="in.replicas"),),
        outputs={"arn": "id"},
        listed=(Listing("list_secrets", "SecretList[].Name"),),
        # A recovery window of 0 days is the provider's way to say: at once.
        delete=(BotoCall("delete_secret", _AT_ONCE, when="in.recoveryWindowInDays == `0`"),
                BotoCall("delete_secret", {"SecretId": "id", "RecoveryWindowInDays": "in.recoveryWindowInDays"},
                     when="in.recoveryWindowInDays != `0`")),
        dispose=(BotoCall("delete_secret", _AT_ONCE, when="in.recoveryWindowInDays != `0`"),)),
    # A version goes with its secret.
    "aws:secretsmanager/secretVersion:SecretVersion": ResourceType(
        service="secretsmanager", create=BotoCall("put_secret_value"), id=Template("{in[secretId]}|{out[VersionId]}"),
        outputs={"arn": "out.ARN", "versionId": "out.VersionId"}),
}

DATA_FUNCTIONS: Mapping[str, DataFunction] = {
    "aws:secretsmanager/getSecretVersion:getSecretVersion": DataFunction(
        service="secretsmanager",
        operation="get_secret_value",
        params={"SecretId": "in.secretId"},
        outputs={"arn": "out.ARN", "secretId": "in.secretId", "secretString": "out.SecretString",
                 "versionId": "out.VersionId", "id": Template("{in[secretId]}|{out[VersionId]}")},
    ),
}
