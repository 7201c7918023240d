"""The resources that belong to both regions and are created after both."""
import pulumi

from lib.component import Component
from lib.global_foundation import GlobalFoundation
from lib.regions import DrRegion, PrimaryRegion
from lib.settings import Settings
from lib.shared.copies import Copies
from lib.shared.credentials import Credentials
from lib.shared.dns import Dns
from lib.shared.table import PaymentsTable


class GlobalResources(Component, type_name="GlobalResources"):
    """The table, the copies both ways, the database's secret (unless one was given), and DNS (given a domain).

    Its children use the primary region's provider, except those in the other region, which name theirs.
    """

    def __init__(self, name: str, *, settings: Settings, foundation: GlobalFoundation, primary: PrimaryRegion,
                 standby: DrRegion, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        inside = pulumi.ResourceOptions(parent=self)
        self.table = PaymentsTable(f"{name}-payments", settings=settings, primary=primary, standby=standby, opts=inside)
        self.outbound = Copies(f"{name}-outbound", settings=settings, source=primary, destination=standby,
                               table=self.table.table, opts=inside)
        self.inbound = Copies(f"{name}-inbound", settings=settings, source=standby, destination=primary,
                              table=self.table.table, opts=inside)
        self.secret_arn: pulumi.Input[str] = foundation.secret_arn or Credentials(
            f"{name}-credentials", profile=settings.profile, writer=foundation.writer, primary=primary, standby=standby,
            opts=inside).secret.arn
        self.dns = Dns(f"{name}-dns", service=settings.domain_name, settings=settings, primary=primary,
                       standby=standby, opts=inside) if settings.domain_name else None
        self.register_outputs({})
