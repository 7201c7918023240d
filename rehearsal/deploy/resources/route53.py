"""Route 53."""

from rehearsal.deploy.resources.model import Call, ResourceType, Template

_RECORD_SET = (
    "{Name: in.name, Type: in.type, TTL: in.ttl, ResourceRecords: in.records[].{Value: @}, "
    "AliasTarget: in.aliases[0].{HostedZoneId: zoneId, DNSName: name, EvaluateTargetHealth: evaluateTargetHealth}, "
    "Failover: in.failoverRoutingPolicies[0].type, SetIdentifier: in.setIdentifier, HealthCheckId: in.healthCheckId}"
)


def _change(action: str) -> Call:
    return Call("change_resource_record_sets", {
        "HostedZoneId": "in.zoneId",
        "ChangeBatch": f"{{Changes: [{{Action: {action}, ResourceRecordSet: {_RECORD_SET}}}]}}"})


def _tag(resource_type: str) -> Call:
    return Call("change_tags_for_resource", {"ResourceType": f"'{resource_type}'", "AddTags": "tags"}, when="tags")


RESOURCE_TYPES = {
    "aws:route53/zone:Zone": ResourceType(
        "route53", Call("create_hosted_zone", {"CallerReference": "unique", "HostedZoneConfig.Comment": "in.comment"}),
        name_input="name", id="split(out.HostedZone.Id, '/')[2]", after_create=(_tag("hostedzone"),),
        outputs={"zoneId": "id", "nameServers": "out.DelegationSet.NameServers"},
        # All records of the zone are resources of the program, and deleted before it.
        provider_only=frozenset({"forceDestroy"}), listings={"list_hosted_zones": "HostedZones[].Id"},
        delete=(Call("delete_hosted_zone"),)),
    "aws:route53/record:Record": ResourceType(
        "route53", _change("in.allowOverwrite && 'UPSERT' || 'CREATE'"),
        id=Template("{in[zoneId]}_{in[name]}_{in[type]}"), outputs={"fqdn": "in.name"}, delete=(_change("'DELETE'"),)),
    "aws:route53/healthCheck:HealthCheck": ResourceType(
        "route53", Call("create_health_check", {"CallerReference": "unique"}), wrapper="HealthCheckConfig",
        renames={"fqdn": "HealthCheckConfig.FullyQualifiedDomainName",
                 "invertHealthcheck": "HealthCheckConfig.Inverted",
                 "childHealthThreshold": "HealthCheckConfig.HealthThreshold"},
        id="out.HealthCheck.Id", after_create=(_tag("healthcheck"),),
        listings={"list_health_checks": "HealthChecks[].Id"}, delete=(Call("delete_health_check"),)),
}
