"""What happened in a history, as a list of events that checkers read."""
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Event:
    """Something that happened at a virtual time (seconds); `what` says which of the facts in `facts` it has."""

    at: float
    what: str
    who: str
    facts: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        facts = " ".join(f"{key}={value}" for key, value in self.facts.items())
        return f"{self.at:9.2f}  {self.who:24} {self.what} {facts}".rstrip()


class History:
    """The events of one seed, oldest first."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def note(self, at: float, what: str, who: str, **facts: Any) -> None:
        """Add an event."""
        self.events.append(Event(at, what, who, facts))

    def of(self, *what: str) -> list[Event]:
        """The events of these kinds."""
        return [event for event in self.events if event.what in what]
