"""What a stack that is to be deployed needs of AWS. `make doctor` derives it from the stack's settings."""
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TextIO

from recovery.errors import StackError


@dataclass(frozen=True, kw_only=True)
class RegionNeeds:
    """What one region needs: zones, how much of each quota of RDS (by RDS's names), names that must be free, and roles.

    `roles` are the names of its roles, by what they are called in both regions.
    """

    region: str
    zones: tuple[str, ...]
    database_quotas: Mapping[str, int]
    roles: Mapping[str, str]
    log_role: str
    log_groups: tuple[str, ...]
    buckets: tuple[str, ...]
    secret: str
    vault: str
    final_snapshot: str


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What the stack needs; texts are empty and numbers 0 where it needs none.

    `reserved` are the executions that each region's function reserves, `busy` those that it may need at once, and
    `api_rate` the requests per second that all clients together may send.
    """

    account: str
    environment_suffix: str
    emulated: bool
    function: str
    reserved: int
    busy: int
    api_rate: int
    owns_log_role: bool
    firewall: bool
    engine: str
    engine_version: str
    instance_class: str
    domain_name: str
    hosted_zone_id: str
    health_checks: int
    custom_domains: int
    secret_arn: str
    witness_region: str
    regions: tuple[RegionNeeds, RegionNeeds]

    @classmethod
    def read(cls, file: TextIO) -> "Needs":
        """From the JSON of `asdict`. Raises StackError."""
        try:
            document = json.load(file)
            primary, standby = (RegionNeeds(**_known(RegionNeeds, each)) for each in document["regions"])
            return cls(**{**_known(cls, document), "regions": (primary, standby)})
        except (KeyError, TypeError, ValueError) as error:
            raise StackError(f"the needs are not those that `python -m tools.needs` prints: {error!r}") from None

    def of_region(self, region: str) -> RegionNeeds:
        """What one of the regions needs."""
        return self.regions[region == self.regions[1].region]


def _known(kind: type[Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass in a document; lists become tuples."""
    return {each.name: tuple(value) if isinstance(value := document[each.name], list) else value
            for each in fields(kind)}
