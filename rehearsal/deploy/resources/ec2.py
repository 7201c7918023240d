"""EC2, and VPC, which is part of its API."""

from rehearsal.deploy.resources.model import Adoption, Call, ResourceType, Template, words


def _tagged(resource_type: str) -> dict[str, str]:
    return {"TagSpecifications": f"[{{ResourceType: '{resource_type}', Tags: tags}}]"}


def _attribute(name: str) -> Call:
    """Set an attribute of a VPC; each call takes one attribute."""
    return Call("modify_vpc_attribute", {f"{name[0].upper()}{name[1:]}.Value": f"in.{name}"}, when=f"in.{name} != null")


_DNS = ("enableDnsSupport", "enableDnsHostnames")
_TAGS = {"tags": (Call("create_tags", {"Resources": "[id]", "Tags": "tags"}),
                  Call("delete_tags", {"Resources": "[id]", "Tags": "untagged[].{Key: @}"}, when="untagged"))}


def _default_group(vpc: str) -> str:
    return f"[{{Name: 'vpc-id', Values: [{vpc}]}}, {{Name: 'group-name', Values: ['default']}}]"


def _revoke(direction: str, rules: str) -> Call:
    rules = f"out.SecurityGroups[0].{rules}"
    return Call(f"revoke_security_group_{direction}", {"GroupId": "id", "IpPermissions": rules}, when=rules)


def _rule(direction: str) -> ResourceType:
    """A security group rule, which is a resource separate from its group."""
    permission = (
        "[{IpProtocol: in.ipProtocol, FromPort: in.fromPort, ToPort: in.toPort, "
        "IpRanges: in.cidrIpv4 && [{CidrIp: in.cidrIpv4, Description: in.description}], "
        "PrefixListIds: in.prefixListId && [{PrefixListId: in.prefixListId, Description: in.description}], "
        "UserIdGroupPairs: in.referencedSecurityGroupId && "
        "[{GroupId: in.referencedSecurityGroupId, Description: in.description}]}]"
    )
    return ResourceType(
        "ec2",
        Call(f"authorize_security_group_{direction}",
             {"GroupId": "in.securityGroupId", "IpPermissions": permission, **_tagged("security-group-rule")}),
        id="out.SecurityGroupRules[0].SecurityGroupRuleId",
        read=(Call("describe_security_group_rules", {"SecurityGroupRuleIds": "[id]"}),),
        found="out.SecurityGroupRules[0]",
        adoption=Adoption(lookup=Call("describe_security_group_rules", {
            "Filters": "[{Name: 'group-id', Values: [in.securityGroupId]}]"}),
                          ids="out.SecurityGroupRules[].SecurityGroupRuleId"),
        held={"securityGroupId": "found.GroupId", "referencedSecurityGroupId": "found.ReferencedGroupInfo.GroupId",
              "tags": "found.Tags", "prefixListId": ""},
        replace=words("securityGroupId"), update={
            "description fromPort ipProtocol toPort cidrIpv4 referencedSecurityGroupId": (
                Call("modify_security_group_rules", {
                    "GroupId": "in.securityGroupId", "SecurityGroupRules":
                    "[{SecurityGroupRuleId: id, SecurityGroupRule: {IpProtocol: in.ipProtocol, FromPort: in.fromPort, "
                    "ToPort: in.toPort, CidrIpv4: in.cidrIpv4, ReferencedGroupId: in.referencedSecurityGroupId, "
                    "PrefixListId: in.prefixListId, Description: in.description}}]"}),),
            **_TAGS},
        delete=(Call(f"revoke_security_group_{direction}",
                     {"GroupId": "in.securityGroupId", "SecurityGroupRuleIds": "[id]"}),))


RESOURCE_TYPES = {
    "aws:ec2/vpc:Vpc": ResourceType(
        "ec2", Call("create_vpc", _tagged("vpc")), id="out.Vpc.VpcId",
        after_create=(*map(_attribute, _DNS),
                      Call("describe_security_groups", {"Filters": _default_group("id")})),
        outputs={"defaultSecurityGroupId": "out.SecurityGroups[0].GroupId"}, listings={"describe_vpcs": "Vpcs[].VpcId"},
        read=(Call("describe_vpcs", {"VpcIds": "[id]"}),
              *(Call("describe_vpc_attribute", {"Attribute": f"'{name}'"}) for name in _DNS)), found="out.Vpcs[0]",
        held={"enableDnsSupport": "out.EnableDnsSupport.Value", "enableDnsHostnames": "out.EnableDnsHostnames.Value"},
        replace=words("cidrBlock"), update={
            **{name: (_attribute(name),) for name in _DNS}, **_TAGS},
        delete=(Call("delete_vpc"),)),
    # Every VPC has one, which cannot be deleted; adopting it removes its rules.
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": ResourceType(
        "ec2", Call("describe_security_groups", {"Filters": _default_group("in.vpcId")}),
        id="out.SecurityGroups[0].GroupId",
        read=(Call("describe_security_groups", {"GroupIds": "[id]"}),), found="out.SecurityGroups[0]",
        replace=words("vpcId"), update=_TAGS,
        after_create=(_revoke("ingress", "IpPermissions"), _revoke("egress", "IpPermissionsEgress"),
                      Call("create_tags", {"Tags": "tags"}, when="tags"))),
    "aws:ec2/subnet:Subnet": ResourceType(
        "ec2", Call("create_subnet", _tagged("subnet")), id="out.Subnet.SubnetId",
        after_create=(Call("modify_subnet_attribute", {"MapPublicIpOnLaunch.Value": "in.mapPublicIpOnLaunch"},
                           when="in.mapPublicIpOnLaunch != null"),),
        read=(Call("describe_subnets", {"SubnetIds": "[id]"}),), found="out.Subnets[0]",
        replace=words("availabilityZone cidrBlock vpcId"), update={
            "mapPublicIpOnLaunch": (
                Call("modify_subnet_attribute", {"MapPublicIpOnLaunch.Value": "in.mapPublicIpOnLaunch"}),), **_TAGS},
        listings={"describe_subnets": "Subnets[].SubnetId"}, delete=(Call("delete_subnet"),)),
    # Every VPC has one more, its main table.
    "aws:ec2/routeTable:RouteTable": ResourceType(
        "ec2", Call("create_route_table", _tagged("route-table")), id="out.RouteTable.RouteTableId",
        read=(Call("describe_route_tables", {"RouteTableIds": "[id]"}),), found="out.RouteTables[0]",
        replace=words("vpcId"), update=_TAGS,
        listings={"describe_route_tables": "RouteTables[?!(Associations[?Main])].RouteTableId"},
        delete=(Call("delete_route_table"),)),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": ResourceType(
        "ec2", Call("associate_route_table"), id="out.AssociationId",
        read=(Call("describe_route_tables", {"RouteTableIds": "[in.routeTableId]"}),),
        found="pick(out.RouteTables[0].Associations, {RouteTableAssociationId: id})",
        adoption=Adoption(
            Template("{in[subnetId]}/{in[routeTableId]}"),
            Call("describe_route_tables", {"RouteTableIds": "[in.routeTableId]"}),
            "[pick(out.RouteTables[0].Associations, {SubnetId: in.subnetId}).RouteTableAssociationId][?@]"),
        replace=words("routeTableId subnetId"),
        delete=(Call("disassociate_route_table"),)),
    "aws:ec2/vpcEndpoint:VpcEndpoint": ResourceType(
        "ec2", Call("create_vpc_endpoint", _tagged("vpc-endpoint")), renames={"policy": "PolicyDocument"},
        id="out.VpcEndpoint.VpcEndpointId",
        # The emulator drops the policy that an endpoint is created with, and keeps the one that it is given later.
        after_create=(Call("modify_vpc_endpoint", {"VpcEndpointId": "id", "PolicyDocument": "in.policy"}),
                      Call("describe_prefix_lists",
                           {"Filters": "[{Name: 'prefix-list-name', Values: [in.serviceName]}]"})),
        outputs={"prefixListId": "out.PrefixLists[0].PrefixListId"},
        read=(Call("describe_vpc_endpoints", {"VpcEndpointIds": "[id]"}),), found="out.VpcEndpoints[0]",
        held={"policy": ""}, replace=words("serviceName vpcEndpointType vpcId"), update=_TAGS,
        listings={"describe_vpc_endpoints": "VpcEndpoints[].VpcEndpointId"}, delete=(Call("delete_vpc_endpoints"),)),
    # AWS gives a new group a rule that allows all outgoing traffic; the provider removes it.
    "aws:ec2/securityGroup:SecurityGroup": ResourceType(
        "ec2", Call("create_security_group", _tagged("security-group")), renames={"name": "GroupName"},
        name_input="name", id="out.GroupId",
        after_create=(Call("describe_security_groups", {"GroupIds": "[id]"}), _revoke("egress", "IpPermissionsEgress")),
        read=(Call("describe_security_groups", {"GroupIds": "[id]"}),), found="out.SecurityGroups[0]",
        replace=words("description name vpcId"), update=_TAGS,
        listings={"describe_security_groups": "SecurityGroups[].GroupId"},
        delete=(Call("delete_security_group", {"GroupId": "id"}),)),
    "aws:ec2/flowLog:FlowLog": ResourceType(
        "ec2", Call("create_flow_logs", {"ResourceIds": "[in.vpcId]", "ResourceType": "'VPC'"}),
        renames={"iamRoleArn": "DeliverLogsPermissionArn"}, id="out.FlowLogIds[0]",
        # Not with CreateFlowLogs: the emulator drops tags there.
        after_create=(Call("create_tags", {"Tags": "tags"}, when="tags"),),
        read=(Call("describe_flow_logs", {"FlowLogIds": "[id]"}),), found="out.FlowLogs[0]",
        held={"vpcId": "found.ResourceId"}, update=_TAGS,
        replace=words("iamRoleArn logDestination logDestinationType maxAggregationInterval trafficType vpcId"),
        listings={"describe_flow_logs": "FlowLogs[].FlowLogId"}, delete=(Call("delete_flow_logs"),)),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _rule("ingress"),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _rule("egress"),
}
