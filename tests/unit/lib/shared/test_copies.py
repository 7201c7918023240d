"""The copies from one region to the other."""
from tests.unit.lib.recorder import ACCOUNT, Recording


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
