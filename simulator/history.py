"""What happened in a history, as a list of events that checkers read."""
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Event:
    """Something that happened at a virtual time (seconds): `what`, who did it or where, and the facts of it."""

    at: float
    what: str
    who: str
    facts: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        facts = " ".join(f"{key}={value}" for key, value in self.facts.items())
        return f"{self.at:9.2f}  {self.who:34} {self.what} {facts}".rstrip()


class History:
    """The events of one seed, oldest first."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._kinds: dict[str, list[Event]] = {}

    def note(self, at: float, what: str, who: str, **facts: Any) -> None:
        """Add an event."""
        event = Event(at, what, who, facts)
        self.events.append(event)
        self._kinds.setdefault(what, []).append(event)

    def of(self, what: str) -> list[Event]:
        """The events of a kind."""
        return self._kinds.get(what, [])
