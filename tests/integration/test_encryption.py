"""The regions' keys, and the database's secret."""
from typing import Any

import pytest

from contract import ROLES
from tests.integration.stack import Outputs, Region, Secret, emulator_lacks_in_dr, statements


@pytest.fixture
def key(region: Region) -> dict[str, Any]:
    """The region's key, as KMS describes it."""
    found: dict[str, Any] = region.client("kms").describe_key(KeyId=region["key_arn"])["KeyMetadata"]
    return found


@pytest.fixture
def secret(region: Region) -> dict[str, Any]:
    """The database's secret in the region, without its value; the replica has the primary's name."""
    arn = region.outputs["database_secret_arn"].replace(region.outputs["primary_region"], region.name)
    described: dict[str, Any] = Region("primary", region.outputs).client("secretsmanager").describe_secret(
        SecretId=region.outputs["database_secret_arn"])
    tags = {tag["Key"]: tag["Value"] for tag in described.get("Tags", ())}
    if (tags.get("Project"), tags.get("Environment")) != ("TapStack", region.outputs["environment_suffix"]):
        pytest.skip("the secret is not the stack's own (databaseSecretArn)")
    found: dict[str, Any] = region.client("secretsmanager").describe_secret(SecretId=arn)
    return found


def test_the_keys_are_one_multi_region_key_and_its_replica(outputs: Outputs) -> None:
    keys = {role: Region(role, outputs).client("kms").describe_key(KeyId=outputs[f"{role}_key_arn"])["KeyMetadata"]
            for role in ROLES}
    assert {role: key["KeyState"] for role, key in keys.items()} == dict.fromkeys(ROLES, "Enabled")
    assert {role: key["Arn"] for role, key in keys.items()} == {role: outputs[f"{role}_key_arn"] for role in ROLES}
    key_types = {role: key["MultiRegionConfiguration"]["MultiRegionKeyType"] for role, key in keys.items()}
    assert key_types == {"primary": "PRIMARY", "dr": "REPLICA"}
    relation = keys["primary"]["MultiRegionConfiguration"]
    assert [replica["Arn"] for replica in relation["ReplicaKeys"]] == [outputs["dr_key_arn"]]


def test_the_key_is_customer_managed_and_for_encryption(key: dict[str, Any]) -> None:
    assert (key["KeyManager"], key["KeyUsage"], key["KeySpec"]) == ("CUSTOMER", "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT")


@emulator_lacks_in_dr("a replica does not show its primary key's rotation")
def test_the_key_rotates(region: Region) -> None:
    assert region.client("kms").get_key_rotation_status(KeyId=region["key_arn"])["KeyRotationEnabled"]


def test_the_key_has_an_alias(region: Region) -> None:
    (alias,) = region.client("kms").list_aliases(KeyId=region["key_arn"])["Aliases"]
    assert region.outputs["environment_suffix"] in alias["AliasName"]


def test_only_the_account_may_use_the_key(region: Region) -> None:
    account = region["key_arn"].split(":")[4]
    policy = region.client("kms").get_key_policy(KeyId=region["key_arn"], PolicyName="default")["Policy"]
    for statement in statements(policy):
        if "Service" in statement["Principal"]:
            assert {"aws:SourceAccount": account} in statement["Condition"].values(), statement
        else:
            assert statement["Principal"] == {"AWS": f"arn:aws:iam::{account}:root"}, statement


def test_what_one_region_encrypted_the_other_can_read(region: Region, peer: Region) -> None:
    sealed = region.client("kms").encrypt(KeyId=region["key_arn"], Plaintext=b"integration test")["CiphertextBlob"]
    opened = peer.client("kms").decrypt(KeyId=peer["key_arn"], CiphertextBlob=sealed)
    assert opened["Plaintext"] == b"integration test"


def test_the_secret_is_encrypted_with_the_regions_key(secret: dict[str, Any], region: Region) -> None:
    assert secret["KmsKeyId"] == region["key_arn"]


def test_the_secret_is_replicated(secret: dict[str, Any], outputs: Outputs) -> None:
    if secret["ARN"] == outputs["database_secret_arn"]:
        copies = [(copy["Region"], copy["Status"], copy["KmsKeyId"]) for copy in secret["ReplicationStatus"]]
        assert copies == [(outputs["dr_region"], "InSync", outputs["dr_key_arn"])]
    else:
        assert secret["PrimaryRegion"] == outputs["primary_region"]


def test_both_regions_have_the_same_login(secret: dict[str, Any], region: Region, peer: Region) -> None:
    for name in ("username", "password"):
        own, others = (Secret(each.client("secretsmanager").get_secret_value(SecretId=secret["Name"])["SecretString"])
                       .member(name) for each in (region, peer))
        same = own.same(others)
        assert same, f"{name}: the replica is behind"
