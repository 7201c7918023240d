"""What a check is, what it may look at, and what it finds."""
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from recovery.errors import AwsFailure

S = TypeVar("S")


class Situation(StrEnum):
    """When the doctor is asked: once the stack exists, or by the deployment that follows. Both may be true."""

    DEPLOYED = "deployed"
    BEFORE_UP = "before `up`"


class Look(Protocol):
    """Reads AWS, with the permissions of docs/iam/doctor.json. `account` is the one that it is signed in to."""

    account: str

    def __call__(self, service: str, operation: str, region: str, absent: Sequence[str] = (), **request: Any) -> Any:
        """AWS's answer, with all its pages; None if AWS says no with an error code of `absent`. Raises AwsFailure."""

    def name_servers(self, zone: str) -> frozenset[str]:
        """The hosts that a public resolver names for a zone, none if it is not delegated. Raises AwsFailure."""


@dataclass(frozen=True, kw_only=True)
class Symptom:
    """A finding: what would fail and what to do about it. Without `fails` it is a note: nothing would fail."""

    problem: str
    remedy: str
    fails: bool = True


Find = Callable[[Look, S, str], Iterable[Symptom]]
"""What a check finds about its subject, in one of the stack's two regions. Raises what `Look` raises."""


@dataclass(frozen=True, kw_only=True)
class DoctorCheck(Generic[S]):
    """A check, by the question that it answers.

    It is made in each region, or once, and not at all in the situation `unless`.
    """

    name: str
    question: str
    each_region: bool
    unless: Situation | None
    find: Find[S]


class Checks(list[DoctorCheck[S]]):
    """The checks of one kind of subject, in the order in which they are shown."""

    def add(self, name: str, question: str, *, each_region: bool = False,
            unless: Situation | None = None) -> Callable[[Find[S]], Find[S]]:
        """Make the decorated function a check."""
        def register(find: Find[S]) -> Find[S]:
            self.append(DoctorCheck(name=name, question=question, each_region=each_region, unless=unless, find=find))
            return find
        return register


def answer_of_any(look: Look, regions: Iterable[str], service: str, operation: str, **request: Any) -> Any:
    """The first answer that one of the regions gives. Raises the last AwsFailure if none does."""
    *others, last = regions
    for region in others:
        try:
            return look(service, operation, region, **request)
        except AwsFailure:
            continue
    return look(service, operation, last, **request)
