"""The region that the stack starts in."""
import pulumi
import pulumi_aws as aws

from lib.region.database import Writer
from lib.region.region import Region, RegionArgs, RegionRole


class PrimaryRegion(Region, type_name="PrimaryRegion"):
    """The region whose cluster is created as the writer, and whose key is the one that is replicated."""

    def __init__(self, name: str, args: RegionArgs, *, writer: Writer, provider: aws.Provider,
                 opts: pulumi.ResourceOptions) -> None:
        role = RegionRole(key_replica_of=None, database=writer)
        super().__init__(name, args, role=role, provider=provider, opts=opts)
