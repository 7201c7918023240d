"""The two regions, and all that is different between them."""
import pulumi
import pulumi_aws as aws

from lib.region.database import Reader, Writer
from lib.region.region import Region, RegionArgs


class PrimaryRegion(Region, type_name="PrimaryRegion"):
    """The region whose cluster is created as the writer, and whose key is the one that is replicated.

    If it was the standby of a region that was lost, its key stays the replica that it is: AWS makes no other key of it.
    """

    def __init__(self, name: str, args: RegionArgs, *, writer: Writer, provider: aws.Provider,
                 opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, args, key_replica_of=args.settings.primary.key_origin, joins_as=writer,
                         provider=provider, opts=opts)


class DrRegion(Region, type_name="DrRegion"):
    """The region whose cluster joins as a reader, and whose key is a replica.

    AWS makes it wait for the primary region in two places: its key waits for the key that it replicates, and its
    cluster for the writer's first instance, without which AWS has no master login for a reader. A key that is a replica
    itself cannot be replicated: then this region has a key of its own.
    """

    def __init__(self, name: str, args: RegionArgs, *, primary: PrimaryRegion, provider: aws.Provider,
                 opts: pulumi.ResourceOptions) -> None:
        reader = Reader(source_region=primary.names.region, after=primary.database.instances[:1])
        original = None if args.settings.primary.key_origin else primary.key.arn
        super().__init__(name, args, key_replica_of=original, joins_as=reader, provider=provider, opts=opts)
