"""Secrets Manager."""

from rehearsal.deploy.resources.model import Call, DataFunction, ResourceType, Template

RESOURCE_TYPES = {
    "aws:secretsmanager/secret:Secret": ResourceType(
        "secretsmanager", Call("create_secret"), name_input="name", id="out.ARN",
        # Not with CreateSecret: the emulator drops the replicas there.
        after_create=(Call("replicate_secret_to_regions",
                           {"AddReplicaRegions": "in.replicas[].{Region: region, KmsKeyId: kmsKeyId}",
                            "ForceOverwriteReplicaSecret": "in.forceOverwriteReplicaSecret"}, when="in.replicas"),),
        outputs={"arn": "id"}, listings={"list_secrets": "SecretList[].Name"},
        # At once, whatever the recovery window: a rehearsal must leave nothing.
        provider_only=frozenset({"recoveryWindowInDays"}),
        delete=(Call("delete_secret", {"ForceDeleteWithoutRecovery": "`true`"}),)),
    # A version is deleted with its secret.
    "aws:secretsmanager/secretVersion:SecretVersion": ResourceType(
        "secretsmanager", Call("put_secret_value"), id=Template("{in[secretId]}|{out[VersionId]}")),
}

DATA_FUNCTIONS = {
    "aws:secretsmanager/getSecretVersion:getSecretVersion": DataFunction(
        "secretsmanager", "get_secret_value", {"SecretId": "in.secretId"},
        {"arn": "out.ARN", "secretId": "in.secretId", "secretString": "out.SecretString",
         "versionId": "out.VersionId", "id": Template("{in[secretId]}|{out[VersionId]}")}),
}
