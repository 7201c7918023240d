"""The rules for every resource of the program. The policy pack runs them in a preview, the gate on a recording.

In a preview, what depends on a resource that does not exist yet is UNKNOWN: given, but not to be judged yet.
"""
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lib.component import REPLACED_BY_RELEASES
from lib.parsers import TAGS_OF_THE_STACK

UNKNOWN: Final = object()
"""A value that is given, and will be known only during the deployment."""


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A resource as the program declares it: its inputs by Pulumi's names; the tags that its provider gives to all.

    `types` are those of its parents from the root, and its own: `tapstack:index:TapStack`, `aws:s3/bucket:Bucket`.
    """

    urn: str
    types: Sequence[str]
    inputs: Mapping[str, Any]
    region: str = ""
    tags: Mapping[str, str] | None = None
    protect: bool = False

    @property
    def name(self) -> str:
        """The logical name."""
        return self.urn.rpartition("::")[2]

    @property
    def kind(self) -> str:
        """Its type, as in `s3.Bucket`."""
        _, module, kind = self.types[-1].split(":")
        return f"{module.partition('/')[0]}.{kind}"


@dataclass(frozen=True, kw_only=True)
class DeclaredStack:
    """All resources of a program, and its configuration, without the project's name."""

    resources: Sequence[Declared]
    config: Mapping[str, str]

    @property
    def profile(self) -> object:
        """The profile that the stack was deployed with."""
        return next((each.inputs.get("profile") for each in self.resources if each.kind == "index.DeployedStack"), None)


@dataclass(frozen=True, kw_only=True)
class ResourceRule:
    """A rule that each resource keeps to by itself: `broken` says how it does not."""

    name: str
    description: str
    broken: Callable[[Declared], Iterator[str]]


@dataclass(frozen=True, kw_only=True)
class StackRule:
    """A rule about the resources together: `broken` gives a URN and what is wrong with it."""

    name: str
    description: str
    broken: Callable[[DeclaredStack], Iterator[tuple[str, str]]]


def values(inputs: Any, path: str) -> Iterator[Any]:
    """What is given at a path (`rules.*.id`, `*` for each item): None where it is not, UNKNOWN where part of it is."""
    head, _, rest = path.partition(".")
    if inputs is UNKNOWN or inputs is None or not path:
        yield inputs
    elif head == "*":
        for item in inputs:
            yield from values(item, rest)
    else:
        yield from values(inputs.get(head), rest)


def statements(document: object) -> list[dict[str, Any]]:
    """The statements of a policy; none if it is unknown."""
    return json.loads(document)["Statement"] if isinstance(document, str) else []


def listed(value: Any) -> list[Any]:
    """The values that a policy gives, as one value or as a list, as a list."""
    return value if isinstance(value, list) else [value]


def texts(value: Any) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, Sequence):
        for each in value:
            yield from texts(each)


Settings = Mapping[str, Mapping[str, Collection[object]]]


def held_to(settings: Settings) -> Callable[[Declared], Iterator[str]]:
    """A check that inputs have one of the values that a table allows, by kind and path."""
    def broken(resource: Declared) -> Iterator[str]:
        for path, allowed in settings.get(resource.kind, {}).items():
            for value in values(resource.inputs, path):
                if value is not UNKNOWN and value not in allowed:
                    yield f"{path} is {value!r}, not {' or '.join(map(repr, allowed))}"
    return broken


def at_least(settings: Mapping[str, Mapping[str, int]]) -> Callable[[Declared], Iterator[str]]:
    """A check that inputs are numbers of a least value, by kind and path."""
    def broken(resource: Declared) -> Iterator[str]:
        for path, least in settings.get(resource.kind, {}).items():
            for value in values(resource.inputs, path):
                if value is not UNKNOWN and (value or 0) < least:
                    yield f"{path} is {value!r}, not at least {least}"
    return broken


KEYS: Mapping[str, Sequence[str]] = {
    "backup.Vault": ["kmsKeyArn"],
    "cloudwatch.LogGroup": ["kmsKeyId"],
    "dynamodb.Table": ["serverSideEncryption.kmsKeyArn", "replicas.*.kmsKeyArn"],
    "lambda.Function": ["kmsKeyArn", "sourceKmsKeyArn"],
    "rds.Cluster": ["kmsKeyId"],
    "rds.ClusterInstance": ["performanceInsightsKmsKeyId"],
    "s3.BucketObjectv2": ["kmsKeyId"],
    "s3.BucketReplicationConfig": ["rules.*.destination.encryptionConfiguration.replicaKmsKeyId"],
    "s3.BucketServerSideEncryptionConfiguration": ["rules.*.applyServerSideEncryptionByDefault.kmsMasterKeyId"],
    "secretsmanager.Secret": ["kmsKeyId", "replicas.*.kmsKeyId"],
    "sns.Topic": ["kmsMasterKeyId"],
}
"""Where a type names the key that encrypts its data. A copy names the key of its own region."""
COPIES = ("replica", "destination")
LOGS = "-logs-encryption"
"""The bucket of the access logs: S3 delivers them only to one that is encrypted with S3's own key.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
"""


def customer_keys(resource: Declared) -> Iterator[str]:
    """What is stored is encrypted by the stack's key of its region."""
    for path in () if resource.name.endswith(LOGS) else KEYS.get(resource.kind, ()):
        for key in values(resource.inputs, path):
            if key is not UNKNOWN and not re.fullmatch(r"arn:aws:kms:[a-z0-9-]+:\d{12}:key/.+", str(key)):
                yield f"{path} is {key!r}, not a customer key"
            elif (isinstance(key, str) and not any(word in path for word in COPIES)
                  and key.split(":")[3] != resource.region):
                yield f"{path} is a key of another region than {resource.region}: {key}"


ENCRYPTED: Settings = {
    "rds.GlobalCluster": {"storageEncrypted": [True]},
    "rds.Cluster": {"storageEncrypted": [True]},
    "rds.ClusterInstance": {"performanceInsightsEnabled": [True]},
    "dynamodb.Table": {"serverSideEncryption.enabled": [True]},
    "s3.BucketServerSideEncryptionConfiguration": {
        "rules.*.bucketKeyEnabled": [True], "rules.*.applyServerSideEncryptionByDefault.sseAlgorithm": ["aws:kms"]},
}
ENCRYPTED_BY_S3: Settings = {"s3.BucketServerSideEncryptionConfiguration": {
    "rules.*.applyServerSideEncryptionByDefault.sseAlgorithm": ["AES256"]}}


def encrypted(resource: Declared) -> Iterator[str]:
    """What is stored is encrypted, by a customer key where the service takes one."""
    yield from held_to(ENCRYPTED_BY_S3 if resource.name.endswith(LOGS) else ENCRYPTED)(resource)


TLS: Settings = {
    "apigateway.RestApi": {"securityPolicy": ["TLS_1_2"]},
    "apigateway.DomainName": {"securityPolicy": ["TLS_1_2"]},
    "route53.HealthCheck": {"type": ["HTTPS", "CALCULATED"]},
}
TLS_ONLY = {"Bool": {"aws:SecureTransport": "false"}}
DENIED_WITHOUT_TLS = {"s3.BucketPolicy": "s3:*", "sns.TopicPolicy": "sns:Publish"}


def tls_only(resource: Declared) -> Iterator[str]:
    """Nothing is sent or taken in the clear."""
    yield from held_to(TLS)(resource)
    document = resource.inputs.get("policy")
    wanted = DENIED_WITHOUT_TLS.get(resource.kind)
    if wanted and document is not UNKNOWN and not any(
            each["Effect"] == "Deny" and wanted in listed(each["Action"]) and each.get("Condition") == TLS_ONLY
            for each in statements(document)):
        yield "policy does not deny what comes without TLS"
    if resource.kind == "rds.ClusterParameterGroup" and resource.inputs.get("parameters") is not UNKNOWN and not any(
            (each["name"], each["value"]) == ("rds.force_ssl", "1") for each in resource.inputs["parameters"]):
        yield "parameters do not have rds.force_ssl"


PUBLIC = frozenset({"ec2.InternetGateway", "ec2.NatGateway", "ec2.Eip", "lambda.FunctionUrl"})
CLOSED: Settings = {
    "ec2.Subnet": {"mapPublicIpOnLaunch": [False]},
    "ec2.DefaultSecurityGroup": {"ingress": [[]], "egress": [[]]},
    "ec2.SecurityGroup": {"ingress": [None], "egress": [None]},  # rules are resources of their own
    "ec2.VpcEndpoint": {"vpcEndpointType": ["Gateway"]},
    "rds.ClusterInstance": {"publiclyAccessible": [False]},
    "s3.BucketPublicAccessBlock": {key: [True] for key in (
        "blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")},
    "s3.BucketOwnershipControls": {"rule.objectOwnership": ["BucketOwnerEnforced"]},
    **{f"vpc.SecurityGroup{way}Rule": {"cidrIpv4": [None], "cidrIpv6": [None]} for way in ("Ingress", "Egress")},
}
OPEN = tuple(f"-checks-{slot}-{leaf}-method" for slot in ("odd", "even") for leaf in ("health", "takeover"))
"""The routes that Route 53's checkers ask, which can send no key: their paths are secret."""


def nothing_public(resource: Declared) -> Iterator[str]:
    """The API is all that the internet reaches, without a key only what health checks ask; no policy admits everybody.

    The policy of an endpoint does, and names the account.
    """
    if resource.kind in PUBLIC:
        yield "leads to the internet"
    yield from held_to(CLOSED)(resource)
    if resource.kind == "apigateway.Method" and not (
            resource.inputs.get("apiKeyRequired") or resource.name.endswith(OPEN)):
        yield "apiKeyRequired is not set"
    if resource.kind != "ec2.VpcEndpoint" and any(
            each["Effect"] == "Allow" and "*" in texts(each.get("Principal"))
            for each in statements(resource.inputs.get("policy"))):
        yield "policy admits everybody"
    if resource.kind == "ec2.VpcEndpoint" and resource.inputs.get("policy") is not UNKNOWN:
        own = {"aws:PrincipalAccount", "aws:ResourceAccount"}
        found = statements(resource.inputs.get("policy"))
        if not found or any(own != each.get("Condition", {}).get("StringEquals", {}).keys() for each in found):
            yield "policy is not limited to this account"


UNSCOPED = frozenset({
    "xray:PutTraceSegments", "xray:PutTelemetryRecords", "ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses", "tag:GetResources", "cloudwatch:PutMetricData",
    "cloudwatch:GetMetricStatistics", "s3:ListAllMyBuckets"})
"""Actions that have no resources, or, those of EC2, that AWS demands for all."""


def no_wildcard(resource: Declared) -> Iterator[str]:
    """A role names its actions, and their resources wherever an action has any."""
    for statement in statements(resource.inputs.get("policy")) if resource.kind == "iam.RolePolicy" else ():
        actions, arns = listed(statement["Action"]), listed(statement["Resource"])
        if statement["Effect"] == "Deny":
            continue
        if any(action.endswith(":*") or action == "*" for action in actions):
            yield f"every action: {actions}"
        unscoped = UNSCOPED.issuperset(actions)
        if not all(arn.startswith("arn:aws:") or (arn == "*" and unscoped) for arn in arns):
            yield f"every resource: {actions}"


def trust(resource: Declared) -> Iterator[str]:
    """A service acts in this account's name only, and a role is for one service."""
    document = "assumeRolePolicy" if resource.kind == "iam.Role" else "policy"
    for statement in statements(resource.inputs.get(document)):
        principal = statement.get("Principal", {})
        services = listed(principal["Service"]) if "Service" in principal else []
        if resource.kind == "iam.Role" and (len(services) != 1 or principal.keys() != {"Service"}):
            yield f"{document} trusts {principal}, not one service"
        if services and statement["Effect"] == "Allow" and "aws:SourceAccount" not in {
                key for condition in statement.get("Condition", {}).values() for key in condition}:
            yield f"{document} admits {services} whomever it acts for"
    if resource.kind == "lambda.Permission" and not resource.inputs.get("sourceArn"):
        yield "sourceArn is not given"


def tagged(resource: Declared) -> Iterator[str]:
    """The provider tags everything, and no resource says otherwise."""
    if resource.tags is not None and set(TAGS_OF_THE_STACK) - resource.tags.keys():
        yield f"its provider lacks the tags {', '.join(sorted(set(TAGS_OF_THE_STACK) - resource.tags.keys()))}"
    for key in TAGS_OF_THE_STACK:
        for own in values(resource.inputs, f"tags.{key}"):
            if own not in (None, UNKNOWN, (resource.tags or {}).get(key)):
                yield f"the tag {key} is {own!r}"


RETENTION: Mapping[str, Mapping[str, int]] = {
    "cloudwatch.LogGroup": {"retentionInDays": 1},  # 0 or none is for ever
    "kms.Key": {"deletionWindowInDays": 7},
    "kms.ReplicaKey": {"deletionWindowInDays": 7},
    "s3.BucketLifecycleConfiguration": {"rules.*.noncurrentVersionExpiration.noncurrentDays": 0},
}
BACKED_UP: Settings = {
    "dynamodb.Table": {"pointInTimeRecovery.enabled": [True], "replicas.*.pointInTimeRecovery": [True]},
    "s3.BucketVersioning": {"versioningConfiguration.status": ["Enabled"]},
}
KEPT: Mapping[str, Mapping[str, int]] = {
    "rds.Cluster": {"backupRetentionPeriod": 1},
    "backup.Plan": {"rules.*.lifecycle.deleteAfter": 1, "rules.*.copyActions.*.lifecycle.deleteAfter": 1},
}


def backed_up(resource: Declared) -> Iterator[str]:
    """What is stored can be restored, also from a copy in the other region."""
    yield from held_to(BACKED_UP)(resource)
    yield from at_least(KEPT)(resource)
    if resource.kind == "backup.Plan" and not all(values(resource.inputs, "rules.*.copyActions")):
        yield "copyActions are not given"


SECRET = re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY|://[^/\s:@]+:[^/\s@]+@")
NAMED_SECRET = re.compile("PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|CREDENTIAL", re.IGNORECASE)


def no_secret(resource: Declared) -> Iterator[str]:
    """No secret is written into an argument or into the environment of a function."""
    if any(SECRET.search(text) for text in texts(resource.inputs)):
        yield "an argument has a secret in it"
    for given in values(resource.inputs, "environment.variables"):
        for name in given if isinstance(given, Mapping) else ():
            if NAMED_SECRET.search(name):
                yield f"the environment has {name}"


PROTECTING: Settings = {
    "rds.GlobalCluster": {"deletionProtection": [True]},
    "rds.Cluster": {"deletionProtection": [True], "skipFinalSnapshot": [False]},
    "dynamodb.Table": {"deletionProtectionEnabled": [True], "replicas.*.deletionProtectionEnabled": [True]},
}


def protected(stack: DeclaredStack) -> Iterator[tuple[str, str]]:
    """In `prod` nothing that serves or keeps data can be deleted, unless the stack was released by its settings."""
    if stack.profile != "prod" or stack.config.get("deletionProtection") == "false":
        return
    for resource in stack.resources:
        type_ = resource.types[-1]
        if type_.startswith("aws:") and type_ not in REPLACED_BY_RELEASES and not resource.protect:
            yield resource.urn, "is not protected"
        for line in held_to(PROTECTING)(resource):
            yield resource.urn, line


ONE_SIDED = ("rds.ClusterInstance", "cloudwatch.MetricAlarm")
"""A standby may have fewer instances, and Route 53's alarms are in us-east-1 only."""


def alike(stack: DeclaredStack) -> Iterator[tuple[str, str]]:
    """Both regions have the same resources, whatever their role."""
    sides: dict[str, Counter[tuple[str, str]]] = {"PrimaryRegion": Counter(), "DrRegion": Counter()}
    urns: dict[tuple[str, str], str] = {}
    for resource in stack.resources:
        for side, found in sides.items():
            if f"tapstack:index:{side}" in resource.types[:-1] and resource.kind not in ONE_SIDED:
                kind = "kms.Key" if resource.kind == "kms.ReplicaKey" else resource.kind
                same = kind, re.sub("-(primary|dr)-", "-ROLE-", resource.name)
                found[same] += 1
                urns[same] = resource.urn
    primary, standby = sides.values()
    for same in (primary - standby) + (standby - primary):
        yield urns[same], "has no counterpart in the other region"


RULES: Sequence[ResourceRule | StackRule] = (
    ResourceRule(name="customer-keys", description="What is stored is encrypted by the stack's key of its region",
                 broken=customer_keys),
    ResourceRule(name="encrypted", description="Encryption is on", broken=encrypted),
    ResourceRule(name="tls-only", description="Nothing is sent or taken in the clear", broken=tls_only),
    ResourceRule(name="nothing-public", description="The API is all that the internet reaches", broken=nothing_public),
    ResourceRule(name="no-wildcard", description="A role names its actions and their resources", broken=no_wildcard),
    ResourceRule(name="trust", description="A service acts in this account's name only", broken=trust),
    ResourceRule(name="tags", description="Everything has the stack's tags", broken=tagged),
    ResourceRule(name="retention", description="Logs end, and a deleted key can be had back",
                 broken=at_least(RETENTION)),
    ResourceRule(name="backups", description="What is stored can be restored", broken=backed_up),
    ResourceRule(name="no-secret", description="No secret is in an argument", broken=no_secret),
    StackRule(name="protection", description="Nothing of a prod stack can be deleted by mistake", broken=protected),
    StackRule(name="regions-alike", description="Both regions have the same resources", broken=alike),
)
