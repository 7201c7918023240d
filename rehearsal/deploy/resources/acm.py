"""ACM certificates."""

import time
from collections.abc import Mapping
from typing import Any

from rehearsal.deploy.resources.model import BotoCall, Listing, ResourceContext, ResourceType

ISSUE_TIMEOUT = 10.0  # seconds; the emulator issues at once
PAUSE = 0.1  # seconds between two looks


def _wait_until_issued(context: ResourceContext, region: str, arn: str) -> dict[str, Any]:
    deadline = time.monotonic() + ISSUE_TIMEOUT
    while True:
        certificate = context.client("acm", region).describe_certificate(CertificateArn=arn)["Certificate"]
        if certificate["Status"] == "ISSUED":
            return {}
        if time.monotonic() > deadline:
            raise ValueError(f"{arn} is {certificate['Status']}, not ISSUED")
        time.sleep(PAUSE)


_VALIDATION = ("out.Certificate.DomainValidationOptions[].{domainName: DomainName, "
               "resourceRecordName: ResourceRecord.Name, resourceRecordType: ResourceRecord.Type, "
               "resourceRecordValue: ResourceRecord.Value}")

RESOURCE_TYPES: Mapping[str, ResourceType] = {
    "aws:acm/certificate:Certificate": ResourceType(
        service="acm", create=BotoCall("request_certificate"), id="out.CertificateArn",
        then=(BotoCall("describe_certificate", {"CertificateArn": "id"}),),
        outputs={"arn": "id", "status": "out.Certificate.Status", "domainValidationOptions": _VALIDATION},
        listed=(Listing("list_certificates", "CertificateSummaryList[].CertificateArn"),),
        delete=(BotoCall("delete_certificate", {"CertificateArn": "id"}),)),
    # No resource, but the wait until the certificate is issued.
    "aws:acm/certificateValidation:CertificateValidation": ResourceType(
        service="acm", create=BotoCall(_wait_until_issued, {"region": "region", "arn": "in.certificateArn"}),
        id="in.certificateArn",
        provider_only=frozenset({"validationRecordFqdns"})),
}
