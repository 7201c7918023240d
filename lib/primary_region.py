"""The region that the stack starts in."""
import pulumi
import pulumi_aws as aws

from lib.region.database import Writer
from lib.region.region import Region, RegionArgs


class PrimaryRegion(Region, type_name="PrimaryRegion"):
    """The region whose cluster is created as the writer, and whose key is the one that is replicated.

    If it was the standby of a region that was lost, its key stays the replica that it is: AWS makes no other key of it.
    """

    def __init__(self, name: str, args: RegionArgs, *, writer: Writer, provider: aws.Provider,
                 opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, args, key_replica_of=args.settings.primary.key_origin, joins_as=writer,
                         provider=provider, opts=opts)
