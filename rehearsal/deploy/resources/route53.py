"""Route 53."""

from rehearsal.deploy.resources.model import Call, ResourceType, words

_RECORD_SET = (
    "{Name: in.name, Type: in.type, TTL: in.ttl, ResourceRecords: in.records[].{Value: @}, "
    "AliasTarget: in.aliases[0].{HostedZoneId: zoneId, DNSName: name, EvaluateTargetHealth: evaluateTargetHealth}, "
    "Failover: in.failoverRoutingPolicies[0].type, SetIdentifier: in.setIdentifier, HealthCheckId: in.healthCheckId}"
)


def _change(action: str) -> Call:
    return Call("change_resource_record_sets", {
        "HostedZoneId": "in.zoneId",
        "ChangeBatch": f"{{Changes: [{{Action: {action}, ResourceRecordSet: {_RECORD_SET}}}]}}"})


def _tag(resource_type: str, *, removed: bool = False) -> Call:
    return Call("change_tags_for_resource", {
        "ResourceType": f"'{resource_type}'", "ResourceId": "id", "AddTags": "tags",
        "RemoveTagKeys": "untagged[0] && untagged" if removed else "`null`"}, when="tags")


RESOURCE_TYPES = {
    "aws:route53/zone:Zone": ResourceType(
        "route53", Call("create_hosted_zone", {"CallerReference": "unique", "HostedZoneConfig.Comment": "in.comment"}),
        name_input="name", id="split(out.HostedZone.Id, '/')[2]", after_create=(_tag("hostedzone"),),
        outputs={"zoneId": "id", "nameServers": "out.DelegationSet.NameServers"},
        # All records of the zone are resources of the program, and deleted before it.
        provider_only=words("forceDestroy"), listings={"list_hosted_zones": "HostedZones[].Id"},
        read=(Call("get_hosted_zone"),), found="out.HostedZone",
        held={"comment": "found.Config.Comment", "name": "trim_dot(found.Name)"}, replace=words("name"), update={
            "comment": (Call("update_hosted_zone_comment"),), "tags": (_tag("hostedzone", removed=True),)},
        delete=(Call("delete_hosted_zone"),)),
    "aws:route53/record:Record": ResourceType(
        "route53", _change("in.allowOverwrite && 'UPSERT' || 'CREATE'"),
        id="join('_', [in.zoneId, in.name, in.type, in.setIdentifier][?@])", outputs={"fqdn": "in.name"},
        read=(Call("list_resource_record_sets", {"HostedZoneId": "in.zoneId", "StartRecordName": "in.name",
                                                 "StartRecordType": "in.type"}),),
        found="pick(out.ResourceRecordSets, {Name: join('', [trim_dot(in.name), '.']), Type: in.type, "
              "SetIdentifier: in.setIdentifier})",
        held={"name": "trim_dot(found.Name) == trim_dot(in.name) && in.name || found.Name",
              "records": "found.ResourceRecords[].Value", "allowOverwrite": "",
              "aliases": "found.AliasTarget && [{name: trim_dot(found.AliasTarget.DNSName), "
                         "zoneId: found.AliasTarget.HostedZoneId, "
                         "evaluateTargetHealth: found.AliasTarget.EvaluateTargetHealth}]",
              "failoverRoutingPolicies": "found.Failover && [{type: found.Failover}]"},
        replace=words("name setIdentifier zoneId"), update={
            "aliases failoverRoutingPolicies healthCheckId records ttl": (_change("'UPSERT'"),)},
        delete=(_change("'DELETE'"),)),
    "aws:route53/healthCheck:HealthCheck": ResourceType(
        "route53", Call("create_health_check", {"CallerReference": "unique"}), wrapper="HealthCheckConfig",
        renames={"fqdn": "HealthCheckConfig.FullyQualifiedDomainName",
                 "invertHealthcheck": "HealthCheckConfig.Inverted",
                 "childHealthThreshold": "HealthCheckConfig.HealthThreshold"},
        id="out.HealthCheck.Id", after_create=(_tag("healthcheck"),),
        listings={"list_health_checks": "HealthChecks[].Id"}, read=(Call("get_health_check"),),
        found="out.HealthCheck.HealthCheckConfig", held={
            "childHealthchecks": "", "measureLatency": "", "fqdn": "found.FullyQualifiedDomainName",
              "invertHealthcheck": ""},
        replace=words("measureLatency requestInterval type"), update={
            "failureThreshold fqdn port resourcePath invertHealthcheck childHealthchecks childHealthThreshold": (
                Call("update_health_check", {
                    "FailureThreshold": "in.failureThreshold", "FullyQualifiedDomainName": "in.fqdn",
                    "Port": "in.port", "ResourcePath": "in.resourcePath", "Inverted": "in.invertHealthcheck",
                    "ChildHealthChecks": "in.childHealthchecks", "HealthThreshold": "in.childHealthThreshold"}),),
            "tags": (_tag("healthcheck", removed=True),)},
        delete=(Call("delete_health_check"),)),
}
