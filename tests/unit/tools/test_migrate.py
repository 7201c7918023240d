"""A deployed stack is migrated in the writer's region, with the login from there."""
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from lib.names import Names
from lib.region.function import function_specs
from tools import migrate

OUTPUTS = {
    "stack_name": "pay",
    "primary_region": "us-east-1", "dr_region": "us-west-2", "global_cluster_id": "tapstack-x",
    "primary_cluster_arn": "arn:aws:rds:us-east-1:1:cluster:a", "dr_cluster_arn": "arn:aws:rds:us-west-2:1:cluster:b",
    "database_secret_arn": "arn:aws:secretsmanager:us-east-1:1:secret:s-AbCdEf",
    "primary_migrate_function_name": "migrate-primary", "dr_migrate_function_name": "migrate-dr",
}
LOGIN = {"username": "ledger_admin", "password": "not-a-real-password"}


@dataclass
class Aws:
    """An account whose writer is in one region. `dead` is a region, `refuses` an operation; `asked` are the calls."""

    writer: str = "us-east-1"
    dead: str = ""
    refuses: str = ""
    answer: Mapping[str, Any] = field(default_factory=lambda: {"applied": ["0001_ledger.sql"], "version": 1})
    failed: bool = False
    asked: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)

    def __call__(self, service: str, region: str) -> Any:
        outer = self

        class Client:
            """Whatever operation is called."""

            def __getattr__(self, operation: str) -> Any:
                def call(**params: Any) -> Mapping[str, Any]:
                    outer.asked.append((region, operation, params))
                    if region == outer.dead:
                        raise EndpointConnectionError(endpoint_url=region)
                    if operation == outer.refuses:
                        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)
                    result: Mapping[str, Any] = getattr(outer, operation)()
                    return result
                return call

        assert service
        return Client()

    def describe_global_clusters(self) -> Mapping[str, Any]:
        """Both members, one of them the writer."""
        members = [{"DBClusterArn": OUTPUTS[f"{role}_cluster_arn"],
                    "IsWriter": self.writer == OUTPUTS[f"{role}_region"]} for role in ("primary", "dr")]
        return {"GlobalClusters": [{"GlobalClusterMembers": members}]}

    def get_secret_value(self) -> Mapping[str, Any]:
        """The login."""
        return {"SecretString": json.dumps({**LOGIN, "engine": "aurora-postgresql"})}

    def invoke(self) -> Mapping[str, Any]:
        """The function's answer."""
        found = {"Payload": io.BytesIO(json.dumps(self.answer).encode())}
        return {**found, "FunctionError": "Unhandled"} if self.failed else found


@pytest.mark.parametrize(("writer", "function"), [("us-east-1", "migrate-primary"), ("us-west-2", "migrate-dr")])
def test_the_function_in_the_writers_region_gets_the_login_stored_there(writer: str, function: str) -> None:
    aws = Aws(writer)
    assert migrate.migrate(OUTPUTS, aws) == {"applied": ["0001_ledger.sql"], "version": 1}
    _, (secret_region, _, secret), (region, _, invoked) = aws.asked
    assert secret_region == region == writer
    assert secret["SecretId"] == f"arn:aws:secretsmanager:{writer}:1:secret:s-AbCdEf"
    assert (invoked["FunctionName"], invoked["Qualifier"]) == (function, "live")
    assert json.loads(invoked["Payload"]) == LOGIN


def test_whichever_region_answers_says_who_the_writer_is() -> None:
    aws = Aws("us-west-2", dead="us-east-1")
    assert migrate.migrate(OUTPUTS, aws)["version"] == 1
    assert [region for region, *_ in aws.asked] == ["us-east-1", *["us-west-2"] * 3]


def test_without_an_answer_or_a_writer_both_regions_are_named() -> None:
    with pytest.raises(migrate.MigrationFailed, match=r"^us-east-1: .*; us-west-2: tapstack-x has no writer$"):
        migrate.migrate(OUTPUTS, Aws("nowhere", dead="us-east-1"))


def test_an_answer_is_waited_for_as_long_as_the_function_may_run() -> None:
    (spec,) = (each for key, each in function_specs(Names("x", "us-east-1", "1"), 1).items() if key == "migrate")
    client = migrate.boto_client("lambda", "eu-west-1")
    assert client.meta.region_name == "eu-west-1"
    assert client.meta.config.read_timeout > spec.timeout == 900
    assert client.meta.config.retries["total_max_attempts"] == 1


def test_an_error_of_the_function_is_reported_in_one_line() -> None:
    aws = Aws(failed=True, answer={"errorType": "MigrationError", "errorMessage": "0001_ledger.sql: has changed"})
    with pytest.raises(migrate.MigrationFailed, match=r"^MigrationError: 0001_ledger\.sql: has changed$"):
        migrate.migrate(OUTPUTS, aws)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment of a command, with an outputs file."""
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps(OUTPUTS), encoding="utf-8")
    return {"TAPSTACK_OUTPUTS": str(outputs)}


@pytest.mark.parametrize("operation", ["describe_global_clusters", "get_secret_value", "invoke"])
def test_what_aws_refuses_is_reported_without_a_traceback(
        environ: dict[str, str], capsys: pytest.CaptureFixture[str], operation: str) -> None:
    assert migrate.main("pay", environ, Aws(refuses=operation)) == 1
    error = capsys.readouterr().err
    assert error.startswith("migrate: ")
    assert error.count("\n") == 1
    assert error.endswith(f"An error occurred (AccessDenied) when calling the {operation} operation: no\n")


@pytest.mark.parametrize("content", [None, "no json", "[]", "{}"])
def test_without_outputs_one_line_says_how_to_get_them(
        environ: dict[str, str], capsys: pytest.CaptureFixture[str], content: str | None) -> None:
    outputs = Path(environ["TAPSTACK_OUTPUTS"])
    outputs.unlink()
    if content is not None:
        outputs.write_text(content, encoding="utf-8")
    assert migrate.main("pay", environ, Aws()) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "`make outputs` writes" in error


def test_another_stacks_outputs_are_refused(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    aws = Aws()
    assert migrate.main("dev", environ, aws) == 2
    assert capsys.readouterr().err == (
        "migrate: the outputs are of stack pay, not of dev: `make outputs` writes them\n")
    assert aws.asked == []


def test_a_migration_prints_what_it_did(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert migrate.main("pay", environ, Aws()) == 0
    assert migrate.main("pay", environ, Aws(answer={"applied": [], "version": 3})) == 0
    assert capsys.readouterr().out == (
        "schema version 1, applied now: 0001_ledger.sql\nschema version 3, applied now: nothing\n")
