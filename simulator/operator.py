"""The simulated person: what they type and when, and how they answer what they are told.

Besides what a mix lets them type, they read their mail. While nobody pays they type the command that the newest
notification names, or else the newest alarm, some time after it came. While a command runs they wait for it, but not
for long: one that waits for a lost region must not keep them from what they are told since. If a command ends
unfinished or refused, they type it again a minute later, a few times; once everything that may heal has healed, they
also accept the loss.
"""
import re
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from recovery.terminal import REFUSED, UNFINISHED
from simulator.network import OUTSIDE
from simulator.scheduler import Process

if TYPE_CHECKING:
    from simulator.mixes import Person
    from simulator.world import World

COMMAND = re.compile(r"recovery ((failover|switchover|failback)( --to [a-z0-9-]+)?)")
POLL = 10.0  # seconds between two looks at the mail
AGAIN = 60.0  # seconds until a command that did not finish is typed again
TRIES = 5
PATIENCE = 120.0  # seconds that they wait for a command before they type another one besides
DOWN = 40.0  # seconds without a payment after which a person believes that something is wrong


class Operator:
    """Types commands of recovery, each in a process of its own."""

    def __init__(self, world: "World", person: "Person") -> None:
        self._world, self._person = world, person
        self.outcomes: Counter[str] = Counter()
        self.patient = person.accepts
        """Whether they accept the loss of data."""
        self._number = 0
        self._busy_until = 0.0
        self._refused = ""  # the last command that was: what else they are told comes first
        self._due = False  # whether an unfinished command is typed again soon: it comes before a refused one
        for at, words in person.typed:
            world.scheduler.at(at, partial(self._type, words, 1))
        mail = Process(world.scheduler, "mail", OUTSIDE)
        world.scheduler.spawn(mail, lambda: self._read(mail))

    def _down(self) -> bool:
        return self._world.scheduler.now - max(self._world.served.values()) > DOWN

    def _read(self, mail: Process) -> None:
        history, read = self._world.history, [0, 0]
        advice, at = "", 0.0
        while True:
            mail.sleep(POLL)
            kinds = history.of("notified"), history.of("alarm")
            notified, alarms = ([found[1] for note in kind[seen:] if (found := COMMAND.search(note.facts["message"]))]
                                for kind, seen in zip(kinds, read, strict=True))
            read = [len(kind) for kind in kinds]
            named = notified or ([] if advice else alarms)
            other = [words for words in named if words not in (advice, self._refused)]
            if other or (named and not advice):
                advice, at = (other or named)[-1], self._world.scheduler.now
            waits = self._person.waits
            now = self._world.scheduler.now
            if advice and waits is not None and now >= max(at + waits, self._busy_until):
                if self._down() and not (self._due and advice == self._refused):
                    accepts = self.patient and advice.startswith("failover")
                    self._type(advice + (" --accept-data-loss" if accepts else ""), 1)
                advice = ""

    def _type(self, words: str, attempt: int) -> None:
        world = self._world
        self._number = number = self._number + 1
        self._busy_until = world.scheduler.now + PATIENCE
        process = Process(world.scheduler, f"operator-{self._number}", OUTSIDE)
        process.skew = world.options.skews.get(OUTSIDE, 0.0)
        process.ended.append(partial(setattr, self, "_busy_until", 0.0))
        world.drivers.append(process)
        world.history.note(world.scheduler.now, "types", process.name, words=words)

        def work() -> None:
            code, text = world.command(process, words)
            self.outcomes[f"{words.partition(' ')[0]} exit {code}"] += 1
            world.history.note(world.scheduler.now, "exits", process.name, code=code, text=text[:400])
            if "internal error" in text:
                world.history.note(world.scheduler.now, "crashed", process.name, why=text[:400])
            self._busy_until = 0.0
            self._due = code == UNFINISHED and attempt < TRIES
            if code != UNFINISHED:
                self._refused = words.removesuffix(" --accept-data-loss") if code == REFUSED else ""
            if self._due or (code == REFUSED and attempt < TRIES):
                world.scheduler.at(AGAIN, partial(self._again, number, words, code, attempt + 1))

        world.scheduler.spawn(process, work)
        if self._person.interrupts is not None and self._number == self._person.interrupted:
            world.scheduler.at(self._person.interrupts, process.kill)

    def _again(self, number: int, words: str, code: int, attempt: int) -> None:
        """The newest command is typed again: a refused one only while nobody pays, an unfinished one in any case."""
        self._due = False
        if number == self._number and (code == UNFINISHED or self._down()):
            loses = self.patient and words.startswith("failover") and "--accept" not in words
            self._type(words + (" --accept-data-loss" if loses else ""), attempt)
