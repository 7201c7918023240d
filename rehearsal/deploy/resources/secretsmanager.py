"""Secrets Manager."""

from rehearsal.deploy.resources.model import Call, DataFunction, ResourceType, Template, tagging, words

RESOURCE_TYPES = {
    "aws:secretsmanager/secret:Secret": ResourceType(
        "secretsmanager", Call("create_secret"), name_input="name", id="out.ARN",
        # Not with CreateSecret: the emulator drops the replicas there.
        after_create=(Call("replicate_secret_to_regions",
                           {"AddReplicaRegions": "in.replicas[].{Region: region, KmsKeyId: kmsKeyId}",
                            "ForceOverwriteReplicaSecret": "in.forceOverwriteReplicaSecret"}, when="in.replicas"),),
        outputs={"arn": "id"}, listings={"list_secrets": "SecretList[].Name"},
        # At once, whatever the recovery window: a rehearsal must leave nothing.
        provider_only=words("recoveryWindowInDays"),
        read=(Call("describe_secret"),), held={"replicas": "", "forceOverwriteReplicaSecret": ""},
        replace=words("name"), update={
            "description kmsKeyId": (Call("update_secret"),),
            "replicas": (
                Call("remove_regions_from_replication", {"RemoveReplicaRegions": "was.replicas[].region"},
                     when="was.replicas"),
                Call("replicate_secret_to_regions",
                     {"AddReplicaRegions": "in.replicas[].{Region: region, KmsKeyId: kmsKeyId}"}, when="in.replicas")),
            **tagging("tag_resource", "untag_resource")},
        delete=(Call("delete_secret", {"ForceDeleteWithoutRecovery": "`true`"}),)),
    # A version is deleted with its secret.
    "aws:secretsmanager/secretVersion:SecretVersion": ResourceType(
        "secretsmanager", Call("put_secret_value"), id=Template("{in[secretId]}|{out[VersionId]}"),
        # Labels are not read: the emulator drops a label of one's own.
        read=(Call("get_secret_value", {"VersionId": "split(id, '|')[1]"}),), held={"versionStages": ""},
        replace=words("secretId secretString")),
}

DATA_FUNCTIONS = {
    "aws:secretsmanager/getSecretVersion:getSecretVersion": DataFunction(
        "secretsmanager", "get_secret_value", {"SecretId": "in.secretId"},
        {"arn": "out.ARN", "secretId": "in.secretId", "secretString": "out.SecretString",
         "versionId": "out.VersionId", "id": Template("{in[secretId]}|{out[VersionId]}")}),
}
