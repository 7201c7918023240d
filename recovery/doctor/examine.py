"""Makes all checks at the same time, with read permissions only."""
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from recovery.doctor.before import BEFORE
from recovery.doctor.check import DoctorCheck, S, Situation, Symptom, answer_of_any
from recovery.doctor.deployed import DEPLOYED, Deployed
from recovery.doctor.needs import Needs
from recovery.environment import Environment
from recovery.errors import SIGN_IN, AwsFailure, CommandStopped, aws_failures
from recovery.permissions import DOCTOR
from recovery.stack import Stack

FINE, WOULD_FAIL, COULD_NOT_LOOK = 0, 1, 2
PATIENCE = 60.0  # seconds


class UndeclaredCall(Exception):
    """A check makes a call that `recovery.permissions.DOCTOR` does not declare."""


Answer = list[Symptom] | str
"""What a check found, or why it could not be made."""
Questions = dict[tuple[str, str], Callable[[], Answer]]
"""By check and region; the region is empty for a check that is made once."""


@dataclass
class AwsLook:
    """A Look at AWS itself. It makes no call that `DOCTOR` does not declare: docs/iam/doctor.json permits no other."""

    environment: Environment
    account: str = ""

    def __call__(self, service: str, operation: str, region: str, absent: Sequence[str] = (), **request: Any) -> Any:
        """As in Look. Raises UndeclaredCall."""
        if f"{service}:{operation}" not in DOCTOR:
            raise UndeclaredCall(f"{service}:{operation}")
        method = xform_name(operation)
        with aws_failures(f"{operation} in {region}"):
            client = self.environment.clients(service, region)
            try:
                if client.can_paginate(method):
                    # Of a list that is empty, it returns nothing.
                    return defaultdict(list, client.get_paginator(method).paginate(**request).build_full_result())
                return getattr(client, method)(**request)
            except ClientError as error:
                if error.response["Error"]["Code"] in absent:
                    return None
                raise

    def name_servers(self, zone: str) -> frozenset[str]:
        """As in Look."""
        return self.environment.name_servers(zone)


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Every check's answer, by its name and region (empty for a check that is made once), in account `account`."""

    account: str
    answers: Mapping[tuple[str, str], Answer]

    @property
    def code(self) -> int:
        """The exit code of the command."""
        if any(finding.fails for _, finding in self.findings()):
            return WOULD_FAIL
        return COULD_NOT_LOOK if any(isinstance(found, str) for found in self.answers.values()) else FINE

    def findings(self) -> Iterator[tuple[tuple[str, str], Symptom]]:
        """Each finding with its check and region, what would fail first."""
        known = [(key, finding) for key, found in self.answers.items() if not isinstance(found, str)
                 for finding in found]
        return iter(sorted(known, key=lambda each: not each[1].fails))

    def document(self) -> dict[str, Any]:
        """As JSON."""
        where = {key: {"check": key[0], "region": key[1]} for key in self.answers}
        unread = {key: why for key, why in self.answers.items() if isinstance(why, str)}
        return {"account": self.account, "ok": self.code == FINE,
                "looked": [each for key, each in where.items() if key not in unread],
                "findings": [{**where[key], **asdict(finding)} for key, finding in self.findings()],
                "could_not_look": [{**where[key], "why": why} for key, why in unread.items()]}

    def rows(self) -> list[list[str]]:
        """The findings as a table, after a row of headings."""
        return [["check", "finding", "what to do"], *(
            [" in ".join(filter(None, key)), finding.problem if finding.fails else f"note: {finding.problem}",
             finding.remedy] for key, finding in self.findings())]

    def lines(self) -> list[str]:
        """What could not be checked, each reason once, and a summary."""
        unread: dict[str, list[str]] = {}
        for key, why in self.answers.items():
            if isinstance(why, str):
                unread.setdefault(why, []).append(" in ".join(filter(None, key)))
        fails = sum(finding.fails for _, finding in self.findings())
        return [*(f"could not check: {', '.join(names)}: {why}" for why, names in unread.items()),
                (f"account {self.account}: {len(self.answers)} checks; {fails} would fail, "
                 f"{len(list(self.findings())) - fails} notes, {sum(map(len, unread.values()))} could not be checked")]


def examine(environment: Environment, *, needs: Needs | None, stack: Stack | None,
            before_up: bool = False) -> Diagnosis:
    """Make the checks that concern what is to be deployed (`needs`), what is (`stack`), or both.

    Raises CommandStopped if AWS cannot be asked at all.
    """
    regions = [each.region for each in (needs.regions if needs else stack.sites if stack else ())]
    look = AwsLook(environment)
    try:
        look.account = answer_of_any(look, regions, "sts", "GetCallerIdentity")["Account"]
    except AwsFailure as error:
        raise CommandStopped(COULD_NOT_LOOK, f"{error}: {SIGN_IN}") from error
    present = {Situation.DEPLOYED: stack is not None, Situation.BEFORE_UP: before_up}
    questions: Questions = {}
    if needs:
        questions |= _questions(BEFORE, present, look, needs, regions)
    if stack:
        questions |= _questions(DEPLOYED, present, look, Deployed(stack=stack, needs=needs), regions)
    answers = environment.background.gather(questions, PATIENCE)
    return Diagnosis(account=look.account, answers={
        key: answers.get(key, f"no answer within {PATIENCE:g} s") for key in questions})


def _questions(checks: Iterable[DoctorCheck[S]], present: Mapping[Situation, bool], look: AwsLook, subject: S,
               regions: Sequence[str]) -> Questions:
    return {(check.name, region if check.each_region else ""): partial(_answer, check, look, subject, region)
            for check in checks if check.unless is None or not present[check.unless]
            for region in (regions if check.each_region else regions[:1])}


def _answer(check: DoctorCheck[S], look: AwsLook, subject: S, region: str) -> Answer:
    try:
        return list(check.find(look, subject, region))
    except AwsFailure as error:
        return str(error)
