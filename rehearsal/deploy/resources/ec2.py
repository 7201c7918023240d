"""EC2, and VPC, which is part of its API."""

from collections.abc import Mapping

from rehearsal.deploy.resources.model import BotoCall, Listing, ResourceType, Template


def _tagged(resource_type: str) -> dict[str, str]:
    return {"TagSpecifications": f"[{{ResourceType: '{resource_type}', Tags: tags}}]"}


def _attribute(name: str) -> BotoCall:
    """Set an attribute of a VPC; the operation takes one at a time."""
    return BotoCall("modify_vpc_attribute", {"VpcId": "id", f"{name[0].upper()}{name[1:]}.Value": f"in.{name}"},
                when=f"in.{name} != null")


def _default_group(vpc: str) -> str:
    return f"[{{Name: 'vpc-id', Values: [{vpc}]}}, {{Name: 'group-name', Values: ['default']}}]"


def _revoke(direction: str, rules: str) -> BotoCall:
    rules = f"out.SecurityGroups[0].{rules}"
    return BotoCall(f"revoke_security_group_{direction}", {"GroupId": "id", "IpPermissions": rules}, when=rules)


def _rule(direction: str) -> ResourceType:
    """A security group rule: a thing of its own, apart from its group."""
    permission = (
        "[{IpProtocol: in.ipProtocol, FromPort: in.fromPort, ToPort: in.toPort, "
        "IpRanges: in.cidrIpv4 && [{CidrIp: in.cidrIpv4, Description: in.description}], "
        "PrefixListIds: in.prefixListId && [{PrefixListId: in.prefixListId, Description: in.description}], "
        "UserIdGroupPairs: in.referencedSecurityGroupId && "
        "[{GroupId: in.referencedSecurityGroupId, Description: in.description}]}]"
    )
    return ResourceType(
        service="ec2",
        create=BotoCall(f"authorize_security_group_{direction}",
                    {"GroupId": "in.securityGroupId", "IpPermissions": permission, **_tagged("security-group-rule")}),
        id="out.SecurityGroupRules[0].SecurityGroupRuleId",
        outputs={"securityGroupRuleId": "id", "arn": Template("arn:aws:ec2:{region}:{account}:security-group-rule/{id}")},
        delete=(BotoCall(f"revoke_security_group_{direction}",
                     {"GroupId": "in.securityGroupId", "SecurityGroupRuleIds": "[id]"}),),
    )


RESOURCE_TYPES: Mapping[str, ResourceType] = {
    "aws:ec2/vpc:Vpc": ResourceType(
        service="ec2", create=BotoCall("create_vpc", _tagged("vpc")), id="out.Vpc.VpcId",
        then=(_attribute("enableDnsSupport"), _attribute("enableDnsHostnames"),
              BotoCall("describe_security_groups", {"Filters": _default_group("id")})),
        outputs={"arn": Template("arn:aws:ec2:{region}:{account}:vpc/{id}"),
                 "defaultSecurityGroupId": "out.SecurityGroups[0].GroupId"},
        listed=(Listing("describe_vpcs", "Vpcs[].VpcId"),), delete=(BotoCall("delete_vpc", {"VpcId": "id"}),)),
    # Every VPC has one, which nothing can delete; to adopt it is to take its rules away.
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": ResourceType(
        service="ec2", create=BotoCall("describe_security_groups", {"Filters": _default_group("in.vpcId")}),
        id="out.SecurityGroups[0].GroupId",
        then=(_revoke("ingress", "IpPermissions"), _revoke("egress", "IpPermissionsEgress"),
              BotoCall("create_tags", {"Resources": "[id]", "Tags": "tags"}, when="tags")),
        outputs={"arn": Template("arn:aws:ec2:{region}:{account}:security-group/{id}")}),
    "aws:ec2/subnet:Subnet": ResourceType(
        service="ec2", create=BotoCall("create_subnet", _tagged("subnet")), id="out.Subnet.SubnetId",
        then=(BotoCall("modify_subnet_attribute",
                   {"SubnetId": "id", "MapPublicIpOnLaunch.Value": "in.mapPublicIpOnLaunch"},
                   when="in.mapPublicIpOnLaunch != null"),),
        outputs={"arn": Template("arn:aws:ec2:{region}:{account}:subnet/{id}")},
        listed=(Listing("describe_subnets", "Subnets[].SubnetId"),),
        delete=(BotoCall("delete_subnet", {"SubnetId": "id"}),)),
    "aws:ec2/routeTable:RouteTable": ResourceType(
        service="ec2", create=BotoCall("create_route_table", _tagged("route-table")), id="out.RouteTable.RouteTableId",
        outputs={"arn": Template("arn:aws:ec2:{region}:{account}:route-table/{id}")},
        listed=(Listing("describe_route_tables", "RouteTables[].RouteTableId"),),
        delete=(BotoCall("delete_route_table", {"RouteTableId": "id"}),)),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": ResourceType(
        service="ec2", create=BotoCall("associate_route_table"), id="out.AssociationId",
        delete=(BotoCall("disassociate_route_table", {"AssociationId": "id"}),)),
    "aws:ec2/vpcEndpoint:VpcEndpoint": ResourceType(
        service="ec2", create=BotoCall("create_vpc_endpoint", _tagged("vpc-endpoint")),
        renames={"policy": "PolicyDocument"}, id="out.VpcEndpoint.VpcEndpointId",
        then=(BotoCall("describe_prefix_lists", {"Filters": "[{Name: 'prefix-list-name', Values: [in.serviceName]}]"}),),
        outputs={"arn": Template("arn:aws:ec2:{region}:{account}:vpc-endpoint/{id}"),
                 "prefixListId": "out.PrefixLists[0].PrefixListId"},
        listed=(Listing("describe_vpc_endpoints", "VpcEndpoints[].VpcEndpointId"),),
        delete=(BotoCall("delete_vpc_endpoints", {"VpcEndpointIds": "[id]"}),)),
    # AWS gives a new group a rule that lets everything out; the provider takes it away.
    "aws:ec2/securityGroup:SecurityGroup": ResourceType(
        service="ec2", create=BotoCall("create_security_group", _tagged("security-group")), renames={"name": "GroupName"},
        named="name", id="out.GroupId",
        then=(BotoCall("describe_security_groups", {"GroupIds": "[id]"}), _revoke("egress", "IpPermissionsEgress")),
        outputs={"arn": Template("arn:aws:ec2:{region}:{account}:security-group/{id}")},
        listed=(Listing("describe_security_groups", "SecurityGroups[].GroupId"),),
        delete=(BotoCall("delete_security_group", {"GroupId": "id"}),)),
    "aws:ec2/flowLog:FlowLog": ResourceType(
        service="ec2",
        create=BotoCall("create_flow_logs", {"ResourceIds": "[in.vpcId]", "ResourceType": "'VPC'"}),
        renames={"iamRoleArn": "DeliverLogsPermissionArn"}, id="out.FlowLogIds[0]",
        # Not with CreateFlowLogs: the emulator drops tags there.
        then=(BotoCall("create_tags", {"Resources": "[id]", "Tags": "tags"}, when="tags"),),
        outputs={"arn": Template("arn:aws:ec2:{region}:{account}:vpc-flow-log/{id}")},
        listed=(Listing("describe_flow_logs", "FlowLogs[].FlowLogId"),),
        delete=(BotoCall("delete_flow_logs", {"FlowLogIds": "[id]"}),)),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _rule("ingress"),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _rule("egress"),
}
