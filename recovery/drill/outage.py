"""Breaks a region for a drill, records that in the table, and restores the region from that record."""
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

from contract import DRILL_KEY
from payments.errors import StoreUnavailable
from recovery.cloud import Cloud
from recovery.control_table import ControlTable
from recovery.environment import ClientFactory, Environment
from recovery.errors import AlreadyRunning, AwsFailure, StackError, aws_failures
from recovery.plan import COMMAND
from recovery.record import known
from recovery.stack import Site, Stack

RESTORE = f"{COMMAND} drill restore"
PAUSE = "the pause of the copies (AWS FIS)"
BEGINNING, RUNNING = ("pending", "initiating"), "running"  # states of an experiment
_KINDS: Mapping[str, Any] = {"began": float | int, "to": str, "broken": dict | None}
_UNKNOWN = {"action": "drill", "from": "unknown", "ok": False, "why": "unknown"}
PAUSE_SECONDS, PAUSE_LOOK = 300.0, 2.0  # seconds until a pause must have begun, and between two looks


@dataclass(frozen=True, kw_only=True)
class DrillTargets:
    """What a drill needs to know about a region, from the stack's outputs; without DNS `health_check_id` is empty.

    `pauses_template_id` is the experiment that pauses the copies which leave the region; empty: none is wanted.
    """

    function_name: str
    api_key_id: str
    health_check_id: str
    pauses_template_id: str = ""

    @classmethod
    def of(cls, outputs: Mapping[str, Any], site: Site) -> "DrillTargets":
        """From the stack's flat outputs. Raises StackError."""
        found: dict[str, Any] = {each.name: outputs.get(
            f"{site.role}_{each.name}", None if each.default is MISSING else each.default) for each in fields(cls)}
        for name, value in found.items():
            if not isinstance(value, str):
                raise StackError(f"{site.role}_{name} = {value!r}: must be a string")
        return cls(**found)


@dataclass(frozen=True, kw_only=True)
class SavedState:
    """The state of a region before a drill broke it. It is stored, so its fields never change.

    `reserved` is the number of executions reserved for the payments function of a region, None if none are;
    `inverted` and `disabled` are settings of the health check `check`, if there is one. `pause` is the experiment by
    which the drill has paused the copies that leave the region, if it has.
    """

    region: str
    function: str
    reserved: int | None
    check: str = ""
    inverted: bool = False
    disabled: bool = False
    pause: str = ""


def current_state(clients: ClientFactory, region: str, targets: DrillTargets) -> SavedState:
    """The present state of a region. Raises AwsFailure."""
    function, check = targets.function_name, targets.health_check_id
    with aws_failures(f"payments function in {region}"):
        reserved = clients("lambda", region).get_function_concurrency(FunctionName=function)
    found = SavedState(region=region, function=function, reserved=reserved.get("ReservedConcurrentExecutions"))
    if not check:
        return found
    with aws_failures("health check"):
        config = clients("route53", region).get_health_check(HealthCheckId=check)["HealthCheck"]["HealthCheckConfig"]
    return replace(found, check=check, inverted=config.get("Inverted", False), disabled=config.get("Disabled", False))


def start_pause(environment: Environment, saved: SavedState, template: str) -> SavedState:
    """Begin to pause the copies that leave a region. Raises AwsFailure."""
    with aws_failures(PAUSE):
        found = environment.clients("fis", saved.region).start_experiment(
            experimentTemplateId=template, clientToken=environment.new_id())
    return replace(saved, pause=found["experiment"]["id"])


def await_pause(environment: Environment, saved: SavedState) -> None:
    """Wait until the pause has begun. Raises AwsFailure if it does not.

    DynamoDB may go on copying for 5 minutes then, and S3 for an hour:
    https://docs.aws.amazon.com/fis/latest/userguide/fis-actions-reference.html
    """
    clock = environment.clock
    until = clock.monotonic() + PAUSE_SECONDS
    while True:
        state = _pause_state(environment.clients, saved)
        status = state["status"]
        if status == RUNNING:
            return
        if status not in BEGINNING or clock.monotonic() >= until:
            raise AwsFailure(f"{PAUSE} has not begun: {status}: {state.get('reason') or 'AWS gives no reason'}")
        clock.sleep(PAUSE_LOOK)


def _pause_state(clients: ClientFactory, saved: SavedState) -> Mapping[str, Any]:
    with aws_failures(PAUSE):
        found: Mapping[str, Any] = clients("fis", saved.region).get_experiment(id=saved.pause)["experiment"]["state"]
        return found


def _end_pause(clients: ClientFactory, saved: SavedState) -> None:
    if saved.pause and _pause_state(clients, saved)["status"] in (*BEGINNING, RUNNING):
        with aws_failures(PAUSE):
            clients("fis", saved.region).stop_experiment(id=saved.pause)


def break_region(clients: ClientFactory, saved: SavedState) -> None:
    """Make the region's API fail, and its health check. Raises AwsFailure.

    A check that is only inverted would become healthy when the API fails; one that is disabled as well stays
    unhealthy. The check comes first: it needs Route 53's control plane, which a failover must not depend on.
    """
    _set_check(clients, replace(saved, inverted=True, disabled=True))
    _set_reserved(clients, replace(saved, reserved=0))


def restore_region(clients: ClientFactory, saved: SavedState) -> None:
    """Restore everything; doing so twice changes nothing. Raises AwsFailure after it has tried everything."""
    failed = []
    for put_back in (_set_reserved, _set_check, _end_pause):
        try:
            put_back(clients, saved)
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


def table_of(environment: Environment, stack: Stack, site: Site) -> ControlTable:
    """A region's replica of the table."""
    return ControlTable(environment.clients("dynamodb", site.region), stack.payments_table_name, environment.runtime)


def read_drill(table: ControlTable) -> dict[str, Any] | None:
    """The record of the last drill in a replica; None if there is none, or one that does not say what was broken.

    Raises StoreUnavailable.
    """
    found = table.document(DRILL_KEY)
    if not isinstance(found, dict) or not all(isinstance(found.get(name), kind) for name, kind in _KINDS.items()):
        return None
    broken = found["broken"]
    return None if broken is not None and "region" not in broken else {**_UNKNOWN, **found}


class DrillRecord:
    """The record of a drill that is under way."""

    def __init__(self, table: ControlTable, document: Mapping[str, Any]) -> None:
        self._table, self._document = table, dict(document)

    @classmethod
    def claim(cls, cloud: Cloud, began: float) -> "DrillRecord":
        """Record that a drill has begun. Raises AlreadyRunning if another one has begun at the same moment."""
        table, plan = cloud.table, cloud.plan
        last = table.read(DRILL_KEY)
        document = {"began": began, "ended": None, "action": plan.action.value, "from": plan.other.region,
                    "to": plan.target.region, "ok": False, "why": "unfinished", "broken": None}
        item = {"document": {"S": json.dumps(document)}}
        found = table.write(DRILL_KEY, item, {"document": last["document"]} if last else {})
        if found is not None and found.get("document") != item["document"]:
            raise AlreadyRunning("another driver", "a drill")
        return cls(table, document)

    def update(self, **changes: Any) -> None:
        """Change keys of the record. Raises StoreUnavailable."""
        self._document |= changes
        self._table.write_document(DRILL_KEY, self._document)


def last_drill(environment: Environment, stack: Stack) -> dict[str, Any] | None:
    """The last drill's record, None if there never was one. Raises StoreUnavailable if no region answers.

    The replica of the region that stood by is the one that is written, and the other may lag.
    """
    found, unavailable = dict[tuple[float, bool], dict[str, Any]](), list[StoreUnavailable]()
    for site in stack.sites:
        try:
            document = read_drill(table_of(environment, stack, site))
        except StoreUnavailable as error:
            unavailable.append(error)
            continue
        if document is not None:
            found[document["began"], document["to"] == site.region] = document
    if unavailable and not found:
        raise unavailable[0]
    return found[max(found)] if found else None


def restore(environment: Environment, stack: Stack) -> SavedState | None:
    """Restore what a drill left broken, and return it; None if nothing is. Raises AwsFailure and StoreUnavailable."""
    document = last_drill(environment, stack)
    if document is None or document["broken"] is None:
        return None
    saved = SavedState(**known(SavedState, document["broken"]))
    restore_region(environment.clients, saved)
    table_of(environment, stack, stack.site(document["to"])).write_document(DRILL_KEY, {**document, "broken": None})
    return saved
