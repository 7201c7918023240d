"""The private network of one region: nothing in it can reach the internet, or be reached from it."""
from ipaddress import IPv4Network

import pulumi
import pulumi_aws as aws

from lib import policies
from lib.component import Component
from lib.names import Names
from lib.parsers import ZONES
from lib.settings import Profile, RegionSettings

POSTGRES = 5432
HTTPS = 443


def subnet_cidrs(vpc: IPv4Network) -> list[IPv4Network]:
    """The first three quarters of a VPC's range, one a zone; the last quarter stays free for growth."""
    return list(vpc.subnets(prefixlen_diff=2))[:ZONES]


class Network(Component, type_name="Network"):
    """A VPC over three zones with private subnets only.

    Creates the VPC, its emptied default security group, three subnets with one route table, gateway endpoints for S3
    and DynamoDB, the security groups of the function and of the database, and flow logs. No NAT gateway, internet
    gateway or interface endpoint: database tokens are signed locally, and logs and traces leave through Lambda itself.
    """

    def __init__(self, name: str, *, names: Names, region: RegionSettings, profile: Profile,
                 key_arn: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        self._names = names
        self.vpc = aws.ec2.Vpc(f"{name}-vpc", cidr_block=str(region.vpc_cidr), enable_dns_hostnames=True,
                               enable_dns_support=True, tags={"Name": names.network}, opts=self.opts())
        aws.ec2.DefaultSecurityGroup(f"{name}-default-group", vpc_id=self.vpc.id, ingress=[], egress=[],
                                     tags={"Name": f"{names.network}-default"}, opts=self.opts())
        table = aws.ec2.RouteTable(f"{name}-routes", vpc_id=self.vpc.id, tags={"Name": names.network}, opts=self.opts())
        self.subnets = self._subnets(region, table)
        self.function_group = self._group("function", names.function_group, "Payments function")
        self.database_group = self._group("database", names.database_group, "Aurora cluster")
        self._rules(table)
        self._flow_logs(profile, key_arn)
        self.subnet_ids: list[pulumi.Output[str]] = [subnet.id for subnet in self.subnets]
        self.register_outputs({"vpc_id": self.vpc.id, "subnet_ids": self.subnet_ids})

    def _subnets(self, region: RegionSettings, table: aws.ec2.RouteTable) -> list[aws.ec2.Subnet]:
        subnets = []
        for index, (zone, block) in enumerate(zip(region.zones, subnet_cidrs(region.vpc_cidr), strict=True)):
            subnet = aws.ec2.Subnet(f"{self.name}-subnet-{index}", vpc_id=self.vpc.id, cidr_block=str(block),
                                    availability_zone=zone, map_public_ip_on_launch=False,
                                    tags={"Name": f"{self._names.network}-{zone}"}, opts=self.opts())
            aws.ec2.RouteTableAssociation(f"{self.name}-subnet-{index}-routes", subnet_id=subnet.id,
                                          route_table_id=table.id, opts=self.opts())
            subnets.append(subnet)
        return subnets

    def _group(self, key: str, name: str, what: str) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(f"{self.name}-{key}-group", name=name, description=what, vpc_id=self.vpc.id,
                                     tags={"Name": name}, opts=self.opts())

    def _rules(self, table: aws.ec2.RouteTable) -> None:
        """The function may reach S3, DynamoDB and the database; the database may be reached by the function."""
        for service in ("s3", "dynamodb"):
            endpoint = aws.ec2.VpcEndpoint(
                f"{self.name}-{service}", vpc_id=self.vpc.id, vpc_endpoint_type="Gateway", route_table_ids=[table.id],
                service_name=f"com.amazonaws.{self._names.region}.{service}",
                policy=policies.this_account_only(self._names.account),
                tags={"Name": f"{self._names.network}-{service}"}, opts=self.opts())
            aws.vpc.SecurityGroupEgressRule(
                f"{self.name}-function-to-{service}", security_group_id=self.function_group.id, ip_protocol="tcp",
                from_port=HTTPS, to_port=HTTPS, prefix_list_id=endpoint.prefix_list_id,
                # A rule that is read without one, as an emulator shows it, is one that the provider cannot plan at all
                # ("invalid plan", 5.100).
                opts=self.opts(ignore_changes=["prefixListId"]))
        aws.vpc.SecurityGroupEgressRule(
            f"{self.name}-function-to-database", security_group_id=self.function_group.id, ip_protocol="tcp",
            from_port=POSTGRES, to_port=POSTGRES, referenced_security_group_id=self.database_group.id,
            description="Aurora", opts=self.opts())
        aws.vpc.SecurityGroupIngressRule(
            f"{self.name}-database-from-function", security_group_id=self.database_group.id, ip_protocol="tcp",
            from_port=POSTGRES, to_port=POSTGRES, referenced_security_group_id=self.function_group.id,
            description="Payments function", opts=self.opts())

    def _flow_logs(self, profile: Profile, key_arn: pulumi.Input[str]) -> None:
        names = self._names
        group = aws.cloudwatch.LogGroup(f"{self.name}-flow-group", name=names.flow_logs, kms_key_id=key_arn,
                                        retention_in_days=profile.log_retention_days, opts=self.opts())
        # https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
        trust = policies.trust("vpc-flow-logs", names.account, names.arn("ec2", "vpc-flow-log/*"))
        role, grant = self.role(
            "-flow", names.flow_logs_role, trust, "write",
            policies.allow(["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
                           pulumi.Output.concat(group.arn, ":*")),
            policies.allow("logs:DescribeLogGroups", names.arn("logs", "log-group:*")),
            policies.key_use(key_arn, [f"logs.{names.region}"]))
        aws.ec2.FlowLog(f"{self.name}-flow-log", vpc_id=self.vpc.id, traffic_type="ALL", iam_role_arn=role.arn,
                        log_destination_type="cloud-watch-logs", log_destination=group.arn,
                        max_aggregation_interval=60, tags={"Name": names.network}, opts=self.opts(depends_on=[grant]))
