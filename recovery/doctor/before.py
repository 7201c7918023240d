"""Checks for what would stop a deployment, or what it would break. Each cites the AWS page that it follows."""
import json
import re
from collections.abc import Iterator
from typing import Any

from recovery.doctor.check import Checks, Look, Situation, Symptom, answer_of_any
from recovery.doctor.needs import Needs

BEFORE = Checks[Needs]()
UNRESERVED, UNRESERVED_IN_NEW_ACCOUNTS = 100, 10
"""Executions that must stay unreserved, where the account's limit is above UNRESERVED and where it is not."""
GONE = ("ResourceNotFoundException", "InvalidRequestException")  # a secret that was deleted, or is about to be
UNKNOWN_VERSION = ("InvalidParameterValue", "InvalidParameterCombination", "DBEngineVersionNotFoundFault")
RESERVED_USERS = {"admin", "rdsadmin"}
PROJECT_TAGS = ("Project", "Environment")


def _regions(needs: Needs) -> list[str]:
    return [each.region for each in needs.regions]


@BEFORE.add("account", "Are you signed in to the account of the settings?")
def settings_account(look: Look, needs: Needs, _region: str) -> Iterator[Symptom]:
    """Pulumi refuses any other account, too."""
    if needs.account != look.account:
        yield Symptom(problem=f"account = {needs.account}: you are signed in to {look.account}",
                      remedy="sign in to the stack's account, or name another stack")


@BEFORE.add("regions", "Are the regions, and the witness's, enabled in this account?")
def regions_enabled(look: Look, needs: Needs, _region: str) -> Iterator[Symptom]:
    """A region that is not enabled refuses every call, so the other one is asked about it.

    https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
    """
    wanted = sorted({*_regions(needs), needs.witness_region} - {""})
    answer = answer_of_any(look, _regions(needs), "ec2", "DescribeRegions", AllRegions=True, RegionNames=wanted)
    for each in answer["Regions"]:
        if each["OptInStatus"] == "not-opted-in":
            yield Symptom(problem=f"{each['RegionName']} is not enabled in account {look.account}",
                          remedy="enable it (Account, AWS Regions) and wait until it is enabled, or choose another one")


@BEFORE.add("zones", "Does the account have the availability zones of the settings?", each_region=True,
            unless=Situation.DEPLOYED)
def zones_offered(look: Look, needs: Needs, region: str) -> Iterator[Symptom]:
    """Accounts differ in their availability zones.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeAvailabilityZones.html
    """
    found = look("ec2", "DescribeAvailabilityZones", region, Filters=[{"Name": "state", "Values": ["available"]}])
    offered = {each["ZoneName"] for each in found["AvailabilityZones"]}
    for missing in sorted(set(needs.of_region(region).zones) - offered):
        yield Symptom(problem=f"zone {missing} is not available; these are: {', '.join(sorted(offered))}",
                      remedy="name three of them in primaryZones or drZones")


@BEFORE.add("concurrency", "Does Lambda let the function reserve its executions?", each_region=True)
def concurrency(look: Look, needs: Needs, region: str) -> Iterator[Symptom]:
    """A reservation that leaves too little for other functions is refused.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
    """
    limits = look("lambda", "GetAccountSettings", region)["AccountLimit"]
    own = look("lambda", "GetFunctionConcurrency", region, absent=GONE, FunctionName=needs.function) or {}
    total = limits["ConcurrentExecutions"]
    free = limits["UnreservedConcurrentExecutions"] + own.get("ReservedConcurrentExecutions", 0)
    least = UNRESERVED if total > UNRESERVED else UNRESERVED_IN_NEW_ACCOUNTS
    more = "request {} concurrent executions (Service Quotas, lambda, L-B99A9384)"
    if needs.reserved and free - needs.reserved < least:
        below = f"at most {free - least}" if free > least else "-1"
        yield Symptom(problem=f"functionConcurrency = {needs.reserved}: {free} of the account's {total} concurrent "
                      f"executions are not reserved, and {least} must stay so",
                      remedy=f"{more.format(total - free + needs.reserved + UNRESERVED)}, or set functionConcurrency "
                             f"to {below}")
    elif not needs.reserved and free < needs.busy:
        yield Symptom(problem=f"the account has {free} concurrent executions for all functions; this stack may need "
                      f"{needs.busy} while a store does not answer", remedy=more.format(1000), fails=False)


@BEFORE.add("quotas", "Is there room for what the stack creates in the region?", each_region=True,
            unless=Situation.DEPLOYED)
def quotas(look: Look, needs: Needs, region: str) -> Iterator[Symptom]:
    """What is above a quota is refused.

    https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html
    """
    database = {each["AccountQuotaName"]: (each["Used"], each["Max"])
                for each in look("rds", "DescribeAccountAttributes", region)["AccountQuotas"]}
    for name, needed in needs.of_region(region).database_quotas.items():
        if name in database:
            yield from _room(f"RDS's {name}", needed, *database[name])
    gateways = {"Filters": [{"Name": "vpc-endpoint-type", "Values": ["Gateway"]}]}
    for what, needed, service, operation, key, request, code in (
            ("VPCs", 1, "ec2", "DescribeVpcs", "Vpcs", {}, "vpc L-F678F1CE"),
            ("gateway endpoints", 2, "ec2", "DescribeVpcEndpoints", "VpcEndpoints", gateways, "vpc L-1B52E74A"),
            ("regional APIs", 1, "apigateway", "GetRestApis", "items", {}, "apigateway L-AA0FF27B"),
            ("custom domain names", needs.custom_domains, "apigateway", "GetDomainNames", "items", {},
             "apigateway L-A93447B8"),
            ("sampling rules", 2, "xray", "GetSamplingRules", "SamplingRuleRecords", {}, "xray L-8C0C998A"),
            ("web ACLs", int(needs.firewall), "wafv2", "ListWebACLs", "WebACLs", {"Scope": "REGIONAL", "Limit": 100},
             "wafv2 L-2EC3DE7B")):
        if needed:
            used = [each for each in look(service, operation, region, **request)[key]
                    if each.get("SamplingRule", {}).get("RuleName") != "Default"]  # X-Ray's own, which does not count
            yield from _room(what, needed, len(used), _limit(look, region, *code.split()))


@BEFORE.add("Route 53", "Is there room for the health checks and the zone?", unless=Situation.DEPLOYED)
def route53_limits(look: Look, needs: Needs, region: str) -> Iterator[Symptom]:
    """These quotas are the account's, not a region's.

    https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html
    """
    zones = int(bool(needs.domain_name and not needs.hosted_zone_id))
    if zones:
        yield Symptom(problem=f"domainName = {needs.domain_name}: its zone is created, and `up` waits until the name "
                      "is delegated", fails=False,
                      remedy="be ready to enter the name servers, which `up` prints, in the parent's zone")
    wanted = {"MAX_HEALTH_CHECKS_BY_OWNER": ("health checks", needs.health_checks),
              "MAX_HOSTED_ZONES_BY_OWNER": ("hosted zones", zones)}
    for kind, (what, needed) in wanted.items():
        if needed:
            found = look("route53", "GetAccountLimit", region, Type=kind)
            yield from _room(what, needed, found["Count"], found["Limit"]["Value"])


def _limit(look: Look, region: str, service: str, code: str) -> float:
    """A quota's value: the account's own, or else AWS's default."""
    name = {"ServiceCode": service, "QuotaCode": code}
    found = (look("service-quotas", "GetServiceQuota", region, absent=("NoSuchResourceException",), **name)
             or look("service-quotas", "GetAWSDefaultServiceQuota", region, **name))
    return float(found["Quota"]["Value"])


def _room(what: str, needed: int, used: int, limit: float) -> Iterator[Symptom]:
    if used + needed > limit:
        yield Symptom(problem=f"{what}: {used} of {limit:.0f} are used, and the stack needs {needed}",
                      remedy="delete some, or request more (Service Quotas)")


@BEFORE.add("database", "Does the region offer the engine's version and the instances' class?", each_region=True)
def database_offered(look: Look, needs: Needs, region: str) -> Iterator[Symptom]:
    """Both regions must run the same version.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeOrderableDBInstanceOptions.html
    """
    wanted = {"Engine": needs.engine, "EngineVersion": needs.engine_version, "DBInstanceClass": needs.instance_class}
    found = look("rds", "DescribeOrderableDBInstanceOptions", region, absent=UNKNOWN_VERSION, **wanted) or {}
    offers = found.get("OrderableDBInstanceOptions", [])
    if any(each.get("SupportsGlobalDatabases") for each in offers):
        return
    major = needs.engine_version.partition(".")[0]
    versions = [each["EngineVersion"] for each in look("rds", "DescribeDBEngineVersions", region, Engine=needs.engine)
                ["DBEngineVersions"] if each["EngineVersion"].partition(".")[0] == major]
    how = "not for a global database" if offers else "not at all"
    yield Symptom(problem=f"{needs.engine} {needs.engine_version} on {needs.instance_class}: offered {how}",
                  remedy=f"set databaseEngineVersion to a version that both regions offer; {major} here: "
                         f"{', '.join(versions) or 'none'}")


@BEFORE.add("backup", "Does AWS Backup cover Aurora and DynamoDB?", each_region=True)
def backup_opted_in(look: Look, _needs: Needs, region: str) -> Iterator[Symptom]:
    """Without it nothing is backed up, and no alarm is raised.

    https://docs.aws.amazon.com/aws-backup/latest/devguide/API_DescribeRegionSettings.html
    https://docs.aws.amazon.com/aws-backup/latest/devguide/advanced-ddb-backup.html
    """
    found = look("backup", "DescribeRegionSettings", region)
    remedy = f"AWS Backup, Settings, in {region}: switch {{}} on"
    for kind in ("Aurora", "DynamoDB"):
        if not found.get("ResourceTypeOptInPreference", {}).get(kind):
            yield Symptom(problem=f"AWS Backup is not opted in for {kind}: it would not be backed up",
                          remedy=remedy.format(kind))
    if not found.get("ResourceTypeManagementPreference", {}).get("DynamoDB"):
        yield Symptom(problem="DynamoDB's advanced backup is off: no backup of the table could be copied",
                      remedy=remedy.format("advanced features for DynamoDB"))


@BEFORE.add("log role", "Who owns the role by which API Gateway writes logs?", each_region=True)
def log_role(look: Look, needs: Needs, region: str) -> Iterator[Symptom]:
    """There is one log role for each account and region, and it serves every API there.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
    """
    account = look("apigateway", "GetAccount", region)
    role = account.get("cloudwatchRoleArn", "")
    if needs.owns_log_role and role and role.rpartition("/")[2] != needs.of_region(region).log_role:
        yield Symptom(problem=f"API Gateway's log role belongs to another stack: {role}; `up` would take it over, and "
                      "`destroy` would leave that stack without one", remedy="set manageApiGatewayAccount to false")
    if not needs.owns_log_role and not role:
        yield Symptom(problem="API Gateway has no log role here, so it refuses a stage with an access log",
                      remedy="set manageApiGatewayAccount to true, or give API Gateway a role")
    rate = account.get("throttleSettings", {}).get("rateLimit", needs.api_rate)
    if rate < needs.api_rate:
        yield Symptom(problem=f"the clients may send {needs.api_rate} requests a second, apiRateLimit each; all APIs "
                      f"of the account together may take {rate:.0f}", fails=False,
                      remedy="request more (Service Quotas, apigateway, L-8A5B8E43), or set apiRateLimit lower")


@BEFORE.add("names", "Are the names free that an earlier stack may still hold?", each_region=True,
            unless=Situation.DEPLOYED)
def names_taken(look: Look, needs: Needs, region: str) -> Iterator[Symptom]:
    """What carries the stack's tags is its own: of an `up` that was broken off, or of a stack with the same suffix.

    A secret that waits for its deletion keeps its name, and a final snapshot is made only when the stack is destroyed.
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_delete-secret.html
    """
    wanted = needs.of_region(region)
    tags = [{"Key": key, "Values": [value]}
            for key, value in zip(PROJECT_TAGS, ("TapStack", needs.environment_suffix), strict=True)]
    tagged = look("resourcegroupstaggingapi", "GetResources", region, TagFilters=tags)["ResourceTagMappingList"]
    own = {each["ResourceARN"].removesuffix(":*") for each in tagged}
    secret = wanted.secret and look("secretsmanager", "DescribeSecret", region, absent=GONE, SecretId=wanted.secret)
    if secret and "DeletedDate" in secret:
        yield Symptom(problem=f"secret {wanted.secret} waits for its deletion, and keeps its name until then",
                      remedy=f"aws secretsmanager delete-secret --force-delete-without-recovery --region {region} "
                             f"--secret-id {wanted.secret}")
    elif secret:
        yield _taken("secret", wanted.secret, own=secret["ARN"] in own)
    for prefix in sorted(wanted.log_groups):
        for group in look("logs", "DescribeLogGroups", region, logGroupNamePrefix=prefix)["logGroups"]:
            if group["logGroupName"] == prefix:
                yield _taken("log group", prefix, own=group["arn"].removesuffix(":*") in own)
    yield from (_taken("bucket", name, own=f"arn:aws:s3:::{name}" in own) for name in wanted.buckets
                if look("s3", "HeadBucket", region, absent=("404", "NoSuchBucket"), Bucket=name) is not None)
    yield from (_taken("backup vault", wanted.vault, own=vault["BackupVaultArn"] in own)
                for vault in look("backup", "ListBackupVaults", region)["BackupVaultList"]
                if vault["BackupVaultName"] == wanted.vault)
    if wanted.final_snapshot and look("rds", "DescribeDBClusterSnapshots", region, absent=(
            "DBClusterSnapshotNotFoundFault",), DBClusterSnapshotIdentifier=wanted.final_snapshot):
        yield Symptom(problem=f"snapshot {wanted.final_snapshot} exists: a `destroy` could not make its own",
                      remedy="copy it under another name and delete it", fails=False)


def _taken(what: str, name: str, *, own: bool) -> Symptom:
    if own:
        return Symptom(problem=f"{what} {name} exists, with the tags of this stack", fails=False,
                       remedy="if `pulumi stack --show-urns` does not list it, delete or import it")
    return Symptom(problem=f"{what} {name} exists, and does not belong to this stack", remedy="delete or rename it")


@BEFORE.add("hosted zone", "Does the zone serve the domain?")
def hosted_zone(look: Look, needs: Needs, region: str) -> Iterator[Symptom]:
    """Certificates and clients need a public zone to which the domain is delegated.

    https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/MigratingDNS.html
    """
    domain, zone_id = needs.domain_name, needs.hosted_zone_id
    if not zone_id:
        return
    found = look("route53", "GetHostedZone", region, absent=("NoSuchHostedZone", "InvalidInput"), Id=zone_id)
    if found is None:
        yield Symptom(problem=f"hostedZoneId = {zone_id}: there is no such zone in account {look.account}",
                      remedy="`aws route53 list-hosted-zones` shows the zones of the account")
        return
    zone = found["HostedZone"]["Name"].rstrip(".")
    if domain != zone and not domain.endswith(f".{zone}"):
        yield Symptom(problem=f"hostedZoneId = {zone_id}: domainName = {domain} does not end in its name {zone}",
                      remedy=f"name the zone of {domain}, or one above it")
    if found["HostedZone"].get("Config", {}).get("PrivateZone"):
        yield Symptom(problem=f"hostedZoneId = {zone_id}: is private, so neither clients nor certificates can use it",
                      remedy="name a public zone")
        return
    servers = {each.rstrip(".").lower() for each in found["DelegationSet"]["NameServers"]}
    delegated = look.name_servers(zone)
    if not delegated & servers:
        whom = ", ".join(sorted(delegated)) or "nobody"
        yield Symptom(problem=f"hostedZoneId = {zone_id}: {zone} is delegated to {whom}, not to this zone: no "
                      "certificate is ever issued",
                      remedy=f"in the parent's zone, delegate {zone} to {', '.join(sorted(servers))}")


@BEFORE.add("secret", "Is the database's secret readable and well formed?")
def secret_usable(look: Look, needs: Needs, _region: str) -> Iterator[Symptom]:
    """No text of the secret is shown.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBCluster.html (MasterUsername and its password)
    """
    arn = needs.secret_arn
    if not arn:
        return
    home, account = arn.split(":")[3:5]
    if account != look.account:
        yield Symptom(problem=f"databaseSecretArn = {arn}: belongs to account {account}, and you are signed in to "
                      f"{look.account}",
                      remedy="sign in to the other account, or name a secret of this one")
        return
    found = look("secretsmanager", "GetSecretValue", home, absent=GONE, SecretId=arn)
    if found is None:
        yield Symptom(problem=f"databaseSecretArn = {arn}: does not exist, or waits for its deletion",
                      remedy="create or restore it, or unset databaseSecretArn")
        return
    for wrong in _malformed(found.get("SecretString", "")):
        yield Symptom(problem=f"databaseSecretArn = {arn}: {wrong}", remedy="put another value into the secret")
    copies = look("secretsmanager", "DescribeSecret", home, SecretId=arn).get("ReplicationStatus", [])
    for missing in sorted(set(_regions(needs)) - {home, *(each["Region"] for each in copies)}):
        yield Symptom(problem=f"databaseSecretArn = {arn}: has no replica in {missing}, where `make migrate` reads it "
                      "after a failover", fails=False,
                      remedy=f"aws secretsmanager replicate-secret-to-regions --add-replica-regions Region={missing} "
                             f"--region {home} --secret-id {arn}")


def _malformed(text: str) -> Iterator[str]:
    """What is wrong with a login, without quoting it."""
    try:
        content: Any = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        yield "must hold a JSON object with username and password"
        return
    user, password = (str(content.get(key, "")) for key in ("username", "password"))
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_]{0,62}", user) or user in RESERVED_USERS:
        yield "its username must be 1 to 63 letters, digits or _, begin with a letter, and not be reserved by RDS"
    if not re.fullmatch("[!-~]{8,128}", password) or set(password) & set('/"@'):
        yield 'its password must be 8 to 128 printable characters without / " @ and space'
