"""The master password is replaced under whichever cluster writes, and a command that failed goes on."""
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tools import rotate

ARN = "arn:aws:secretsmanager:us-east-1:1:secret:s-AbCdEf"
OUTPUTS = {
    "stack_name": "pay", "primary_region": "us-east-1", "dr_region": "us-west-2", "global_cluster_id": "tapstack-x",
    "primary_cluster_arn": "arn:aws:rds:us-east-1:1:cluster:a", "dr_cluster_arn": "arn:aws:rds:us-west-2:1:cluster:b",
    "primary_cluster_id": "a", "dr_cluster_id": "b", "database_secret_arn": ARN}


class Aws:
    """A secret in us-east-1 and the clusters `a` and `b`; the operation `refuses` fails."""

    def __init__(self, writer: str = "us-east-1", refuses: str = "") -> None:
        self.writer, self.refuses = writer, refuses
        self.versions = {"1": json.dumps({"username": "ledger_admin", "password": "old", "engine": "postgres"})}
        self.stages = {"1": ["AWSCURRENT"]}
        self.passwords: dict[tuple[str, str], str] = {}
        self.region = ""

    def __call__(self, service: str, region: str) -> "Aws":
        assert service != "secretsmanager" or region == "us-east-1"
        self.region = region
        return self

    def _may(self, operation: str) -> None:
        if operation == self.refuses:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)

    def describe_global_clusters(self, **_: str) -> Mapping[str, Any]:
        """Both members."""
        members = [{"DBClusterArn": OUTPUTS[f"{role}_cluster_arn"],
                    "IsWriter": OUTPUTS[f"{role}_region"] == self.writer} for role in ("primary", "dr")]
        return {"GlobalClusters": [{"GlobalClusterMembers": members}]}

    def describe_secret(self, **_: str) -> Mapping[str, Any]:
        """The stages of its versions."""
        return {"VersionIdsToStages": {version: [*names] for version, names in self.stages.items() if names}}

    def get_secret_value(self, **request: str) -> Mapping[str, Any]:
        """A version, by default the current one."""
        version = request.get("VersionId") or next(each for each, names in self.stages.items() if "AWSCURRENT" in names)
        return {"SecretString": self.versions[version]}

    def put_secret_value(self, **request: Any) -> Mapping[str, Any]:
        """A new version."""
        version = str(len(self.versions) + 1)
        self.versions[version], self.stages[version] = request["SecretString"], request["VersionStages"]
        return {"VersionId": version}

    def modify_db_cluster(self, **request: Any) -> None:
        """Change the password."""
        self._may("modify_db_cluster")
        self.passwords[self.region, request["DBClusterIdentifier"]] = request["MasterUserPassword"]

    def update_secret_version_stage(self, **request: str) -> None:
        """Move a stage."""
        self._may("update_secret_version_stage")
        self.stages[request["RemoveFromVersionId"]].remove(request["VersionStage"])
        if "MoveToVersionId" in request:
            self.stages[request["MoveToVersionId"]].append(request["VersionStage"])

    @property
    def login(self) -> dict[str, str]:
        """What the secret says now."""
        found: dict[str, str] = json.loads(self.get_secret_value()["SecretString"])
        return found


@pytest.mark.parametrize(("writer", "cluster"), [("us-east-1", "a"), ("us-west-2", "b")])
def test_the_writer_and_the_secret_get_the_same_new_password(writer: str, cluster: str) -> None:
    aws = Aws(writer)
    assert rotate.rotate(OUTPUTS, aws) == cluster
    assert aws.passwords == {(writer, cluster): aws.login["password"]}
    assert len(aws.login["password"]) == 40
    assert aws.login.items() >= {"username": "ledger_admin", "engine": "postgres"}.items()
    assert aws.stages == {"1": [], "2": ["AWSCURRENT"]}


@pytest.mark.parametrize("operation", ["modify_db_cluster", "update_secret_version_stage"])
def test_a_command_that_failed_goes_on_with_the_same_password(
        operation: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "outputs.json").write_text(json.dumps(OUTPUTS), encoding="utf-8")
    environ, aws = {"TAPSTACK_OUTPUTS": str(tmp_path / "outputs.json")}, Aws(refuses=operation)
    assert rotate.main("pay", environ, aws) == 1
    assert capsys.readouterr().err.startswith("rotate-password: An error occurred (AccessDenied)")
    assert aws.login["password"] == "old"
    pending = json.loads(aws.versions["2"])["password"]
    aws.refuses = ""
    assert rotate.main("pay", environ, aws) == 0
    out = capsys.readouterr().out
    assert (out, aws.login["password"]) == ("a and the secret have a new master password\n", pending)
    assert (pending not in out, len(aws.versions)) == (True, 2)
