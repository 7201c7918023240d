"""The program as a whole: its providers, and what it refuses before anything is registered."""
import json
from unittest.mock import patch

import pulumi
import pulumi_aws as aws
import pytest

from lib.errors import ProgramError, SettingsError
from lib.global_foundation import WRITER, GlobalFoundation
from lib.identity import DeployedStack
from lib.names import Names
from lib.settings import Settings
from tests.unit.lib.conftest import CASES, recording
from tests.unit.lib.recorder import ACCOUNT, Recording, record


def test_an_existing_secret_is_read_only_for_the_first_cluster(prod: Recording) -> None:
    # A call without a parent uses the default provider:
    # https://www.pulumi.com/docs/iac/concepts/resources/options/provider/
    ((token, provider),) = prod.calls
    assert token == "aws:secretsmanager/getSecretVersion:getSecretVersion"
    assert prod.resources[provider.rpartition("::")[0]].inputs["region"] == "us-east-1"


@pytest.mark.parametrize(("state", "calls"), [({}, 1), ({WRITER: "arn:aws:rds:us-east-1:123456789012:cluster:c"}, 0)])
def test_what_has_the_writer_is_asked_for_no_secret_and_what_failed_before_is(
        state: dict[str, str], calls: int) -> None:
    def program() -> None:
        provider = aws.Provider("tap-dev-us-east-1", region="us-east-1")
        GlobalFoundation("tap-dev-foundation", settings=Settings.load({}), names=Names("dev", "us-east-1", ACCOUNT),
                         opts=pulumi.ResourceOptions(provider=provider))

    found = record(CASES["prod"], program=program,
                   recording=Recording(state={"tapstack:index:GlobalFoundation": state}))
    assert len(found.calls) == calls


def test_the_state_says_that_there_is_a_writer_once_its_cluster_exists(dev: Recording) -> None:
    said = dev.component_outputs["tapstack:index:GlobalFoundation"]["writer"]
    assert said == dev.arn(dev.one("Cluster", "primary-database"))
    previewed = recording("dev-domain-strong-swapped", known=False)
    unknown = previewed.component_outputs["tapstack:index:GlobalFoundation"]["writer"]
    assert isinstance(unknown, pulumi.output.Unknown)


def test_a_stack_is_registered_with_its_identity_and_held_against_it_before_anything_is_planned(dev: Recording) -> None:
    assert next(iter(dev)).type == "tapstack:index:DeployedStack"
    registered = Recording(state=dev.component_outputs)
    with pytest.raises(SettingsError, match=r"^drRegion = 'eu-west-1': the stack was deployed with 'us-west-2'"):
        record({"drRegion": "eu-west-1"}, recording=registered)
    assert [each.type for each in registered] == ["tapstack:index:DeployedStack"]
    assert registered.component_outputs == {}  # so the state keeps what it has


def test_a_project_of_another_name_is_refused() -> None:
    with patch("pulumi.get_project", return_value="tapstack"), pytest.raises(
            ProgramError, match=r"^Pulumi\.yaml: name = 'tapstack': must be TapStack, or no setting would be found$"):
        DeployedStack(protect=False)


def test_providers_refuse_another_account_except_an_emulators(dev: Recording, domain: Recording) -> None:
    assert [json.loads(each.inputs["allowedAccountIds"]) for each in dev.of("aws")] == [[ACCOUNT]] * 2
    assert not any("allowedAccountIds" in each.inputs for each in domain.of("aws"))


def test_providers_have_the_tags_and_no_emulator() -> None:
    # https://www.pulumi.com/registry/packages/aws/api-docs/provider/
    program = recording("prod-released-domain-zone-europe")
    for provider in program.of("aws"):
        tags = json.loads(provider.inputs["defaultTags"])["tags"]
        assert tags == {"Project": "TapStack", "Environment": "dev", "ManagedBy": "pulumi", "CostCentre": "42"}
        assert not {"endpoints", "accessKey", "secretKey", "s3UsePathStyle"} & provider.inputs.keys()


def test_providers_of_an_emulator_reach_nothing_else(domain: Recording) -> None:
    # https://www.pulumi.com/registry/packages/aws/api-docs/provider/
    for provider in domain.of("aws"):
        (endpoints,) = json.loads(provider.inputs["endpoints"])
        assert set(endpoints.values()) == {"http://127.0.0.1:4566"}
        assert {"s3", "rds", "lambda", "dynamodb", "iam", "sts"} <= endpoints.keys()
        for flag in ("skipCredentialsValidation", "skipMetadataApiCheck", "skipRequestingAccountId", "s3UsePathStyle"):
            assert json.loads(provider.inputs[flag]) is True


def test_what_may_be_a_mistake_is_said_on_the_way(dev: Recording, prod: Recording) -> None:
    assert [each.partition(": ")[0] for each in dev.warnings] == ["databaseMinCapacity = '0.5'"] * 2
    assert prod.warnings == []


@pytest.mark.parametrize(("config", "reason"), [
    ({"drRegion": "us-east-1"}, "drRegion = 'us-east-1': must differ from primaryRegion"),
    ({"drRegion": "mx-central-1"}, "region 'mx-central-1': rds-ca.pem has no authority")])
def test_what_cannot_be_deployed_is_refused_and_leaves_nothing(config: dict[str, str], reason: str) -> None:
    registered = Recording()
    with pytest.raises(ProgramError, match=reason):
        record(config, recording=registered)
    assert [each.kind for each in registered] == ["DeployedStack"]
    assert registered.component_outputs == {}
