"""DynamoDB."""

from collections.abc import Mapping

from rehearsal.kinds.model import Call, Kind, Listing, Text

_TABLE = {"TableName": "id"}
_PARAMS = {
    "AttributeDefinitions": "in.attributes[].{AttributeName: name, AttributeType: type}",
    "KeySchema": "[{AttributeName: in.hashKey, KeyType: 'HASH'}]",
    "StreamSpecification": "in.streamEnabled && {StreamEnabled: `true`, StreamViewType: in.streamViewType}",
    "SSESpecification": "in.serverSideEncryption && {Enabled: in.serverSideEncryption.enabled, SSEType: 'KMS', "
                        "KMSMasterKeyId: in.serverSideEncryption.kmsKeyArn}",
}
_REPLICA = {"each": "in.replicas", "region": "item.regionName"}  # a call for each replica, where that is
_RECOVERABLE = {**_TABLE, "PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled": "`true`"}
_ADD = "[{Create: {RegionName: item.regionName, KMSMasterKeyId: item.kmsKeyArn}}]"
_WITNESS = "in.globalTableWitness && [{Create: {RegionName: in.globalTableWitness.regionName}}]"
_REMOVE = "[{Delete: {RegionName: item.regionName}}]"


def _protect(value: str) -> dict[str, str]:
    return {**_TABLE, "DeletionProtectionEnabled": value}


KINDS: Mapping[str, Kind] = {
    "aws:dynamodb/table:Table": Kind(
        service="dynamodb", create=Call("create_table", _PARAMS), renames={"name": "TableName"}, named="name",
        id="in.name",
        then=(Call("update_continuous_backups", _RECOVERABLE, when="in.pointInTimeRecovery.enabled"),
              Call("update_table", {**_TABLE, "ReplicaUpdates": _ADD, "MultiRegionConsistency": "item.consistencyMode",
                                    "GlobalTableWitnessUpdates": _WITNESS}, each="in.replicas"),
              Call("update_continuous_backups", _RECOVERABLE, when="item.pointInTimeRecovery", **_REPLICA),
              Call("update_table", _protect("`true`"), when="item.deletionProtectionEnabled", **_REPLICA),
              Call("tag_resource", {"ResourceArn": Text("arn:aws:dynamodb:{item[regionName]}:{account}:table/{id}"),
                                    "Tags": "tags"}, when="item.propagateTags && tags", **_REPLICA),
              Call("describe_table", _TABLE)),
        outputs={"arn": "out.Table.TableArn", "streamArn": "out.Table.LatestStreamArn",
                 "streamLabel": "out.Table.LatestStreamLabel"},
        listed=(Listing("list_tables", "TableNames"),),
        unprotect=(Call("update_table", _protect("`false`"), when="in.deletionProtectionEnabled"),
                   Call("update_table", _protect("`false`"), when="item.deletionProtectionEnabled", **_REPLICA)),
        delete=(Call("update_table", {**_TABLE, "ReplicaUpdates": _REMOVE}, each="in.replicas"),
                Call("delete_table", _TABLE))),
}
