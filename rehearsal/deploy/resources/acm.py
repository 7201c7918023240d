"""ACM certificates."""

from typing import Any

from rehearsal.aws.clients import EmulatorClients
from rehearsal.deploy.resources.model import BotoCall, Listing, ResourceType


def _check_issued(clients: EmulatorClients, region: str, arn: str) -> dict[str, Any]:
    """Fail unless the certificate is issued. The emulator issues at once, so there is nothing to wait for."""
    certificate = clients("acm", region).describe_certificate(CertificateArn=arn)["Certificate"]
    if certificate["Status"] != "ISSUED":
        raise ValueError(f"{arn} is {certificate['Status']}, not ISSUED")
    return {}


_VALIDATION = ("out.Certificate.DomainValidationOptions[].{domainName: DomainName, "
               "resourceRecordName: ResourceRecord.Name, resourceRecordType: ResourceRecord.Type, "
               "resourceRecordValue: ResourceRecord.Value}")

RESOURCE_TYPES = {
    "aws:acm/certificate:Certificate": ResourceType(
        service="acm", create=BotoCall("request_certificate"), id="out.CertificateArn",
        after_create=(BotoCall("describe_certificate", {"CertificateArn": "id"}),),
        outputs={"arn": "id", "domainValidationOptions": _VALIDATION},
        listings=(Listing("list_certificates", "CertificateSummaryList[].CertificateArn"),),
        delete=(BotoCall("delete_certificate", {"CertificateArn": "id"}),)),
    # Not a resource on AWS: the provider only waits until the certificate is issued.
    "aws:acm/certificateValidation:CertificateValidation": ResourceType(
        service="acm", create=BotoCall(_check_issued, {"region": "region", "arn": "in.certificateArn"}),
        id="in.certificateArn",
        provider_only=frozenset({"validationRecordFqdns"})),
}
