"""DynamoDB."""

from rehearsal.deploy.resources.model import Call, ResourceType, Template, tagging, words

_PARAMS = {
    "AttributeDefinitions": "in.attributes[].{AttributeName: name, AttributeType: type}",
    "KeySchema": "[{AttributeName: in.hashKey, KeyType: 'HASH'}]",
    "StreamSpecification": "in.streamEnabled && {StreamEnabled: `true`, StreamViewType: in.streamViewType}",
    "SSESpecification": "in.serverSideEncryption && {Enabled: in.serverSideEncryption.enabled, SSEType: 'KMS', "
                        "KMSMasterKeyId: in.serverSideEncryption.kmsKeyArn}",
}
_REPLICA = {"each": "in.replicas", "region": "item.regionName"}  # a call for each replica, in its region
_REPLICA_ARN = Template("arn:aws:dynamodb:{item[regionName]}:{account}:table/{id}")
_RECOVERABLE = {"PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled": "`true`"}
_RECOVERY = ("{enabled: out.ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus "
             "== 'ENABLED'}")
_PROTECTED, _UNPROTECTED = {"DeletionProtectionEnabled": "`true`"}, {"DeletionProtectionEnabled": "`false`"}
_ADD = "[{Create: {RegionName: item.regionName, KMSMasterKeyId: item.kmsKeyArn}}]"
_WITNESS = "in.globalTableWitness && [{Create: {RegionName: in.globalTableWitness.regionName}}]"
_REMOVE = "[{Delete: {RegionName: item.regionName}}]"


def _without(replicas: str, others: str) -> str:
    """The replicas in regions where none of the others is."""
    return f"without({replicas} || `[]`, {others} || `[]`, 'regionName')"


RESOURCE_TYPES = {
    "aws:dynamodb/table:Table": ResourceType(
        "dynamodb", Call("create_table", _PARAMS), renames={"name": "TableName"}, name_input="name", id="in.name",
        after_create=(Call("update_continuous_backups", _RECOVERABLE, when="in.pointInTimeRecovery.enabled"),
                      Call("update_table",
                           {"ReplicaUpdates": _ADD, "GlobalTableWitnessUpdates": _WITNESS,
                            "MultiRegionConsistency": "item.consistencyMode"},
                           each="in.replicas"),
                      Call("update_continuous_backups", _RECOVERABLE, when="item.pointInTimeRecovery", **_REPLICA),
                      Call("update_table", _PROTECTED, when="item.deletionProtectionEnabled", **_REPLICA),
                      Call("tag_resource", {"ResourceArn": _REPLICA_ARN, "Tags": "tags"},
                           when="item.propagateTags && tags", **_REPLICA),
                      Call("describe_table")),
        outputs={"arn": "out.Table.TableArn"}, listings={"list_tables": "TableNames"},
        read=(Call("describe_table"), Call("describe_continuous_backups")), found="out.Table",
        # Not read: the emulator does not keep the replicas' own properties.
        held={"attributes": "found.AttributeDefinitions[].{name: AttributeName, type: AttributeType}",
              "hashKey": "found.KeySchema[0].AttributeName", "billingMode": "found.BillingModeSummary.BillingMode",
              "pointInTimeRecovery": _RECOVERY, "streamEnabled": "found.StreamSpecification.StreamEnabled",
              "streamViewType": "found.StreamSpecification.StreamViewType",
              "replicas": "", "serverSideEncryption": "", "globalTableWitness": ""},
        replace=words("name hashKey"), update={
            "deletionProtectionEnabled": (Call("update_table"),),
            "pointInTimeRecovery": (Call("update_continuous_backups", _RECOVERABLE),),
            "replicas": (
                Call("update_table", {"ReplicaUpdates": _REMOVE}, each=_without("was.replicas", "in.replicas")),
                Call("update_table", {"ReplicaUpdates": _ADD}, each=_without("in.replicas", "was.replicas")),
                Call("update_table", {"DeletionProtectionEnabled": "item.deletionProtectionEnabled || `false`"},
                     **_REPLICA)),
            **tagging("tag_resource", "untag_resource", ResourceArn="state.arn")},
        unprotect=(Call("update_table", _UNPROTECTED, when="in.deletionProtectionEnabled"),
                   Call("update_table", _UNPROTECTED, when="item.deletionProtectionEnabled", **_REPLICA)),
        delete=(Call("update_table", {"ReplicaUpdates": _REMOVE}, each="in.replicas"), Call("delete_table"))),
}
