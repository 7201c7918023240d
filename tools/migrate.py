"""Migrates the ledger's schema of a deployed stack: `make migrate`, which `make up` runs too.

It reads the database's master login and passes it to the function `migrate` in the writer's region, which cannot read
the login itself: its network has no route to Secrets Manager. Who the writer is, it asks in either region.
"""
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from contract import ALIAS, ROLES, OutputsError, read_outputs
from tools.clients import Clients, boto_clients

# Each question is asked once, and an answer may take as long as the function `migrate` may run, and a little more:
# keep-alive, because what stands between drops a connection that is silent for minutes.
boto_client = boto_clients(connect_timeout=5, read_timeout=910, tcp_keepalive=True, retries={"total_max_attempts": 1})


class MigrationFailed(Exception):
    """The function, or AWS before it, reports an error: its text is one line."""


def migrate(outputs: Mapping[str, Any], clients: Clients) -> dict[str, Any]:
    """Migrate the stack with these outputs. Returns {"applied": names, "version": number}.

    `clients` makes a client for (service, region). Raises MigrationFailed.
    """
    try:
        role = writer(outputs, clients)
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


def writer(outputs: Mapping[str, Any], clients: Clients) -> str:
    """The role of the region whose cluster is the writer, from the region that answers first.

    Raises MigrationFailed.
    """
    failed: list[str] = []
    for asked in ROLES:
        region = outputs[f"{asked}_region"]
        try:
            found = clients("rds", region).describe_global_clusters(
                GlobalClusterIdentifier=outputs["global_cluster_id"])["GlobalClusters"]
        except (ClientError, BotoCoreError) as error:
            failed.append(f"{region}: {error}")
            continue
        for member in (each for cluster in found for each in cluster["GlobalClusterMembers"]):
            for role in ROLES:
                if member["IsWriter"] and member["DBClusterArn"] == outputs[f"{role}_cluster_arn"]:
                    return role
        failed.append(f"{region}: {outputs['global_cluster_id']} has no writer")
    raise MigrationFailed("; ".join(failed))


def _secret(outputs: Mapping[str, Any], region: str) -> str:
    """The secret's ARN in a region: the ARNs of its replicas differ only in the region."""
    parts = str(outputs["database_secret_arn"]).split(":")
    return ":".join([*parts[:3], region, *parts[4:]])


def main(stack: str, environ: Mapping[str, str] = os.environ, clients: Clients = boto_client) -> int:
    """Migrate the stack of that name. Returns the exit code: 0 done, 1 failed, 2 the outputs describe no such stack."""
    def work(outputs: Mapping[str, Any]) -> str:
        result = migrate(outputs, clients)
        return f"schema version {result['version']}, applied now: {', '.join(result['applied']) or 'nothing'}"

    return command("migrate", stack, environ, work)


def command(name: str, stack: str, environ: Mapping[str, str], work: Callable[[Mapping[str, Any]], str]) -> int:
    """Do some work on the stack of that name, and print its result. Returns the exit code, as `main` does."""
    try:
        outputs = read_outputs(environ, stack=stack)
        if outputs["stack_name"] != stack:
            raise OutputsError(f"the outputs are of stack {outputs['stack_name']}, not of {stack}: `make outputs` "
                               "writes them")
        print(work(outputs))
    except OutputsError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except (KeyError, ValueError) as error:
        print(f"{name}: the outputs do not describe a stack ({error!r}): `make outputs` writes them", file=sys.stderr)
        return 2
    except MigrationFailed as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
