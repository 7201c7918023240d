"""ACM certificates."""

from rehearsal.deploy.resources.model import Call, ResourceType, words

_VALIDATION = ("out.Certificate.DomainValidationOptions[].{domainName: DomainName, "
               "resourceRecordName: ResourceRecord.Name, resourceRecordType: ResourceRecord.Type, "
               "resourceRecordValue: ResourceRecord.Value}")

RESOURCE_TYPES = {
    "aws:acm/certificate:Certificate": ResourceType(
        "acm", Call("request_certificate"), id="out.CertificateArn", after_create=(Call("describe_certificate"),),
        outputs={"arn": "id", "domainValidationOptions": _VALIDATION},
        listings={"list_certificates": "CertificateSummaryList[].CertificateArn"},
        read=(Call("describe_certificate"),), found="out.Certificate",
        held={"subjectAlternativeNames": ""}, replace=words("domainName subjectAlternativeNames validationMethod"),
        delete=(Call("delete_certificate"),)),
    # Not a resource on AWS: the provider only waits until the certificate is issued, which the emulator does at once.
    "aws:acm/certificateValidation:CertificateValidation": ResourceType(
        "acm", Call("describe_certificate", {"CertificateArn": "in.certificateArn"}),
        id="out.Certificate.Status == 'ISSUED' && in.certificateArn",
        provider_only=words("validationRecordFqdns"),
        read=(Call("describe_certificate", {"CertificateArn": "in.certificateArn"}),), found="out.Certificate",
        replace=words("certificateArn validationRecordFqdns")),
}
