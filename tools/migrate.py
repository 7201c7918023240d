"""Migrates the ledger's schema of a deployed stack: `make migrate`, which `make up` runs too.

It reads the database's master login and passes it to the function `migrate` in the writer's region, which cannot read
the login itself: its network has no route to Secrets Manager.
"""
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from contract import ALIAS, OutputsError, read_outputs

ONE_LONG_CALL = Config(read_timeout=900, retries={"total_max_attempts": 1})  # as long as Lambda lets a function run

Clients = Callable[[str, str], Any]


class MigrationFailed(Exception):
    """The function, or AWS before it, reports an error: its text is one line."""


def migrate(outputs: Mapping[str, Any], clients: Clients) -> dict[str, Any]:
    """Migrate the stack with these outputs. Returns {"applied": names, "version": number}.

    `clients` makes a client for (service, region). Raises MigrationFailed.
    """
    try:
        role = _writer(outputs, clients)
        region = outputs[f"{role}_region"]
        secret = clients("secretsmanager", region).get_secret_value(SecretId=_secret(outputs, region))
        login = json.loads(secret["SecretString"])
        answer = clients("lambda", region).invoke(
            FunctionName=outputs[f"{role}_migrate_function_name"], Qualifier=ALIAS,
            Payload=json.dumps({"username": login["username"], "password": login["password"]}))
    except (ClientError, BotoCoreError) as error:
        raise MigrationFailed(str(error)) from error
    result: dict[str, Any] = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise MigrationFailed(f"{result.get('errorType')}: {result.get('errorMessage')}")
    return result


def _writer(outputs: Mapping[str, Any], clients: Clients) -> str:
    """The role of the region whose cluster is the writer."""
    (found,) = clients("rds", outputs["primary_region"]).describe_global_clusters(
        GlobalClusterIdentifier=outputs["global_cluster_id"])["GlobalClusters"]
    writers = {member["DBClusterArn"] for member in found["GlobalClusterMembers"] if member["IsWriter"]}
    return "dr" if outputs["dr_cluster_arn"] in writers else "primary"


def _secret(outputs: Mapping[str, Any], region: str) -> str:
    """The ARN of the secret in a region: its replica's differs in the region only."""
    parts = str(outputs["database_secret_arn"]).split(":")
    return ":".join([*parts[:3], region, *parts[4:]])


def main(environ: Mapping[str, str] = os.environ, clients: Clients = lambda service, region: boto3.client(
        service, region_name=region, config=ONE_LONG_CALL)) -> int:
    """Migrate the stack that the outputs file describes. Returns the exit code: 0 done, 1 failed, 2 no such stack."""
    try:
        result = migrate(read_outputs(environ), clients)
    except OutputsError as error:
        print(f"migrate: {error}", file=sys.stderr)
        return 2
    except (KeyError, ValueError) as error:
        print(f"migrate: the outputs do not describe a stack ({error!r}): `make outputs` writes them", file=sys.stderr)
        return 2
    except MigrationFailed as error:
        print(f"migrate: {error}", file=sys.stderr)
        return 1
    print(f"schema version {result['version']}, applied now: {', '.join(result['applied']) or 'nothing'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
