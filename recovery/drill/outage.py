"""Breaks a region for a drill, records that in the table, and restores the region from that record."""
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

from contract import DRILL_KEY
from payments.errors import StoreUnavailable
from payments.stores import AwsResponse
from recovery.cloud import Cloud
from recovery.control_table import ControlTable
from recovery.environment import ClientFactory, Environment
from recovery.errors import AwsFailure, DrillUnfinished, StackError, aws_failures
from recovery.plan import COMMAND
from recovery.record import known
from recovery.stack import Site, Stack

RESTORE = f"{COMMAND} drill restore"
PAUSE = "the pause of the copies (AWS FIS)"
BEGINNING, RUNNING = ("pending", "initiating"), "running"  # states of an experiment
_KINDS: Mapping[str, Any] = {"began": float | int, "to": str, "broken": dict | None}
_UNKNOWN = {"action": "drill", "from": "unknown", "ok": False, "why": "unknown"}
DNS_REGION = "us-east-1"  # only there does Route 53 change a health check
RESTORES = 3  # attempts to restore what a drill has broken, if its record changes meanwhile
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
    `inverted` and `disabled` are settings of the health check `check`, which is empty if the drill changes none.
    `template` is that of the experiment by which the drill pauses the copies that leave the region, if it does, and
    `pause` that experiment, empty until AWS has said which it is.
    """

    region: str
    function: str
    reserved: int | None
    check: str = ""
    inverted: bool = False
    disabled: bool = False
    pause: str = ""
    template: str = ""


def current_state(clients: ClientFactory, region: str, targets: DrillTargets) -> SavedState:
    """The present state of a region. Raises AwsFailure, also if it is one in which a drill leaves a region."""
    function, check = targets.function_name, targets.health_check_id
    with aws_failures(f"payments function in {region}"):
        reserved = clients("lambda", region).get_function_concurrency(FunctionName=function)
    found = SavedState(region=region, function=function, reserved=reserved.get("ReservedConcurrentExecutions"),
                       template=targets.pauses_template_id)
    if check:
        with aws_failures("health check"):
            config = clients("route53", region).get_health_check(
                HealthCheckId=check)["HealthCheck"]["HealthCheckConfig"]
        found = replace(
            found, check=check, inverted=config.get("Inverted", False), disabled=config.get("Disabled", False))
    if found.reserved == 0 or (found.inverted and found.disabled):
        raise AwsFailure(f"{region} looks as if a drill was not undone: its function may not run, or its health check "
                         f"is inverted and disabled. `{RESTORE}`, or undo it by hand")
    return found


def start_pause(environment: Environment, saved: SavedState) -> SavedState:
    """Begin to pause the copies that leave a region. Raises AwsFailure, also if it may have begun."""
    with aws_failures(PAUSE):
        found = environment.clients("fis", saved.region).start_experiment(
            experimentTemplateId=saved.template, clientToken=environment.new_id())
    return replace(saved, pause=found["experiment"]["id"])


def await_pause(environment: Environment, saved: SavedState) -> None:
    """Wait until the pause has begun. Raises AwsFailure if it does not.

    DynamoDB may go on copying for 5 minutes then, and S3 for an hour:
    https://docs.aws.amazon.com/fis/latest/userguide/fis-actions-reference.html
    """
    clock = environment.clock
    until = clock.monotonic() + PAUSE_SECONDS
    while True:
        with aws_failures(PAUSE):
            state = environment.clients("fis", saved.region).get_experiment(id=saved.pause)["experiment"]["state"]
        status = state["status"]
        if status == RUNNING:
            return
        if status not in BEGINNING or clock.monotonic() >= until:
            raise AwsFailure(f"{PAUSE} has not begun: {status}: {state.get('reason') or 'AWS gives no reason'}")
        clock.sleep(PAUSE_LOOK)


def _end_pause(clients: ClientFactory, saved: SavedState) -> None:
    """Stop the pause: its experiment, or, if AWS has not said which that is, every one of its template."""
    if not (saved.pause or saved.template):
        return
    with aws_failures(PAUSE):
        client = clients("fis", saved.region)
        if saved.pause:
            found = [client.get_experiment(id=saved.pause)["experiment"]]
        else:
            pages = client.get_paginator("list_experiments").paginate(experimentTemplateId=saved.template)
            found = [each for page in pages for each in page["experiments"]]
        for each in found:
            if each["state"]["status"] in (*BEGINNING, RUNNING):
                client.stop_experiment(id=each["id"])


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
    usable = broken is None or known(SavedState, broken).keys() >= {"region", "function", "reserved"}
    return {**_UNKNOWN, **found} if usable else None


def unfinished(document: Mapping[str, Any]) -> str:
    """Why the drill of a record must be ended before another one may begin; empty if it has ended."""
    if document["broken"]:
        return f"a drill has left {document['broken']['region']} broken: `{RESTORE}`"
    if document.get("ended") is None:
        return f"a drill to {document['to']} is recorded as under way. If nobody runs it any more: `{RESTORE}`"
    return ""


class DrillRecord:
    """The record of a drill that is under way. It has the drill's own mark, which is the condition of every change.

    So another drill, or a person who ends this one, takes the record away from it. Every change raises `revision`, so
    that nobody ends the drill by what its record said before.
    """

    def __init__(self, table: ControlTable, mark: str) -> None:
        self._table, self._mark = table, {"mark": {"S": mark}}
        self._document: Mapping[str, Any] = {}

    @classmethod
    def claim(cls, cloud: Cloud, began: float) -> "DrillRecord":
        """Record that a drill has begun. Raises DrillUnfinished if another one has not ended, and StoreUnavailable."""
        table, plan = cloud.table, cloud.plan
        present, last = _present(table), last_drill(cloud.environment, plan.stack)
        if last and unfinished(last):
            raise DrillUnfinished(unfinished(last))
        record = cls(table, cloud.environment.new_id())
        if not record.write({"began": began, "ended": None, "action": plan.action.value, "from": plan.other.region,
                             "to": plan.target.region, "ok": False, "why": "unfinished", "broken": None,
                             "revision": 1}, present):
            raise DrillUnfinished("another drill has begun at the same moment")
        return record

    def note(self, **changes: Any) -> None:
        """Change keys of the record with the next update."""
        self._document = {**self._document, **changes}

    def update(self, **changes: Any) -> None:
        """Change keys of the record. Raises StoreUnavailable, and DrillUnfinished if it is no longer this drill's."""
        if not self.write({**self._document, **changes, "revision": self._document["revision"] + 1}, self._mark):
            raise DrillUnfinished("another drill has begun, or somebody has ended this one")

    def write(self, document: Mapping[str, Any], present: AwsResponse) -> bool:
        """Write the record if the present one has these values (empty: if there is none); returns whether it did.

        Raises StoreUnavailable.
        """
        found = self._table.write(DRILL_KEY, {"document": {"S": json.dumps(document)}, **self._mark}, present)
        if found is not None and found.get("mark") != self._mark["mark"]:  # the answer to a first attempt may be lost
            return False
        self._document = document
        return True


def _present(table: ControlTable) -> AwsResponse:
    """What a write of the record may replace: the document that is there now."""
    last = table.read(DRILL_KEY)
    return {"document": last["document"]} if last else {}


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
    """End the last drill if it has not ended, and restore and return what it left broken; None if nothing is.

    If the record changes meanwhile, the drill may have broken the region again: everything is done once more.

    Raises AwsFailure, also if a record does not say what was broken, and StoreUnavailable.
    """
    for site in stack.sites:
        table = table_of(environment, stack, site)
        with suppress(StoreUnavailable):  # one region that answers is enough
            if table.read(DRILL_KEY) and read_drill(table) is None:
                raise AwsFailure(
                    f"the record of the last drill cannot be read in {site.region}: check there whether executions "
                    f"are reserved for the payments function and its health check is inverted or disabled, and delete "
                    f"the item {DRILL_KEY} of {table.name}")
    saved = None
    for _ in range(RESTORES):
        document = last_drill(environment, stack)
        if document is None or not unfinished(document):
            return saved
        if document["broken"]:
            saved = SavedState(**known(SavedState, document["broken"]))
            restore_region(environment.clients, saved)
        table = table_of(environment, stack, stack.site(document["to"]))
        present, ended = _present(table), document.get("ended") or environment.clock.time()
        if read_drill(table) == document and DrillRecord(table, environment.new_id()).write(
                {**document, "ended": ended, "broken": None}, present):
            return saved
    raise AwsFailure(f"the record of the drill has changed meanwhile: `{RESTORE}`")
