"""The deployed stack as recovery sees it: its outputs, checked once and typed."""
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from contract import (
    ALIVE_LABEL,
    LEADS_LABEL,
    RECOVERY_OUTPUTS,
    ROLES,
    Consistency,
    RegionOutputs,
    StackOutputs,
    detection,
)
from recovery.errors import StackError


@dataclass(frozen=True, kw_only=True)
class Site(RegionOutputs):
    """One region of the stack. `role` is what it was deployed as, which a failover does not change."""

    role: str


@dataclass(frozen=True, kw_only=True)
class Stack(StackOutputs):
    """The stack; times in seconds. `sites` are the regions, the one of the role `primary` first."""

    sites: tuple[Site, Site]

    @classmethod
    def of(cls, outputs: Mapping[str, Any]) -> "Stack":
        """From the stack's flat outputs, of which it needs RECOVERY_OUTPUTS.

        Raises StackError, which names the first output that is missing, of another type, or of another region.
        """
        known = {key: _value(outputs, key, least) for key, least in RECOVERY_OUTPUTS.items()}
        keys = [each.name for each in fields(RegionOutputs)]
        primary, standby = (Site(role=role, **{key: known[f"{role}_{key}"] for key in keys}) for role in ROLES)
        for site in (primary, standby):
            if not re.match(rf"arn:[^:]+:rds:{re.escape(site.region)}:\d+:cluster:", site.cluster_arn):
                raise StackError(
                    f"{site.role}_cluster_arn = {site.cluster_arn!r}: must be a cluster's in {site.region}")
        return cls(sites=(primary, standby), **{each.name: known[each.name] for each in fields(StackOutputs)})

    @property
    def strong(self) -> bool:
        """Whether the table is strongly consistent between the regions, so that it never lags."""
        return self.table_consistency == Consistency.STRONG

    @property
    def leads_name(self) -> str:
        """The name whose TXT record says where Route 53 sends clients; the stack must have a domain."""
        return f"{LEADS_LABEL}.{self.service_url.partition('://')[2]}"

    def alive_name(self, region: str) -> str:
        """The name whose TXT record says whether Route 53 sees a region; the stack must have a domain."""
        return f"{ALIVE_LABEL}.{region}.{self.service_url.partition('://')[2]}"

    @property
    def detection(self) -> int:
        """Seconds until a region that does not answer counts as dead, to Route 53 and to the controller alike."""
        return detection(self.health_check_interval, self.health_check_threshold, self.look_interval)

    def site(self, region: str) -> Site:
        """The site in a region. Raises StackError."""
        for site in self.sites:
            if site.region == region:
                return site
        raise StackError(f"region {region!r}: must be {' or '.join(site.region for site in self.sites)}")

    def other(self, region: str) -> Site:
        """The site that is not in the region."""
        primary, standby = self.sites
        return standby if primary.region == region else primary


def _value(outputs: Mapping[str, Any], key: str, least: int | None) -> Any:
    """An output: a text, or with `least` a whole number, which Pulumi may show as a float."""
    value = outputs.get(key)
    if value is None:
        raise StackError(f"{key}: is not among the outputs of the stack")
    if least is None:
        if isinstance(value, str):
            return value
        raise StackError(f"{key} = {value!r}: must be a string")
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 or value < least:
        raise StackError(f"{key} = {value!r}: must be a whole number, at least {least}")
    return int(value)
