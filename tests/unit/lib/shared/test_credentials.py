"""The secret that is created for the master login."""
from tests.unit.lib.recorder import Recording
from tools.rotate import CURRENT, PENDING


def test_a_generated_secret_is_replicated_and_names_no_host(domain: Recording) -> None:
    # https://docs.aws.amazon.com/secretsmanager/latest/userguide/replicate-secrets.html
    (secret,) = domain.of("Secret")
    (replica,) = secret.inputs["replicas"]
    assert replica == {"region": "us-east-1", "kmsKeyId": domain.outputs["dr_key_arn"]}
    # So that a stack can be created again soon.
    assert (secret.inputs["forceOverwriteReplicaSecret"], secret.inputs["recoveryWindowInDays"]) == (True, 0)
    content = str(domain.of("SecretVersion")[0].inputs["secretString"])
    assert "password" in content
    assert "host" not in content


def test_the_first_version_keeps_a_label_when_a_rotation_takes_the_current_one(domain: Recording) -> None:
    # AWS deletes a version without a label, and then an update would make its password the current one again:
    # https://github.com/hashicorp/terraform-provider-aws/issues/37302
    (version,) = domain.of("SecretVersion")
    assert {*version.inputs["versionStages"]} - {CURRENT, PENDING, "AWSPREVIOUS"}
    assert CURRENT in version.inputs["versionStages"]
    assert {"secretString", "versionStages"} <= {*version.ignore_changes}
