"""Secrets Manager."""

from rehearsal.deploy.resources.model import BotoCall, DataFunction, ResourceType, Template

RESOURCE_TYPES = {
    "aws:secretsmanager/secret:Secret": ResourceType(
        service="secretsmanager", create=BotoCall("create_secret"), name_input="name", id="out.ARN",
        # Not with CreateSecret: the emulator drops the replicas there.
        after_create=(BotoCall("replicate_secret_to_regions",
                               {"SecretId": "id",
                                "AddReplicaRegions": "in.replicas[].{Region: region, KmsKeyId: kmsKeyId}",
                                "ForceOverwriteReplicaSecret": "in.forceOverwriteReplicaSecret"}, when="in.replicas"),),
        outputs={"arn": "id"}, listings={"list_secrets": "SecretList[].Name"},
        # At once, whatever the recovery window: a rehearsal must leave nothing.
        provider_only=frozenset({"recoveryWindowInDays"}),
        delete=(BotoCall("delete_secret", {"SecretId": "id", "ForceDeleteWithoutRecovery": "`true`"}),)),
    # A version is deleted with its secret.
    "aws:secretsmanager/secretVersion:SecretVersion": ResourceType(
        service="secretsmanager", create=BotoCall("put_secret_value"), id=Template("{in[secretId]}|{out[VersionId]}")),
}

DATA_FUNCTIONS = {
    "aws:secretsmanager/getSecretVersion:getSecretVersion": DataFunction(
        service="secretsmanager", operation="get_secret_value", params={"SecretId": "in.secretId"},
        outputs={"arn": "out.ARN", "secretId": "in.secretId", "secretString": "out.SecretString",
                 "versionId": "out.VersionId", "id": Template("{in[secretId]}|{out[VersionId]}")}),
}
