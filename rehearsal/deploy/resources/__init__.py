"""What the rehearsal knows of each resource type and data function: one entry a type, one module a service."""

from collections.abc import Mapping

from rehearsal.deploy.resources import (
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
from rehearsal.deploy.resources.model import DataFunction, ResourceType

_SERVICES = (acm, apigateway, backup, cloudwatch, dynamodb, ec2, events, iam, kms, lambda_, random, rds, route53,
             s3, secretsmanager, sns)

RESOURCE_TYPES: Mapping[str, ResourceType] = {token: kind for service in _SERVICES for token, kind in service.RESOURCE_TYPES.items()}

DATA_FUNCTIONS: Mapping[str, DataFunction] = {
    "aws:index/getCallerIdentity:getCallerIdentity": DataFunction(
        service="sts",
        operation="get_caller_identity",
        outputs={"accountId": "out.Account", "arn": "out.Arn", "userId": "out.UserId", "id": "out.Account"},
    ),
    "aws:index/getAvailabilityZones:getAvailabilityZones": DataFunction(
        service="ec2",
        operation="describe_availability_zones",
        outputs={"names": "out.AvailabilityZones[].ZoneName", "zoneIds": "out.AvailabilityZones[].ZoneId",
                 "groupNames": "[region]", "id": "region"},
        ignored=frozenset({"state", "filters"}),
    ),
    "aws:index/getPartition:getPartition": DataFunction(
        outputs={"partition": "'aws'", "dnsSuffix": "'amazonaws.com'", "reverseDnsPrefix": "'com.amazonaws'",
                 "id": "'aws'"},
    ),
    **secretsmanager.DATA_FUNCTIONS,
}
