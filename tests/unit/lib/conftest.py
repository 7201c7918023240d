"""The recorded program, in several configurations."""
from functools import cache

import pytest

from tests.unit.lib.recorder import Recording, record

SECRET_ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:existing-AbCdEf"
CASES = {
    "dev": {},
    "prod": {"profile": "prod", "databaseSecretArn": SECRET_ARN, "alarmEmail": "night@example.com",
             "manageApiGatewayAccount": "false", "failoverMode": "automatic", "domainName": "pay.example.com",
             "clients": '{"default": "1,2", "shop": "3,4", "kiosk": "1"}', "apiRateLimit": "10", "apiBurstLimit": "20",
             "checkPath": "2"},
    "dev-domain-strong-swapped": {
        "recoveryTimeObjective": "1155",
        "domainName": "pay.example.com", "tableConsistency": "strong", "witnessRegion": "us-east-2",
        "recoveryPointObjective": "0", "primaryRegion": "us-west-2", "drRegion": "us-east-1", "drInstances": "0",
        "awsEndpoint": "http://127.0.0.1:4566", "environmentSuffix": "seventeen-letters", "functionConcurrency": "7",
        "apiRateLimit": "2", "drZones": "us-east-1d,us-east-1a,us-east-1c"},
    "prod-released-domain-zone-europe": {
        "profile": "prod", "deletionProtection": "false", "domainName": "pay.example.com",
        "hostedZoneId": "Z0123456789ABCDEFGHIJ", "primaryRegion": "eu-west-1", "drRegion": "eu-central-1",
        "tags": '{"CostCentre": "42"}', "replicationPauses": "true", "apiAuthorization": "iam"},
}
PREVIEWED = ("dev-domain-strong-swapped",)


@cache
def _recorded(case: str, known: bool) -> Recording:
    return record(CASES[case], known=known)


def recording(case: str, *, known: bool = True) -> Recording:
    """The program's registrations in a case; `known=False` is the preview of a stack that does not exist yet."""
    return _recorded(case, known)


@pytest.fixture(params=[*CASES, *(f"{case}-preview" for case in PREVIEWED)])
def program(request: pytest.FixtureRequest) -> Recording:
    """Every case in turn, known and previewed."""
    case = str(request.param)
    return recording(case.removesuffix("-preview"), known=not case.endswith("-preview"))


@pytest.fixture(params=list(CASES))
def deployed(request: pytest.FixtureRequest) -> Recording:
    """Every case in turn, all outputs known."""
    return recording(str(request.param))


@pytest.fixture
def dev() -> Recording:
    """The defaults."""
    return recording("dev")


@pytest.fixture
def prod() -> Recording:
    """The defaults of the profile prod, with an existing secret, an e-mail address, several clients, and rotations."""
    return recording("prod")


@pytest.fixture
def domain() -> Recording:
    """With a domain whose zone is created, strong consistency, and the regions swapped."""
    return recording("dev-domain-strong-swapped")
