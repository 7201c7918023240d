"""Every type of resource in the program, and what the tests expect of it. A type that is missing here fails them."""
import importlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lib.parsers import TAGS_OF_THE_STACK
from tests.unit.lib.recorder import Recording, Resource


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What is expected of a type.

    `name` is the input with its physical name, and `limit` how long that may be; `label` is set where `name` is
    a fixed word, a host or a path, and `everywhere` where names must differ between the regions, too.
    `tags`: whether the type has tags, which it takes from its provider. `data`: never deleted before it is replaced.
    `in_use`: other resources use it while it is replaced, so it is not deleted first.
    """

    name: str = ""
    limit: int = 0
    label: bool = False
    everywhere: bool = False
    tags: bool = False
    data: bool = False
    in_use: bool = False


def named(limit: int, name: str = "name", **more: Any) -> Expected:
    """A type with a physical name."""
    return Expected(name=name, limit=limit, **more)


PLAIN, TAGGED = Expected(), Expected(tags=True)
LABELLED = Expected(label=True)

TYPES: Mapping[str, Expected] = MappingProxyType({
    "acm.Certificate": Expected(label=True, tags=True, in_use=True),
    "acm.CertificateValidation": Expected(in_use=True),
    "apigateway.Account": PLAIN,
    "apigateway.ApiKey": named(1024, tags=True),
    "apigateway.BasePathMapping": LABELLED,
    "apigateway.Deployment": Expected(in_use=True),
    "apigateway.DomainName": Expected(label=True, tags=True),
    "apigateway.Integration": PLAIN,
    "apigateway.IntegrationResponse": PLAIN,
    "apigateway.Method": PLAIN,
    "apigateway.MethodResponse": PLAIN,
    "apigateway.MethodSettings": LABELLED,
    "apigateway.Resource": PLAIN,
    "apigateway.Response": PLAIN,
    "apigateway.RestApi": named(255, tags=True),
    "apigateway.Stage": Expected(label=True, tags=True),
    "apigateway.UsagePlan": named(255, tags=True),
    "apigateway.UsagePlanKey": PLAIN,
    "backup.Plan": named(50, tags=True),
    "backup.Selection": LABELLED,
    "backup.Vault": named(50, tags=True, data=True),
    "backup.VaultLockConfiguration": PLAIN,
    "cloudwatch.Dashboard": named(255, "dashboardName", everywhere=True),
    "cloudwatch.EventRule": named(64, tags=True),
    "cloudwatch.EventTarget": PLAIN,
    "cloudwatch.LogGroup": named(512, tags=True),
    "cloudwatch.MetricAlarm": named(255, tags=True),
    "dynamodb.Table": named(255, tags=True, data=True),
    "ec2.DefaultSecurityGroup": TAGGED,
    "ec2.FlowLog": TAGGED,
    "ec2.RouteTable": TAGGED,
    "ec2.RouteTableAssociation": PLAIN,
    "ec2.SecurityGroup": named(255, tags=True),
    "ec2.Subnet": TAGGED,
    "ec2.Vpc": TAGGED,
    "ec2.VpcEndpoint": TAGGED,
    "fis.ExperimentTemplate": TAGGED,
    "iam.Role": named(64, everywhere=True, tags=True),
    "iam.RolePolicy": LABELLED,
    "kms.Alias": named(256),
    "kms.Key": Expected(tags=True, data=True),
    "kms.ReplicaKey": Expected(tags=True, data=True),
    "lambda.Alias": LABELLED,
    "lambda.Function": named(64, tags=True),
    "lambda.FunctionEventInvokeConfig": LABELLED,
    "lambda.Permission": PLAIN,
    "rds.Cluster": named(63, "clusterIdentifier", everywhere=True, tags=True, data=True),
    "rds.ClusterInstance": named(63, "identifier", everywhere=True, tags=True),
    "rds.ClusterParameterGroup": named(255, everywhere=True, tags=True, in_use=True),
    "rds.GlobalCluster": named(63, "globalClusterIdentifier", tags=True, data=True),
    "rds.SubnetGroup": named(255, everywhere=True, tags=True),
    "route53.HealthCheck": Expected(tags=True, in_use=True),
    "route53.Record": LABELLED,
    "route53.Zone": Expected(label=True, tags=True, data=True),
    "s3.Bucket": named(63, "bucket", everywhere=True, tags=True, data=True),
    "s3.BucketLifecycleConfiguration": LABELLED,
    "s3.BucketLogging": LABELLED,
    "s3.BucketObjectv2": Expected(label=True),
    "s3.BucketObjectLockConfiguration": LABELLED,
    "s3.BucketOwnershipControls": LABELLED,
    "s3.BucketPolicy": LABELLED,
    "s3.BucketPublicAccessBlock": LABELLED,
    "s3.BucketReplicationConfig": LABELLED,
    "s3.BucketServerSideEncryptionConfiguration": LABELLED,
    "s3.BucketVersioning": LABELLED,
    "secretsmanager.Secret": named(512, tags=True, data=True),
    "secretsmanager.SecretVersion": Expected(in_use=True),
    "sns.Topic": named(256, tags=True),
    "sns.TopicPolicy": PLAIN,
    "sns.TopicSubscription": PLAIN,
    "vpc.SecurityGroupEgressRule": TAGGED,
    "vpc.SecurityGroupIngressRule": TAGGED,
    "wafv2.WebAcl": named(128, tags=True),
    "wafv2.WebAclAssociation": PLAIN,
    "wafv2.WebAclLoggingConfiguration": PLAIN,
    "xray.SamplingRule": named(32, "ruleName", tags=True),
    "random.RandomPassword": Expected(in_use=True),
})
# Inputs that are names in AWS; in some types they refer to another resource, or are a label.
NAMING = {"name", "bucket", "clusterIdentifier", "globalClusterIdentifier", "identifier", "dashboardName", "domainName",
          "stageName", "functionName"}

Types = Mapping[str, Expected]


def short(resource: Resource) -> str:
    """A type as the table names it: `s3.Bucket` for `aws:s3/bucket:Bucket`."""
    _, module, kind = resource.type.split(":")
    package = "random" if resource.type.startswith("random:") else module.partition("/")[0]
    return f"{package}.{kind}"


def arguments(type_name: str) -> set[str]:
    """The arguments that the provider takes for a type, in snake_case."""
    service, _, kind = type_name.partition(".")
    module = importlib.import_module(f"pulumi_aws.{'lambda_' if service == 'lambda' else service}")
    return set(inspect.signature(getattr(module, f"{kind}Args").__init__).parameters)


def unclassified(program: Recording, types: Types = TYPES) -> set[str]:
    """Types that the table lacks."""
    return {short(resource) for resource in program.custom} - types.keys()


def classified(program: Recording, types: Types) -> Iterator[tuple[Resource, Expected]]:
    """Each resource of a known type with what is expected of it."""
    return ((resource, types[short(resource)]) for resource in program.custom if short(resource) in types)


def misnamed(program: Recording, suffix: str, types: Types = TYPES) -> list[str]:
    """Resources whose physical name is missing, is too long, lacks the suffix, or is taken."""
    taken: set[tuple[str, ...]] = set()
    wrong = []
    for resource, expected in classified(program, types):
        name = str(resource.inputs.get(expected.name, "")) if expected.name else None
        if name is None:
            if NAMING & resource.inputs.keys() and not (expected.label or references(resource)):
                wrong.append(resource.urn)
            continue
        space = (short(resource), name, "" if expected.everywhere else program.region(resource))
        if not 0 < len(name) <= expected.limit or suffix not in name or space in taken:
            wrong.append(resource.urn)
        taken.add(space)
    return wrong


def references(resource: Resource) -> bool:
    """Whether all inputs that look like names refer to other resources, by the ids that the recorder gives them."""
    return all(str(resource.inputs[key]).endswith("-id") for key in NAMING & resource.inputs.keys())


def mistagged(program: Recording, types: Types = TYPES) -> list[str]:
    """Resources that replace a tag which the provider gives to all, or whose tags are not as the table says."""
    return [resource.urn for resource, expected in classified(program, types) if resource.type.startswith("aws:")
            and (set(TAGS_OF_THE_STACK) & resource.inputs.get("tags", {}).keys()
                 or ("tags" in arguments(short(resource)) and "overrideProvider" not in resource.inputs)
                 is not expected.tags)]
