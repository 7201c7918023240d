"""Makes a stack, and writes into its own file what nothing may choose again: account, suffix, regions, zones.

`make init STACK=prod` runs it with the credentials of the stack's account. What the file already says stays.
"""
import json
import sys
from collections.abc import Callable, Mapping, Sequence

from botocore.exceptions import BotoCoreError, ClientError
from pulumi.runtime import set_all_config

from contract import EMULATED_ACCOUNT, PROJECT
from lib.errors import SettingsError
from lib.parsers import ZONES
from lib.settings import REAL_PAYMENTS, Settings
from tools.clients import Clients, WrongAccount, boto_clients, require_account
from tools.pulumi_cli import Pulumi, PulumiFailed, run

boto_client = boto_clients()


class InitFailed(Exception):
    """The stack cannot be made: says why, in one line."""


def init(stack: str, arguments: Sequence[str], pulumi: Pulumi = run, clients: Clients = boto_client) -> dict[str, str]:
    """Make the stack unless it exists (`arguments` are for `pulumi stack init`). Returns the keys that were written.

    Raises InitFailed, PulumiFailed, SettingsError and WrongAccount.
    """
    if stack not in [each["name"] for each in json.loads(pulumi("stack", "ls", "--json"))]:
        if stack in REAL_PAYMENTS and not any("awskms://" in each for each in arguments):
            raise InitFailed(f"{stack}: its state's secrets need a KMS key: add "
                             'ARGS="--secrets-provider=awskms://alias/NAME?region=REGION"')
        pulumi("stack", "init", stack, "--no-select", *arguments)
    found = json.loads(pulumi("config", "--json", "--stack", stack))
    given = {key: str(each["value"]) for key, each in found.items() if each.get("value")}
    set_all_config({f"{PROJECT}:account": EMULATED_ACCOUNT, f"{PROJECT}:environmentSuffix": stack, **given})
    settings = Settings.load()
    chosen = {"environmentSuffix": settings.environment_suffix,
              "primaryRegion": settings.primary.region, "drRegion": settings.dr.region}
    if not settings.aws_endpoint:
        try:
            if account := given.get(f"{PROJECT}:account"):
                require_account(account, clients, settings.primary.region)
            chosen |= {"account": clients("sts", settings.primary.region).get_caller_identity()["Account"],
                       "primaryZones": zones_of(settings.primary.region, clients),
                       "drZones": zones_of(settings.dr.region, clients)}
        except (ClientError, BotoCoreError) as error:
            raise InitFailed(str(error)) from error
    new = {key: value for key, value in chosen.items() if f"{PROJECT}:{key}" not in given}
    if new:
        pulumi("config", "set-all", "--stack", stack, *(
            part for key, value in new.items() for part in ("--plaintext", f"{key}={value}")))
    return new


def zones_of(region: str, clients: Clients) -> str:
    """The first three zones that the account has in the region, by name. Raises InitFailed."""
    offered = clients("ec2", region).describe_availability_zones(Filters=[
        {"Name": "state", "Values": ["available"]}, {"Name": "opt-in-status", "Values": ["opt-in-not-required"]}])
    names = sorted(zone["ZoneName"] for zone in offered["AvailabilityZones"])
    if len(names) < ZONES:
        raise InitFailed(f"{region} offers {len(names)} availability zones; {ZONES} are needed")
    return ",".join(names[:ZONES])


def main(arguments: Sequence[str], run: Callable[[str, Sequence[str]], Mapping[str, str]] = init) -> int:
    """Make the stack that the first argument names. Returns the exit code: 0 done, 1 failed."""
    try:
        for key, value in run(arguments[0], arguments[1:]).items():
            print(f"Pulumi.{arguments[0]}.yaml: {key} = {value}")
    except (InitFailed, PulumiFailed, SettingsError, WrongAccount) as error:
        print(f"init: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
