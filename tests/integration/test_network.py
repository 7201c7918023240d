"""The VPCs: private, over three zones, open only to what the function needs."""
from ipaddress import ip_network
from typing import Any

import pytest

from tests.integration.stack import Outputs, Region, emulator_lacks, statements

SERVICES = ("s3", "dynamodb")


@pytest.fixture
def inside(region: Region) -> dict[str, Any]:
    """Request arguments that select what is in the region's VPC."""
    return {"Filters": [{"Name": "vpc-id", "Values": [region["vpc_id"]]}]}


@pytest.fixture
def rules(region: Region, inside: dict[str, Any]) -> list[dict[str, Any]]:
    """Every rule of every security group in the VPC."""
    ec2 = region.client("ec2")
    groups = [group["GroupId"] for group in ec2.describe_security_groups(**inside)["SecurityGroups"]]
    found: list[dict[str, Any]] = ec2.describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": groups}])["SecurityGroupRules"]
    return found


@pytest.fixture
def function_group(function: dict[str, Any]) -> str:
    """The function's only security group."""
    (group,) = function["VpcConfig"]["SecurityGroupIds"]
    return str(group)


@pytest.fixture
def database_group(cluster: dict[str, Any]) -> str:
    """The cluster's only security group."""
    (group,) = cluster["VpcSecurityGroups"]
    return str(group["VpcSecurityGroupId"])


def test_the_vpc_has_its_range_and_resolves_names(region: Region) -> None:
    ec2 = region.client("ec2")
    (vpc,) = ec2.describe_vpcs(VpcIds=[region["vpc_id"]])["Vpcs"]
    assert vpc["CidrBlock"] == region["vpc_cidr"]
    for attribute in ("enableDnsSupport", "enableDnsHostnames"):
        answer = ec2.describe_vpc_attribute(VpcId=region["vpc_id"], Attribute=attribute)
        assert answer[attribute[0].upper() + attribute[1:]]["Value"], attribute


def test_the_two_ranges_do_not_overlap(outputs: Outputs) -> None:
    assert not ip_network(outputs["primary_vpc_cidr"]).overlaps(ip_network(outputs["dr_vpc_cidr"]))


def test_three_private_subnets_are_in_three_zones(region: Region, inside: dict[str, Any]) -> None:
    subnets = region.client("ec2").describe_subnets(**inside)["Subnets"]
    assert {subnet["SubnetId"] for subnet in subnets} == set(region["subnet_ids"])
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == len(region["subnet_ids"]) == 3
    assert not [subnet["SubnetId"] for subnet in subnets if subnet["MapPublicIpOnLaunch"]]


def test_nothing_leads_to_the_internet(region: Region, inside: dict[str, Any]) -> None:
    ec2, vpc = region.client("ec2"), region["vpc_id"]
    attached = ec2.describe_internet_gateways(Filters=[{"Name": "attachment.vpc-id", "Values": [vpc]}])
    assert attached["InternetGateways"] == []
    egress_only = ec2.describe_egress_only_internet_gateways()["EgressOnlyInternetGateways"]
    assert [each for each in egress_only for to in each["Attachments"] if to["VpcId"] == vpc] == []
    assert [nat for nat in ec2.describe_nat_gateways(**inside)["NatGateways"] if nat["State"] != "deleted"] == []
    routes = [route for table in ec2.describe_route_tables(**inside)["RouteTables"] for route in table["Routes"]]
    assert routes
    assert [route for route in routes if not route.get("GatewayId", "").startswith(("local", "vpce-"))] == []


def test_gateway_endpoints_serve_the_subnets(region: Region, inside: dict[str, Any]) -> None:
    ec2 = region.client("ec2")
    endpoints = ec2.describe_vpc_endpoints(**inside)["VpcEndpoints"]
    assert sorted(each["ServiceName"] for each in endpoints) == sorted(
        f"com.amazonaws.{region.name}.{service}" for service in SERVICES)
    tables = ec2.describe_route_tables(Filters=[{"Name": "association.subnet-id", "Values": region["subnet_ids"]}])
    serving = [table["RouteTableId"] for table in tables["RouteTables"]]
    assert len([to for table in tables["RouteTables"] for to in table["Associations"]]) == len(region["subnet_ids"])
    for endpoint in endpoints:
        assert (endpoint["VpcEndpointType"], endpoint["RouteTableIds"]) == ("Gateway", serving)


def test_an_endpoint_serves_this_account_alone(region: Region, inside: dict[str, Any]) -> None:
    account = region["cluster_arn"].split(":")[4]
    for endpoint in region.client("ec2").describe_vpc_endpoints(**inside)["VpcEndpoints"]:
        assert "PolicyDocument" in endpoint
        for statement in statements(endpoint["PolicyDocument"]):
            assert statement["Condition"]["StringEquals"] == {
                "aws:PrincipalAccount": account, "aws:ResourceAccount": account}


def test_the_default_group_lets_nothing_through(region: Region, inside: dict[str, Any]) -> None:
    (group,) = [group for group in region.client("ec2").describe_security_groups(**inside)["SecurityGroups"]
                if group["GroupName"] == "default"]
    assert (group["IpPermissions"], group["IpPermissionsEgress"]) == ([], [])


def test_no_rule_names_an_address_range(rules: list[dict[str, Any]]) -> None:
    assert rules
    assert [rule for rule in rules if "CidrIpv4" in rule or "CidrIpv6" in rule] == []


def test_only_the_function_reaches_the_database(rules: list[dict[str, Any]], function_group: str,
                                                database_group: str) -> None:
    wanted = {(function_group, True, database_group), (database_group, False, function_group)}
    between = [rule for rule in rules if "ReferencedGroupInfo" in rule]
    assert {(rule["GroupId"], rule["IsEgress"], rule["ReferencedGroupInfo"]["GroupId"]) for rule in between} == wanted
    assert {(rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in between} == {
        ("tcp", 5432, 5432)}
    assert [rule for rule in rules if not rule["IsEgress"] and rule not in between] == []


@emulator_lacks("a rule's prefix list is dropped")
def test_the_function_reaches_the_stores_and_nothing_else(region: Region, rules: list[dict[str, Any]],
                                                          function_group: str) -> None:
    lists = {each["PrefixListId"]: each["PrefixListName"]
             for each in region.client("ec2").describe_prefix_lists()["PrefixLists"]}
    outside = [rule for rule in rules if rule["IsEgress"] and "ReferencedGroupInfo" not in rule]
    assert {rule["GroupId"] for rule in outside} == {function_group}
    assert sorted(lists.get(rule.get("PrefixListId"), "anywhere") for rule in outside) == sorted(
        f"com.amazonaws.{region.name}.{service}" for service in SERVICES)
    assert {(rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in outside} == {("tcp", 443, 443)}


def test_flow_logs_record_all_traffic(region: Region) -> None:
    (log,) = region.client("ec2").describe_flow_logs(
        Filters=[{"Name": "resource-id", "Values": [region["vpc_id"]]}])["FlowLogs"]
    assert (log["FlowLogStatus"], log["TrafficType"]) == ("ACTIVE", "ALL")
    assert log["LogDestination"].removesuffix(":*").endswith(f":log-group:{region['flow_log_group']}")
