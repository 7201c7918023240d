"""The program as a whole: its providers, and what it refuses before anything is registered."""
import json

import pytest

from lib.errors import ProgramError
from tests.unit.lib.conftest import recording
from tests.unit.lib.recorder import Recording, record


def test_the_regions_are_the_configured_ones(domain: Recording) -> None:
    assert (domain.outputs["primary_region"], domain.outputs["dr_region"]) == ("us-west-2", "us-east-1")
    assert {r.inputs["region"] for r in domain.of("aws")} == {"us-west-2", "us-east-1"}


def test_providers_have_the_tags_and_no_emulator() -> None:
    program = recording("prod-released-domain-zone-europe")
    for provider in program.of("aws"):
        tags = json.loads(provider.inputs["defaultTags"])["tags"]
        assert tags == {"Project": "TapStack", "Environment": "dev", "ManagedBy": "pulumi", "CostCentre": "42"}
        assert not {"endpoints", "accessKey", "secretKey", "s3UsePathStyle"} & provider.inputs.keys()


def test_providers_of_an_emulator_reach_nothing_else(domain: Recording) -> None:
    for provider in domain.of("aws"):
        (endpoints,) = json.loads(provider.inputs["endpoints"])
        assert set(endpoints.values()) == {"http://127.0.0.1:4566"}
        assert {"s3", "rds", "lambda", "dynamodb", "iam", "sts"} <= endpoints.keys()
        for flag in ("skipCredentialsValidation", "skipMetadataApiCheck", "skipRequestingAccountId", "s3UsePathStyle"):
            assert json.loads(provider.inputs[flag]) is True


@pytest.mark.parametrize(("config", "reason"), [
    ({"drRegion": "us-east-1"}, "drRegion = 'us-east-1': must differ from primaryRegion"),
    ({"drRegion": "mx-central-1"}, "region 'mx-central-1': rds-ca.pem has no authority")])
def test_what_cannot_be_deployed_is_refused_before_anything_is_registered(config: dict[str, str], reason: str) -> None:
    registered = Recording()
    with pytest.raises(ProgramError, match=reason):
        record(config, recording=registered)
    assert not registered.resources
