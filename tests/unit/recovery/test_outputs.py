"""Which stack a command is about, and that what was rehearsed and what is in AWS are not mistaken for each other."""
import io
import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract import OutputsError
from recovery.errors import AwsFailure
from recovery.outputs import ELSEWHERE, FoundOutputs, check_place, in_files, in_region, reach

ARN = "arn:aws:rds:us-east-1:{}:cluster:c"
IN_AWS = {"stack_name": "prod", "profile": "prod", "primary_region": "us-east-1",
          "primary_cluster_arn": ARN.format("123456789012")}
REHEARSED = {**IN_AWS, "stack_name": "local", "primary_cluster_arn": ARN.format("000000000000"),
             "emulator": {"endpoint": "http://127.0.0.1:4711", "name_servers": "127.0.0.1:5300"}}


def write(folder: Path, *names: str) -> None:
    """Outputs files, each with its own name in it."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"stack_name": name}), encoding="utf-8")


@pytest.mark.parametrize(("present", "stack", "expected"), [
    (["cfn-outputs/flat-outputs.json"], "", "cfn-outputs/flat-outputs.json"),
    (["cfn-outputs/flat-outputs.json", "cfn-outputs/dev.json"], "", "cfn-outputs/dev.json"),
    (["cfn-outputs/dev.json", "cfn-outputs/prod.json"], "prod", "cfn-outputs/prod.json"),
    ([".rehearsal/sandbox/outputs.json"], "", ".rehearsal/sandbox/outputs.json"),
    ([".rehearsal/sandbox/outputs.json", "cfn-outputs/prod.json"], "sandbox", ".rehearsal/sandbox/outputs.json"),
    ([".rehearsal/sandbox/outputs.json", "cfn-outputs/prod.json"], "prod", "cfn-outputs/prod.json"),
    ([".rehearsal/run-1/outputs.json", "cfn-outputs/prod.json"], "", "cfn-outputs/prod.json"),
])
def test_the_outputs_of_a_stack_are_found(tmp_path: Path, present: list[str], stack: str, expected: str) -> None:
    write(tmp_path, *present)
    assert in_files({}, stack, tmp_path).values == {"stack_name": expected}


@pytest.mark.parametrize(("present", "stack", "reason"), [
    (["cfn-outputs/dev.json", "cfn-outputs/prod.json"], "", "outputs of dev, prod: say which stack, as in --stack dev"),
    (["cfn-outputs/prod.json", ".rehearsal/sandbox/outputs.json"], "", "there are outputs of prod, sandbox"),
    (["cfn-outputs/prod.json"], "dev", f"there are no outputs of dev here, only of prod: {ELSEWHERE}"),
    ([], "", f"there are no outputs of a stack here: {ELSEWHERE}"),
])
def test_nobody_guesses_which_stack_is_meant(tmp_path: Path, present: list[str], stack: str, reason: str) -> None:
    write(tmp_path, *present)
    with pytest.raises(OutputsError, match=re.escape(reason)):
        in_files({}, stack, tmp_path)


def test_a_name_comes_before_the_environment(tmp_path: Path) -> None:
    write(tmp_path, "mine.json", "cfn-outputs/dev.json")
    environ = {"TAPSTACK_OUTPUTS": str(tmp_path / "mine.json")}
    assert in_files(environ, "", tmp_path).values["stack_name"] == "mine.json"
    assert in_files(environ, "dev", tmp_path).values["stack_name"] == "cfn-outputs/dev.json"


@pytest.mark.parametrize(("values", "seconds", "line"), [
    (IN_AWS, 11000, "stack prod, profile prod, account 123456789012; outputs written 3 h ago (x.json)"),
    (REHEARSED, 61, "stack local, profile prod, a rehearsal; outputs written 1 min ago (x.json)"),
    ({"environment_suffix": "dev", "profile": "dev"}, 260000,
     "stack dev, profile dev, account unknown; outputs written 3 d ago (x.json)"),
    (IN_AWS, -5, "stack prod, profile prod, account 123456789012; outputs written 0 s ago (x.json)"),
])
def test_a_line_says_whose_outputs_they_are_and_how_old(values: dict[str, Any], seconds: float, line: str) -> None:
    assert FoundOutputs(values=values, where="x.json", written=1000).line(1000 + seconds) == line


def test_the_age_is_that_of_the_file(tmp_path: Path) -> None:
    write(tmp_path, "cfn-outputs/dev.json")
    os.utime(tmp_path / "cfn-outputs" / "dev.json", (1000, 1000))
    assert in_files({}, "", tmp_path).written == 1000


class Region:
    """STS and S3 of a region, in which the outputs of some suffixes are kept."""

    def __init__(self, **kept: str) -> None:
        self.kept, self.asked = kept, set[tuple[str, str]]()

    def __call__(self, service: str, region: str) -> Any:
        """A client."""
        self.asked.add((service, region))
        return SimpleNamespace(get_caller_identity=lambda: {"Account": "123456789012"}, get_object=self._get)

    def _get(self, **request: str) -> dict[str, Any]:
        suffix = request["Bucket"].split("-")[2]
        assert request == {"Bucket": f"tapstack-control-{suffix}-us-west-2-123456789012", "Key": "outputs.json"}
        if suffix not in self.kept:
            raise ClientError({"Error": {"Code": "NoSuchBucket", "Message": "it does not exist"}}, "GetObject")
        return {"Body": io.BytesIO(self.kept[suffix].encode()), "LastModified": datetime.fromtimestamp(1000, UTC)}


def test_credentials_alone_find_the_outputs_in_a_region() -> None:
    region = Region(prod=json.dumps(IN_AWS), bad="[]")
    found = in_region(region, "us-west-2", "prod")
    assert (found.values, found.written) == (IN_AWS, 1000)
    assert found.where == "s3://tapstack-control-prod-us-west-2-123456789012/outputs.json"
    assert region.asked == {("sts", "us-west-2"), ("s3", "us-west-2")}
    with pytest.raises(AwsFailure, match="outputs in us-west-2: NoSuchBucket: it does not exist"):
        in_region(region, "us-west-2", "dev")
    with pytest.raises(OutputsError, match="is not a JSON object"):
        in_region(region, "us-west-2", "bad")


def test_a_rehearsals_outputs_lead_to_its_emulator_whatever_the_environment_says() -> None:
    environ = {"AWS_PROFILE": "prod", "AWS_ENDPOINT_URL_S3": "https://s3.amazonaws.com", "https_proxy": "x",
               "HTTP_PROXY": "http://proxy", "no_proxy": "", "ALL_PROXY": "socks5://proxy", "HOME": "/h"}
    reach(IN_AWS, environ)
    assert environ["AWS_PROFILE"] == "prod"
    reach(REHEARSED, environ)
    assert environ == {
        "HOME": "/h", "AWS_ENDPOINT_URL": "http://127.0.0.1:4711", "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test", "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "HTTP_PROXY": "http://127.0.0.1:4711", "NO_PROXY": "127.0.0.1:4711", "AWS_DEFAULT_REGION": "us-east-1",
        "NAME_SERVERS": "127.0.0.1:5300"}


@pytest.mark.parametrize(("emulator", "reason"), [
    ({"endpoint": "http://example.com", "name_servers": ""}, "must lead to this machine"),
    ({"endpoint": "https://rds.us-east-1.amazonaws.com", "name_servers": ""}, "must lead to this machine"),
    ({}, "must have endpoint and name_servers"), ("x", "must have endpoint and name_servers"),
])
def test_a_rehearsals_outputs_lead_nowhere_else(emulator: Any, reason: str) -> None:
    environ = {"AWS_PROFILE": "prod"}
    with pytest.raises(OutputsError, match=reason):
        reach({**REHEARSED, "emulator": emulator}, environ)
    assert environ == {"AWS_PROFILE": "prod"}


def clients(**endpoints: str) -> Any:
    """Clients whose services have these endpoints, and else AWS's."""
    return lambda service, region: SimpleNamespace(
        meta=SimpleNamespace(endpoint_url=endpoints.get(service, f"https://{service}.{region}.amazonaws.com")))


def emulated() -> Any:
    """Clients of an emulator."""
    return clients(**dict.fromkeys(("dynamodb", "rds", "s3"), "http://127.0.0.1:1"))


def test_a_stack_is_called_where_it_is() -> None:
    check_place(IN_AWS, clients())
    check_place(REHEARSED, emulated())
    check_place({**REHEARSED, "emulator": None}, emulated())


@pytest.mark.parametrize("values", [REHEARSED, {key: REHEARSED[key] for key in IN_AWS}])
def test_a_rehearsals_outputs_are_refused_against_aws(values: dict[str, Any]) -> None:
    with pytest.raises(OutputsError, match="those of a rehearsal, and https://dynamodb"):
        check_place(values, clients())


@pytest.mark.parametrize("service", ["dynamodb", "rds", "s3"])
def test_outputs_of_aws_are_refused_against_an_emulator(service: str) -> None:
    with pytest.raises(OutputsError, match="account 123456789012, and http://127"):
        check_place(IN_AWS, clients(**{service: "http://127.0.0.1:1"}))
