"""The throughput of payments, and what one payment costs in store calls and CPU time.

Each figure stands next to a floor that is measured in the same run on the same machine. Some have a bound.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """A figure, the floor that was measured in the same run, and the bound that it must not exceed.

    of: what the floor is.
    """

    name: str
    value: float
    unit: str
    floor: float | None = None
    of: str = ""
    bound: float | None = None

    @property
    def ok(self) -> bool:
        """Whether it is within its bound."""
        return self.bound is None or self.value <= self.bound
