"""Route 53."""

from collections.abc import Mapping

from rehearsal.deploy.resources.model import BotoCall, Listing, ResourceType, Template

_RECORD_SET = (
    "{Name: in.name, Type: in.type, TTL: in.ttl, ResourceRecords: in.records[].{Value: @}, "
    "AliasTarget: in.aliases[0].{HostedZoneId: zoneId, DNSName: name, EvaluateTargetHealth: evaluateTargetHealth}, "
    "Failover: in.failoverRoutingPolicies[0].type, SetIdentifier: in.setIdentifier, HealthCheckId: in.healthCheckId}"
)


def _change(action: str) -> BotoCall:
    return BotoCall("change_resource_record_sets", {
        "HostedZoneId": "in.zoneId",
        "ChangeBatch": f"{{Changes: [{{Action: {action}, ResourceRecordSet: {_RECORD_SET}}}]}}"})


def _tag(resource_type: str) -> BotoCall:
    return BotoCall("change_tags_for_resource",
                {"ResourceType": f"'{resource_type}'", "ResourceId": "id", "AddTags": "tags"}, when="tags")


RESOURCE_TYPES: Mapping[str, ResourceType] = {
    "aws:route53/zone:Zone": ResourceType(
        service="route53",
        create=BotoCall("create_hosted_zone", {"CallerReference": "unique", "HostedZoneConfig.Comment": "in.comment"}),
        named="name", id="split(out.HostedZone.Id, '/')[2]",
        then=(_tag("hostedzone"),),
        outputs={"zoneId": "id", "arn": Template("arn:aws:route53:::hostedzone/{id}"),
                 "nameServers": "out.DelegationSet.NameServers"},
        # Every record in it is a resource of the program, and gone by then.
        provider_only=frozenset({"forceDestroy"}),
        listed=(Listing("list_hosted_zones", "HostedZones[].Id"),), delete=(BotoCall("delete_hosted_zone", {"Id": "id"}),)),
    "aws:route53/record:Record": ResourceType(
        service="route53", create=_change("in.allowOverwrite && 'UPSERT' || 'CREATE'"),
        id=Template("{in[zoneId]}_{in[name]}_{in[type]}"),
        outputs={"fqdn": "in.name"},
        delete=(_change("'DELETE'"),)),
    "aws:route53/healthCheck:HealthCheck": ResourceType(
        service="route53", create=BotoCall("create_health_check", {"CallerReference": "unique"}),
        within="HealthCheckConfig",
        renames={"fqdn": "HealthCheckConfig.FullyQualifiedDomainName",
                 "invertHealthcheck": "HealthCheckConfig.Inverted",
                 "childHealthThreshold": "HealthCheckConfig.HealthThreshold"}, id="out.HealthCheck.Id",
        then=(_tag("healthcheck"),),
        outputs={"arn": Template("arn:aws:route53:::healthcheck/{id}")},
        listed=(Listing("list_health_checks", "HealthChecks[].Id"),),
        delete=(BotoCall("delete_health_check", {"HealthCheckId": "id"}),)),
}
