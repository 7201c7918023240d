"""The simulated person: what they type and when, and how they answer what they are told."""
import re
from collections import Counter
from typing import TYPE_CHECKING

from simulator.network import OUTSIDE
from simulator.scheduler import Process

if TYPE_CHECKING:
    from simulator.mixes import Person
    from simulator.world import World

COMMAND = re.compile(r"(failover|switchover|failback)( --to ([a-z0-9-]+))?")
POLL = 10.0  # seconds between two looks at the mail
AGAIN = 60.0  # seconds until a command that did not finish is typed again
TRIES = 5


class Operator:
    """Types commands of recovery, each in a process of its own."""

    def __init__(self, world: "World", person: "Person") -> None:
        self._world, self._person = world, person
        self.outcomes: Counter[str] = Counter()
        self._number = 0
        for at, words in person.typed:
            world.scheduler.at(at, lambda words=words: self._type(words, 1))
        if person.waits is not None:
            mail = Process(world.scheduler, "mail", OUTSIDE)
            world.scheduler.spawn(mail, lambda: self._read(mail))

    def _read(self, mail: Process) -> None:
        seen, answered = 0, -1000.0
        while True:
            mail.sleep(POLL)
            notes = self._world.history.of("notified")
            for note in notes[seen:]:
                found = COMMAND.search(note.facts["message"])
                if found and self._world.scheduler.now > answered + 300.0 and "recovery" in note.facts["message"]:
                    answered = self._world.scheduler.now
                    words = found[0] + (" --accept-data-loss" if self._person.accepts and found[1] == "failover" else "")
                    self._world.scheduler.at(self._person.waits or 0.0, lambda words=words: self._type(words, 1))
            seen = len(notes)

    def _type(self, words: str, attempt: int) -> None:
        world = self._world
        self._number += 1
        process = Process(world.scheduler, f"operator-{self._number}", OUTSIDE)
        process.skew = world.options.skews.get(OUTSIDE, 0.0)
        world.drivers.append(process)
        world.history.note(world.scheduler.now, "types", process.name, words=words)

        def work() -> None:
            code, text = world.command(process, words)
            self.outcomes[f"{words.partition(' ')[0]} exit {code}"] += 1
            world.history.note(world.scheduler.now, "exits", process.name, code=code, text=text[:300])
            if code == 1 and attempt < TRIES:
                world.scheduler.at(AGAIN, lambda: self._type(words, attempt + 1))

        world.scheduler.spawn(process, work)
        if self._person.interrupts is not None:
            world.scheduler.at(self._person.interrupts, process.kill)
