"""What a drill breaks in a region, and restores."""
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from recovery.clients import ClientFactory
from recovery.errors import AwsFailure, StackError, aws_failures
from recovery.stack import Site

RESTORE = "python -m recovery drill restore"


@dataclass(frozen=True, kw_only=True)
class DrillTargets:
    """What a drill needs to know of a region, from the stack's outputs; without DNS `health_check_id` is empty."""

    function_name: str
    api_key_id: str
    health_check_id: str

    @classmethod
    def of(cls, outputs: Mapping[str, Any], site: Site) -> "DrillTargets":
        """From the stack's flat outputs. Raises StackError."""
        found: dict[str, Any] = {each.name: outputs.get(f"{site.role}_{each.name}") for each in fields(cls)}
        for name, value in found.items():
            if not isinstance(value, str):
                raise StackError(f"{site.role}_{name} = {value!r}: must be a text")
        return cls(**found)


@dataclass(frozen=True, kw_only=True)
class SavedState:
    """What was there before a drill broke it. It is stored, so its fields never change.

    `reserved` is the number of executions reserved for the payments function of a region, None if none are;
    `inverted` and `disabled` are settings of the health check `check`, if there is one.
    """

    region: str
    function: str
    reserved: int | None
    check: str = ""
    inverted: bool = False
    disabled: bool = False


def current_state(clients: ClientFactory, region: str, targets: DrillTargets) -> SavedState:
    """What is there now. Raises AwsFailure."""
    function, check = targets.function_name, targets.health_check_id
    with aws_failures(f"payments function in {region}"):
        reserved = clients("lambda", region).get_function_concurrency(FunctionName=function)
    found = SavedState(region=region, function=function, reserved=reserved.get("ReservedConcurrentExecutions"))
    if not check:
        return found
    with aws_failures("health check"):
        config = clients("route53", region).get_health_check(HealthCheckId=check)["HealthCheck"]["HealthCheckConfig"]
    return replace(found, check=check, inverted=config.get("Inverted", False), disabled=config.get("Disabled", False))


def break_region(clients: ClientFactory, before: SavedState) -> None:
    """Make the region's API fail, and its health check. Raises AwsFailure.

    A check that is only inverted would become healthy when the API fails; one that is disabled as well stays
    unhealthy. The check comes first: it needs Route 53's control plane, which a failover must not depend on.
    """
    _set_check(clients, replace(before, inverted=True, disabled=True))
    _set_reserved(clients, replace(before, reserved=0))


def restore_region(clients: ClientFactory, before: SavedState) -> None:
    """Put everything back; doing so again changes nothing. Raises AwsFailure after it has tried everything."""
    failed = []
    for put_back in (_set_reserved, _set_check):
        try:
            put_back(clients, before)
        except AwsFailure as error:
            failed.append(str(error))
    if failed:
        raise AwsFailure(f"not restored: {'; '.join(failed)}: `{RESTORE}`")


def _set_reserved(clients: ClientFactory, wanted: SavedState) -> None:
    client = clients("lambda", wanted.region)
    with aws_failures(f"payments function in {wanted.region}"):
        if wanted.reserved is None:
            client.delete_function_concurrency(FunctionName=wanted.function)
        else:
            client.put_function_concurrency(FunctionName=wanted.function, ReservedConcurrentExecutions=wanted.reserved)


def _set_check(clients: ClientFactory, wanted: SavedState) -> None:
    if wanted.check:
        with aws_failures("health check"):
            clients("route53", wanted.region).update_health_check(
                HealthCheckId=wanted.check, Inverted=wanted.inverted, Disabled=wanted.disabled)
