"""TapStack: a payment service in two regions, either of which may be lost."""
from functools import partial

import pulumi
import pulumi_aws as aws

from contract import PROJECT
from lib.component import Component, protecting
from lib.global_foundation import GlobalFoundation
from lib.global_resources import GlobalResources
from lib.identity import DeployedStack
from lib.names import Names
from lib.outputs import Outputs, catalogue, description, keep
from lib.region.controller import ControllerFunction
from lib.region.function import AUTHORITIES, require_authorities
from lib.region.region import Region, RegionArgs
from lib.regions import DrRegion, PrimaryRegion
from lib.settings import RegionSettings, Settings

# The services that the stack calls, by the provider's own keys: an unknown one is rejected.
SERVICES = ("acm", "apigateway", "backup", "cloudwatch", "dynamodb", "ec2", "events", "fis", "iam", "kms", "lambda_",
            "logs", "rds", "route53", "s3", "secretsmanager", "sns", "sts", "wafv2", "xray")


class TapStack(Component, type_name="TapStack"):
    """Foundation, primary region, standby region, what spans them, and a controller in each region.

    Each region has one explicit provider. The controllers come last, because each knows both regions.
    """

    def __init__(self, name: str, settings: Settings, deployed: DeployedStack) -> None:
        require_authorities(AUTHORITIES, settings.primary.region, settings.dr.region)  # before anything is registered
        super().__init__(name, protecting(protect=settings.profile.protect))
        deployed.register_outputs(settings.identity())  # before anything is created, which may fail
        for line in settings.warnings():
            pulumi.log.warn(line, self)
        primary_aws, standby_aws = (self._aws(region, settings) for region in (settings.primary, settings.dr))
        primary_names, standby_names = (Names(settings.environment_suffix, each.region, settings.account)
                                        for each in (settings.primary, settings.dr))
        in_primary = pulumi.ResourceOptions(parent=self, provider=primary_aws)

        foundation = GlobalFoundation(f"{name}-foundation", settings=settings, names=primary_names, opts=in_primary)
        args = partial(RegionArgs, settings=settings, global_cluster_id=foundation.cluster.id,
                       api_keys=foundation.api_keys, segments=foundation.segments)
        primary = PrimaryRegion(
            f"{name}-primary", args(region=settings.primary, names=primary_names, peer=standby_names),
            writer=foundation.writer, provider=primary_aws, opts=pulumi.ResourceOptions(parent=self))
        foundation.has_writer(primary.database.cluster.arn)
        standby = DrRegion(f"{name}-dr", args(region=settings.dr, names=standby_names, peer=primary_names),
                           primary=primary, provider=standby_aws, opts=pulumi.ResourceOptions(parent=self))
        shared = GlobalResources(f"{name}-global", settings=settings, foundation=foundation, primary=primary,
                                 standby=standby, opts=in_primary)

        self.outputs = self._with_controllers(
            catalogue(settings, foundation, primary, standby, shared), settings, primary, standby)
        self.register_outputs({})

    @staticmethod
    def _with_controllers(outputs: Outputs, settings: Settings, primary: Region, standby: Region) -> Outputs:
        """Create the controllers from the outputs. Returns these and theirs, which both regions keep."""
        known = description(outputs)
        controllers = {role: ControllerFunction(region, peer=peer.names, settings=settings, description=known)
                       for role, region, peer in (("primary", primary, standby), ("dr", standby, primary))}
        found = {**outputs, **{f"{role}_controller_alias_arn": each.alias.arn for role, each in controllers.items()}}
        keep(found, primary, standby)
        return found

    def _aws(self, region: RegionSettings, settings: Settings) -> aws.Provider:
        """The one provider of a region; for an emulator it needs neither credentials nor AWS's own host names.

        It refuses another account's credentials, also in a refresh and in a destroy, which do not run the program.
        """
        tags = {"Project": PROJECT, "Environment": settings.environment_suffix, "ManagedBy": "pulumi", **settings.tags}
        endpoint = settings.aws_endpoint
        emulated = True if endpoint else None
        return aws.Provider(
            f"{self.name}-{region.region}", region=region.region,
            allowed_account_ids=None if endpoint else [settings.account], default_tags={"tags": tags},
            endpoints=[aws.ProviderEndpointArgs(**dict.fromkeys(SERVICES, endpoint))] if endpoint else None,
            access_key="test" if endpoint else None, secret_key="test" if endpoint else None,
            skip_credentials_validation=emulated, skip_metadata_api_check=emulated,
            skip_requesting_account_id=emulated, s3_use_path_style=emulated,
            opts=pulumi.ResourceOptions(parent=self))
