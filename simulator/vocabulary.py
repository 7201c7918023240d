"""What the drills and the simulator call by the same words, and judge alike: pure functions over facts."""
from collections.abc import Collection, Iterable
from enum import StrEnum

from contract import Store


class FailureMode(StrEnum):
    """How a call fails: the connection is reset, it hangs until it times out, or the answer is an error, or a 429."""

    RESET = "reset"
    HANG = "hang"
    ERROR = "error"
    THROTTLED = "throttled"


class FaultVerb(StrEnum):
    """What goes wrong in both: the verb in a scenario's file, and what a fault of a mix is called, or how it begins."""

    CUT = "cut"  # a region, from everything
    CUT_CONNECTION = "cut_connection"  # only the one between the two regions
    FREEZE = "freeze"  # who drives a run
    LAG = "lag"  # the copies of a store
    LOSE = "lose"  # a store or a service of a region
    RESTORE = "restore"  # a store, to an earlier moment


class Durability(StrEnum):
    """How a region keeps a payment that was acknowledged."""

    LOST = "lost"
    PENDING = "pending"  # a store has it, but the table does not have it as settled: it does not count as made
    PARTLY = "not whole"  # it is settled, and another store lacks it
    WHOLE = "whole"

    @classmethod
    def of(cls, stores: Collection[str]) -> "Durability":
        """By the region's stores that have it; the table has it once it is settled there."""
        if Store.TABLE not in stores:
            return cls.PENDING if stores else cls.LOST
        return cls.WHOLE if len(stores) == len(Store) else cls.PARTLY

    @property
    def made(self) -> bool:
        """Whether the payment counts as made; one that was acknowledged and does not is lost."""
        return self in (Durability.PARTLY, Durability.WHOLE)


def one_writer(leaders: Iterable[str], writer: str) -> bool:
    """Whether the region of the database's writer is the only one that any region takes for the leader."""
    return {*leaders} == {writer}
