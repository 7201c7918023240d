"""DynamoDB."""

from rehearsal.deploy.resources.model import BotoCall, ResourceType, Template

_TABLE = {"TableName": "id"}
_PARAMS = {
    "AttributeDefinitions": "in.attributes[].{AttributeName: name, AttributeType: type}",
    "KeySchema": "[{AttributeName: in.hashKey, KeyType: 'HASH'}]",
    "StreamSpecification": "in.streamEnabled && {StreamEnabled: `true`, StreamViewType: in.streamViewType}",
    "SSESpecification": "in.serverSideEncryption && {Enabled: in.serverSideEncryption.enabled, SSEType: 'KMS', "
                        "KMSMasterKeyId: in.serverSideEncryption.kmsKeyArn}",
}
_REPLICA = {"each": "in.replicas", "region": "item.regionName"}  # a call for each replica, in its region
_REPLICA_ARN = Template("arn:aws:dynamodb:{item[regionName]}:{account}:table/{id}")
_RECOVERABLE = {**_TABLE, "PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled": "`true`"}
_ADD = "[{Create: {RegionName: item.regionName, KMSMasterKeyId: item.kmsKeyArn}}]"
_WITNESS = "in.globalTableWitness && [{Create: {RegionName: in.globalTableWitness.regionName}}]"
_REMOVE = "[{Delete: {RegionName: item.regionName}}]"


def _protect(value: str) -> dict[str, str]:
    return {**_TABLE, "DeletionProtectionEnabled": value}


RESOURCE_TYPES = {
    "aws:dynamodb/table:Table": ResourceType(
        service="dynamodb", create=BotoCall("create_table", _PARAMS), renames={"name": "TableName"}, name_input="name",
        id="in.name",
        after_create=(BotoCall("update_continuous_backups", _RECOVERABLE, when="in.pointInTimeRecovery.enabled"),
                      BotoCall("update_table", {**_TABLE, "ReplicaUpdates": _ADD, "GlobalTableWitnessUpdates": _WITNESS,
                                                "MultiRegionConsistency": "item.consistencyMode"}, each="in.replicas"),
                      BotoCall("update_continuous_backups", _RECOVERABLE, when="item.pointInTimeRecovery", **_REPLICA),
                      BotoCall("update_table", _protect("`true`"), when="item.deletionProtectionEnabled", **_REPLICA),
                      BotoCall("tag_resource", {"ResourceArn": _REPLICA_ARN, "Tags": "tags"},
                               when="item.propagateTags && tags", **_REPLICA),
                      BotoCall("describe_table", _TABLE)),
        outputs={"arn": "out.Table.TableArn"}, listings={"list_tables": "TableNames"},
        unprotect=(BotoCall("update_table", _protect("`false`"), when="in.deletionProtectionEnabled"),
                   BotoCall("update_table", _protect("`false`"), when="item.deletionProtectionEnabled", **_REPLICA)),
        delete=(BotoCall("update_table", {**_TABLE, "ReplicaUpdates": _REMOVE}, each="in.replicas"),
                BotoCall("delete_table", _TABLE))),
}
