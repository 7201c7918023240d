"""Whether the region can take payments: in the leader by writing a canary, in the standby by all that needs no leader.

The answer is read by the controllers of both regions and by `status`; the function is asked by invoking it.
"""
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from payments.deadline import Deadline
from payments.errors import NotTheWriter, StoreUnavailable
from payments.leadership import FIRST_EPOCH, Leadership
from payments.service import PaymentService

T = TypeVar("T")


def readiness(service: PaymentService, deadline: Deadline) -> dict[str, Any]:
    """Whether the region can take payments now, as JSON that names each store that fails.

    `leader` and `epoch` are those of the region's replica of the table, `marks` and `ledger_epoch` those of its
    replica of the ledger, and `mark` is one that it has just set: None for what could not be read or set. The leader
    pays without its replica: one that hangs leaves it half of the time, and the writer answers instead.
    """
    region, problems = service.lease.region, list[str]()

    def attempt(work: Callable[[Deadline], T], within: Deadline = deadline, *, informs: bool = False) -> T | None:
        try:
            return work(within)
        except StoreUnavailable as error:
            problem = f"{error.store}:{error.code}"
        except NotTheWriter:
            problem = "not the writer"
        if not informs:
            problems.append(problem)
        return None

    record = attempt(service.lease.read)
    leads = record is not None and record.region == region
    state = attempt(service.ledger.state, deadline.within(deadline.remaining() / 2) if leads else deadline,
                    informs=leads)
    mark = None
    if leads or record is None:
        # It says how far the log has come, also where the table or the bucket keeps the region from paying.
        epoch = (record or state or Leadership(FIRST_EPOCH, region)).epoch
        mark = attempt(partial(service.ledger.mark, region, epoch))
    attempt(service.canary if leads else service.probe)
    if leads and state is None:
        state = attempt(partial(service.ledger.state, at_writer=True), informs=True)
    why = next(iter(problems), "")
    return {"region": region, "leader": record and record.region, "epoch": record and record.epoch, "ready": not why,
            "why": why, "mark": mark, "marks": state.marks if state else {},
            "ledger_epoch": state and state.epoch}
