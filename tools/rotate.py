"""Gives the database of a deployed stack a new master password: `make rotate-password`.

The new password is in the secret, as AWSPENDING, before the cluster gets it, and becomes AWSCURRENT afterwards. So a
command that failed is run again, and goes on with the same password. Only migrations use it.
"""
import json
import os
import secrets
import sys
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tools.clients import Clients
from tools.migrate import MigrationFailed, boto_client, command, writer

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"
BYTES = 30  # of randomness in a password


def rotate(outputs: Mapping[str, Any], clients: Clients) -> str:
    """Rotate the password of the cluster that is the writer. Returns the id of that cluster. Raises MigrationFailed."""
    arn = outputs["database_secret_arn"]
    vault = clients("secretsmanager", arn.split(":")[3])
    try:
        role = writer(outputs, clients)
        cluster = str(outputs[f"{role}_cluster_id"])
        login = json.loads(vault.get_secret_value(SecretId=arn)["SecretString"])
        current, pending = _versions(vault, arn)
        if pending:
            login = json.loads(vault.get_secret_value(SecretId=arn, VersionId=pending)["SecretString"])
        else:
            login["password"] = secrets.token_urlsafe(BYTES)
            pending = vault.put_secret_value(
                SecretId=arn, SecretString=json.dumps(login), VersionStages=[PENDING])["VersionId"]
        clients("rds", outputs[f"{role}_region"]).modify_db_cluster(
            DBClusterIdentifier=cluster, MasterUserPassword=login["password"], ApplyImmediately=True)
        vault.update_secret_version_stage(
            SecretId=arn, VersionStage=CURRENT, MoveToVersionId=pending, RemoveFromVersionId=current)
        vault.update_secret_version_stage(SecretId=arn, VersionStage=PENDING, RemoveFromVersionId=pending)
    except (ClientError, BotoCoreError) as error:
        raise MigrationFailed(str(error)) from error
    return cluster


def _versions(vault: Any, arn: str) -> tuple[str, str]:
    """The ids of the current version, and of one that a command left behind (empty if none did)."""
    stages: Mapping[str, list[str]] = vault.describe_secret(SecretId=arn)["VersionIdsToStages"]
    current = next(version for version, names in stages.items() if CURRENT in names)
    return current, next((version for version, names in stages.items() if PENDING in names and version != current), "")


def main(stack: str, environ: Mapping[str, str] = os.environ, clients: Clients = boto_client) -> int:
    """Rotate the password of the stack of that name. Returns the exit code, as `migrate` does."""
    return command("rotate-password", stack, environ,
                   lambda outputs: f"{rotate(outputs, clients)} and the secret have a new master password")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
