"""Certificates."""

import pytest

from rehearsal.errors import DeploymentError
from tests.rehearsal.cloud import Cloud
from tests.rehearsal.deploy.conftest import Create

VALIDATION = "aws:acm/certificateValidation:CertificateValidation"
ARN = "arn:aws:acm:us-west-2:000000000000:certificate/c"


def test_a_validation_needs_an_issued_certificate(cloud: Cloud, create: Create) -> None:
    cloud.answers["DescribeCertificate"] = {"Certificate": {"Status": "ISSUED"}}
    assert create(VALIDATION, certificateArn=ARN).scope["id"] == ARN
    cloud.answers["DescribeCertificate"] = {"Certificate": {"Status": "PENDING_VALIDATION"}}
    with pytest.raises(DeploymentError, match="is not in the answer"):
        create(VALIDATION, certificateArn=ARN)
