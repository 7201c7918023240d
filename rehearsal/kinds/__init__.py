"""What the rehearsal knows of each resource type and data function: one entry a type, one module a service."""

from collections.abc import Mapping

from rehearsal.kinds import (
    acm,
    apigateway,
    backup,
    cloudwatch,
    dynamodb,
    ec2,
    events,
    iam,
    kms,
    lambda_,
    random,
    rds,
    route53,
    s3,
    secretsmanager,
    sns,
)
from rehearsal.kinds.model import Invoke, Kind

_SERVICES = (acm, apigateway, backup, cloudwatch, dynamodb, ec2, events, iam, kms, lambda_, random, rds, route53,
             s3, secretsmanager, sns)

KINDS: Mapping[str, Kind] = {token: kind for service in _SERVICES for token, kind in service.KINDS.items()}

INVOKES: Mapping[str, Invoke] = {
    "aws:index/getCallerIdentity:getCallerIdentity": Invoke(
        service="sts",
        operation="get_caller_identity",
        outputs={"accountId": "out.Account", "arn": "out.Arn", "userId": "out.UserId", "id": "out.Account"},
    ),
    "aws:index/getAvailabilityZones:getAvailabilityZones": Invoke(
        service="ec2",
        operation="describe_availability_zones",
        outputs={"names": "out.AvailabilityZones[].ZoneName", "zoneIds": "out.AvailabilityZones[].ZoneId",
                 "groupNames": "[region]", "id": "region"},
        ignored=frozenset({"state", "filters"}),
    ),
    "aws:index/getPartition:getPartition": Invoke(
        outputs={"partition": "'aws'", "dnsSuffix": "'amazonaws.com'", "reverseDnsPrefix": "'com.amazonaws'",
                 "id": "'aws'"},
    ),
    **secretsmanager.INVOKES,
}
