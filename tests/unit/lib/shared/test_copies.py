"""The copies from one region to the other."""
from tests.unit.lib.recorder import ACCOUNT, Recording


def test_replication_waits_for_both_versionings_and_copies_everything(dev: Recording) -> None:
    for config in dev.of("BucketReplicationConfig"):
        waited = {dev.resources[urn].name for urn in config.dependencies
                  if dev.resources[urn].kind == "BucketVersioning"}
        assert waited == {"tap-dev-primary-receipts-versions", "tap-dev-dr-receipts-versions"}
        (rule,) = config.inputs["rules"]
        assert rule["deleteMarkerReplication"] == {"status": "Enabled"}
        assert rule["sourceSelectionCriteria"] == {"sseKmsEncryptedObjects": {"status": "Enabled"},
                                                   "replicaModifications": {"status": "Enabled"}}
        destination = rule["destination"]
        assert destination["replicationTime"] == {"status": "Enabled", "time": {"minutes": 15}}
        assert destination["metrics"] == {"status": "Enabled", "eventThreshold": {"minutes": 15}}
        other = "dr" if "outbound" in config.name else "primary"
        assert destination["encryptionConfiguration"] == {"replicaKmsKeyId": dev.outputs[f"{other}_key_arn"]}


def test_the_control_bucket_is_never_copied(dev: Recording) -> None:
    assert not [r for r in dev.of("BucketReplicationConfig") if "control" in str(r.inputs)]


def test_backups_go_to_the_other_region(dev: Recording) -> None:
    for direction, source, destination in (("outbound", "primary", "dr"), ("inbound", "dr", "primary")):
        (rule,) = dev.one("Plan", direction).inputs["rules"]
        assert rule["targetVaultName"] == dev.outputs[f"{source}_backup_vault_name"]
        assert rule["copyActions"][0]["destinationVaultArn"] == dev.arn(dev.one("Vault", f"-{destination}-"))
        selected = dev.one("Selection", direction).inputs["resources"]
        region = dev.outputs[f"{source}_region"]
        assert f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/payment-transactions-dev" in selected
        assert dev.outputs[f"{source}_cluster_arn"] in selected
