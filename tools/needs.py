"""Prints what a stack needs of AWS, by its settings, as JSON: `python -m tools.needs STACK`.

`make doctor` hands it to `python -m recovery doctor`, which knows neither Pulumi nor the program. The counts and names
are those of the program; a test holds them against it.
"""
import json
import sys
from dataclasses import asdict
from pathlib import Path

import yaml
from pulumi.runtime import set_all_config

from contract import PROJECT
from lib.errors import SettingsError
from lib.names import CATALOGUE, Names
from lib.region.database import ENGINE
from lib.settings import REQUEST_SECONDS, RegionSettings, Settings
from recovery.doctor.needs import Needs, RegionNeeds

ROOT = Path(__file__).resolve().parents[1]
HEALTH_CHECKS = 5  # of a stack with a domain: liveness and lever of each region, and the calculated one
CUSTOM_DOMAINS = 2  # of each of its regions: the service's name, and a host of the region's own
LOGS = "/aws/lambda"


def needs_of(settings: Settings) -> Needs:
    """What a stack with these settings needs."""
    primary, dr = settings.primary, settings.dr
    reserved = max(settings.function_concurrency, 0)
    return Needs(
        account=settings.account, environment_suffix=settings.environment_suffix,
        emulated=bool(settings.aws_endpoint),
        function=Names(settings.environment_suffix, primary.region, settings.account).function, reserved=reserved,
        busy=settings.api.rate_limit * len(settings.api.clients) * REQUEST_SECONDS,
        api_rate=settings.api.rate_limit * len(settings.api.clients),
        owns_log_role=settings.api.manage_account, firewall=settings.api.firewall, engine=ENGINE.value,
        engine_version=settings.database.engine_version, instance_class=settings.database.instance_class,
        domain_name=settings.domain_name or "", hosted_zone_id=settings.hosted_zone_id or "",
        health_checks=HEALTH_CHECKS if settings.domain_name else 0,
        custom_domains=CUSTOM_DOMAINS if settings.domain_name else 0, secret_arn=settings.database.secret_arn or "",
        witness_region=settings.table.witness_region or "", regions=(_region(settings, primary), _region(settings, dr)))


def _region(settings: Settings, region: RegionSettings) -> RegionNeeds:
    names = Names(settings.environment_suffix, region.region, settings.account)
    functions = (names.function, names.migrate, names.reconcile, names.controller)
    return RegionNeeds(
        region=region.region, zones=region.zones,
        database_quotas={"DBClusters": 1, "DBInstances": region.instances, "DBSubnetGroups": 1,
                         "DBClusterParameterGroups": 1},
        roles={key: getattr(names, key) for key in CATALOGUE if key.endswith("_role")}, log_role=names.api_logs_role,
        log_groups=(names.flow_logs, names.api_logs, names.database_logs, *(f"{LOGS}/{each}" for each in functions),
                    *([names.firewall_logs] if settings.api.firewall else [])),
        buckets=(names.receipts, names.control, names.logs), vault=names.vault,
        secret="" if settings.database.secret_arn else names.secret,
        final_snapshot=f"{names.cluster}-final" if settings.profile.retain else "")


def configuration(path: Path) -> dict[str, str]:
    """The configuration in a stack's file, as Pulumi hands it to the program. Raises OSError and ValueError."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {key: value if isinstance(value, str) else json.dumps(value)
                for key, value in document["config"].items()}
    except (yaml.YAMLError, TypeError, KeyError, AttributeError):
        raise ValueError(f"{path.name}: is not the file of a stack") from None


def main(stack: str, folder: Path = ROOT) -> int:
    """Print the needs of a stack whose file is in `folder`. Returns the exit code: 0, or 2 if they cannot be known."""
    try:
        set_all_config({f"{PROJECT}:environmentSuffix": stack, **configuration(folder / f"Pulumi.{stack}.yaml")})
        needs = needs_of(Settings.load())
    except (OSError, ValueError, SettingsError) as error:
        print(f"needs: {error}", file=sys.stderr)
        return 2
    print(json.dumps(asdict(needs)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
