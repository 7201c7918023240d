"""Everything that recovery takes from outside. Tests and a simulator bring their own."""
from dataclasses import dataclass

from payments.clock import Clock
from payments.runtime import Runtime, system_runtime
from recovery.background import Background
from recovery.clients import ClientFactory
from recovery.http import Http, send


@dataclass(frozen=True, kw_only=True)
class Environment:
    """AWS clients, HTTP, background work, and the runtime: clock, bounded calls and random numbers."""

    clients: ClientFactory
    http: Http
    background: Background
    runtime: Runtime

    @property
    def clock(self) -> Clock:
        """The runtime's."""
        return self.runtime.clock

    def new_id(self) -> str:
        """32 hexadecimal digits that nobody has used before."""
        return f"{self.runtime.random.getrandbits(128):032x}"


def system_environment(clients: ClientFactory) -> Environment:
    """The machine's own, with these clients."""
    return Environment(clients=clients, http=send, background=Background(), runtime=system_runtime())
