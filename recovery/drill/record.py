"""The record of the last drill, in the payments table of the region that stands by."""
import json
from collections.abc import Mapping
from typing import Any

from contract import DRILL_KEY
from payments.errors import StoreUnavailable
from recovery.control_table import ControlTable
from recovery.drill.outage import SavedState, restore_region
from recovery.environment import Environment
from recovery.errors import AlreadyRunning
from recovery.plan import Plan
from recovery.stack import Site, Stack


def table_of(environment: Environment, stack: Stack, site: Site) -> ControlTable:
    """A region's replica of the table."""
    return ControlTable(environment.clients("dynamodb", site.region), stack.payments_table_name, environment.runtime)


class DrillRecord:
    """The record of a drill that is under way."""

    def __init__(self, table: ControlTable, document: Mapping[str, Any]) -> None:
        self._table, self._document = table, dict(document)

    @classmethod
    def claim(cls, table: ControlTable, plan: Plan, began: float) -> "DrillRecord":
        """Record that a drill has begun. Raises AlreadyRunning if another one has begun at the same moment."""
        last = table.read(DRILL_KEY)
        document = {"began": began, "ended": None, "action": plan.action.value, "from": plan.other.region,
                    "to": plan.target.region, "ok": False, "why": "unfinished", "broken": None}
        item = {"document": {"S": json.dumps(document)}}
        found = table.write(DRILL_KEY, item, {"document": last["document"]["S"]} if last else {})
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
            document = table_of(environment, stack, site).document(DRILL_KEY)
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
    before = SavedState(**document["broken"])
    restore_region(environment.clients, before)
    table_of(environment, stack, stack.site(document["to"])).write_document(DRILL_KEY, {**document, "broken": None})
    return before
