"""Brings the ledger's schema of a deployed stack up to date: `make migrate`, which `make up` does too.

Who runs it reads the database's master login and hands it to the function `migrate` in the writer's region, which
cannot read it itself: its network has no way to Secrets Manager.
"""
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

OUTPUTS = "cfn-outputs/flat-outputs.json"
PATIENCE = Config(read_timeout=900, retries={"total_max_attempts": 1})  # a migration may take as long as Lambda lets it

Clients = Callable[[str, str], Any]


class MigrationFailed(Exception):
    """What the function, or AWS before it, says."""


def migrate(outputs: Mapping[str, Any], clients: Clients) -> dict[str, Any]:
    """What the function answers: {"applied": names, "version": number}. `clients` makes a client of (service, region).

    Raises MigrationFailed.
    """
    role = _writer(outputs, clients)
    region = outputs[f"{role}_region"]
    try:
        secret = clients("secretsmanager", region).get_secret_value(SecretId=_secret(outputs, region))
        login = json.loads(secret["SecretString"])
        answer = clients("lambda", region).invoke(
            FunctionName=outputs[f"{role}_migrate_function_name"], Qualifier="live",
            Payload=json.dumps({"username": login["username"], "password": login["password"]}))
    except (ClientError, BotoCoreError) as error:
        raise MigrationFailed(str(error)) from error
    result: dict[str, Any] = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise MigrationFailed(f"{result.get('errorType')}: {result.get('errorMessage')}")
    return result


def _writer(outputs: Mapping[str, Any], clients: Clients) -> str:
    """The role of the region whose cluster is the writer now."""
    (found,) = clients("rds", outputs["primary_region"]).describe_global_clusters(
        GlobalClusterIdentifier=outputs["global_cluster_id"])["GlobalClusters"]
    writers = {member["DBClusterArn"] for member in found["GlobalClusterMembers"] if member["IsWriter"]}
    return "dr" if outputs["dr_cluster_arn"] in writers else "primary"


def _secret(outputs: Mapping[str, Any], region: str) -> str:
    """The secret in a region: its replica has the same ARN but for that."""
    parts = str(outputs["database_secret_arn"]).split(":")
    return ":".join([*parts[:3], region, *parts[4:]])


def main() -> int:
    """Migrate the stack that the outputs file describes."""
    path = Path(os.environ.get("TAPSTACK_OUTPUTS", OUTPUTS))
    try:
        outputs = json.loads(path.read_text(encoding="utf-8"))
        result = migrate(outputs, lambda service, region: boto3.client(service, region_name=region, config=PATIENCE))
    except (OSError, ValueError, KeyError) as error:
        print(f"migrate: {path} does not describe a stack ({error!r}): run make outputs first", file=sys.stderr)
        return 2
    except MigrationFailed as error:
        print(f"migrate: {error}", file=sys.stderr)
        return 1
    print(f"schema version {result['version']}, applied now: {', '.join(result['applied']) or 'nothing'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
