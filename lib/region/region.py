"""A region of the stack. Both regions are the same, except for their key and how their cluster joins the database."""
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pulumi
import pulumi_aws as aws

from contract import REPAIR_MINUTES
from lib import policies
from lib.component import Component
from lib.names import Names
from lib.region.api import RestApi
from lib.region.bucket import SecureBucket
from lib.region.database import Database, Reader, Writer
from lib.region.encryption import Encryption
from lib.region.firewall import Firewall
from lib.region.function import VpcFunction, function_specs
from lib.region.network import Network
from lib.region.observability import Observability
from lib.settings import ClientKey, RegionSettings, Settings


@dataclass(frozen=True, kw_only=True)
class RegionArgs:
    """Arguments of a region: its own settings, and what both share."""

    settings: Settings
    region: RegionSettings
    names: Names
    peer: Names
    global_cluster_id: pulumi.Input[str]
    api_keys: Mapping[ClientKey, pulumi.Input[str]]
    segments: Mapping[int, pulumi.Input[str]]


class Region(Component, type_name="Region"):
    """Network, key, database, receipts, control and logs buckets, function, API, alarms and backup vault of one region.

    Everything is a child of this component and inherits `provider`, the one provider of its region. Only the role
    decides which key this region's key replicates, and as what its cluster joins the database.
    """

    def __init__(self, name: str, args: RegionArgs, *, key_replica_of: pulumi.Input[str] | None,
                 joins_as: Writer | Reader, provider: aws.Provider, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(provider=provider)))
        settings, names, profile = args.settings, args.names, args.settings.profile
        inside = pulumi.ResourceOptions(parent=self)
        self.names = names
        self.provider = provider
        self.key = Encryption(f"{name}-key", names=names, profile=profile, replica_of=key_replica_of, opts=inside)
        self.network = Network(f"{name}-network", names=names, region=args.region, profile=profile,
                               key_arn=self.key.arn, opts=inside)
        self.database = Database(
            f"{name}-database", names=names, database=settings.database, instances=args.region.instances,
            profile=profile, network=self.network, key_arn=self.key.arn, global_cluster_id=args.global_cluster_id,
            role=joins_as, opts=inside)
        self.logs = SecureBucket(f"{name}-logs", bucket=names.logs, profile=profile, opts=inside,
                                 statements=[policies.log_delivery(names)])
        self.receipts = SecureBucket(
            f"{name}-receipts", bucket=names.receipts, profile=profile, key_arn=self.key.arn, logs=self.logs,
            statements=[policies.written_once(names)], lock_days=settings.data.receipts_days,
            pausable=settings.pauses, opts=inside)
        self.control = SecureBucket(f"{name}-control", bucket=names.control, profile=replace(profile, retain=False),
                                    key_arn=self.key.arn, logs=self.logs, opts=inside)
        self.functions = {
            key: VpcFunction(f"{name}-{key}", spec, names=names, profile=profile, network=self.network,
                             database=self.database, key_arn=self.key.arn, opts=inside)
            for key, spec in function_specs(names, settings.function_concurrency).items()}
        self.functions["reconcile"].start_every(REPAIR_MINUTES, rule=names.repair_rule, what="repair")
        self.api = RestApi(f"{name}-api", names=names, api=settings.api, profile=profile,
                       function=self.functions["payments"], key_arn=self.key.arn, api_keys=args.api_keys,
                       segments=args.segments, opts=inside)
        if settings.api.firewall:
            Firewall(f"{name}-firewall", names=names, api=settings.api, profile=profile, key_arn=self.key.arn,
                     stage=self.api.stage, opts=inside)
        self.observability = Observability(f"{name}-alarms", names=names, peer=args.peer, settings=settings,
                                           key_arn=self.key.arn, opts=inside)
        self.vault = aws.backup.Vault(f"{name}-vault", name=names.vault, kms_key_arn=self.key.arn,
                                      force_destroy=not profile.retain, opts=self.durable(retain=profile.retain))
        if settings.data.backups:
            # Without a date from which it cannot be changed it is a lock of governance mode, as that of the receipts.
            aws.backup.VaultLockConfiguration(
                f"{name}-vault-lock", backup_vault_name=self.vault.name,
                min_retention_days=profile.backup_retention_days, opts=self.opts(retain_on_delete=profile.retain))
        self.register_outputs({"region": names.region})
