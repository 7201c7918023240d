"""What recovery knows of a deployed stack: its outputs, read once and typed for everybody else."""
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recovery.errors import StackError

PROBE_SECONDS = 10.0  # between two looks at the other region
DNS_TTL = 60.0  # seconds, of an alias record to API Gateway; Route 53 sets it

KEYS = ("environment_suffix", "profile", "payments_table_name", "table_consistency", "global_cluster_id",
        "failover_mode", "health_check_interval", "health_check_threshold", "recovery_time_objective",
        "recovery_point_objective", "dns", "service_url")
SITE_KEYS = ("region", "api_endpoint", "cluster_arn", "cluster_id", "control_bucket", "receipts_bucket", "topic_arn",
             "function_alias_arn", "reconcile_function_name", "controller_function_name", "key_arn")
ROLES = ("primary", "dr")

# The least that each of the numbers can be: without a look that fails, no region is dead.
_LEAST = {"health_check_interval": 1, "health_check_threshold": 1, "recovery_time_objective": 0,
          "recovery_point_objective": 0}


@dataclass(frozen=True, kw_only=True)
class Site:
    """One region of the stack. `role` is what it was deployed as, which a failover does not change."""

    role: str
    region: str
    api_endpoint: str
    cluster_arn: str
    cluster_id: str
    control_bucket: str
    receipts_bucket: str
    topic_arn: str
    function_alias_arn: str
    reconcile_function_name: str
    controller_function_name: str
    key_arn: str


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The stack; times in seconds. `sites` are the regions, the one of the role `primary` first."""

    environment_suffix: str
    profile: str
    payments_table_name: str
    table_consistency: str
    global_cluster_id: str
    failover_mode: str
    health_check_interval: int
    health_check_threshold: int
    recovery_time_objective: int
    recovery_point_objective: int
    dns: str
    service_url: str
    sites: tuple[Site, Site]

    @classmethod
    def of(cls, outputs: Mapping[str, Any]) -> "Stack":
        """From the stack's flat outputs, or any part of them that has `KEYS` and, for each role, `SITE_KEYS`.

        Raises StackError, which names the first output that is missing or of another type.
        """
        known = {key: _value(outputs, key) for key in KEYS}
        home, away = (Site(role=role, **{key: _value(outputs, f"{role}_{key}") for key in SITE_KEYS}) for role in ROLES)
        return cls(sites=(home, away), **known)

    @property
    def strong(self) -> bool:
        """Whether the table is strongly consistent over the regions, and so never lags."""
        return self.table_consistency == "strong"

    @property
    def detection(self) -> int:
        """Seconds until a region that does not answer counts as dead, to Route 53 and to the controller alike."""
        return self.health_check_interval * self.health_check_threshold

    @property
    def failures(self) -> int:
        """How many looks of the controller in a row must fail for that."""
        return math.ceil(self.detection / PROBE_SECONDS)

    def site(self, region: str) -> Site:
        """The site in a region. Raises StackError."""
        for site in self.sites:
            if site.region == region:
                return site
        raise StackError(f"region {region!r}: must be {' or '.join(site.region for site in self.sites)}")

    def other(self, region: str) -> Site:
        """The site that is not in the region."""
        home, away = self.sites
        return away if home.region == region else home


def _value(outputs: Mapping[str, Any], key: str) -> Any:
    """An output; Pulumi shows whole numbers as floats at times."""
    value, least = outputs.get(key), _LEAST.get(key)
    if value is None:
        raise StackError(f"{key}: is not among the outputs of the stack")
    if least is None:
        if isinstance(value, str):
            return value
        raise StackError(f"{key} = {value!r}: must be a text")
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 or value < least:
        raise StackError(f"{key} = {value!r}: must be a whole number, at least {least}")
    return int(value)
