"""A measured figure, and the latencies of requests."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """A figure, the floor that was measured in the same run, and the bound that it must not exceed."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    of: str = ""
    """What the floor is."""
    bound: float | None = None

    @property
    def ok(self) -> bool:
        """Whether it keeps to its bound."""
        return self.bound is None or self.value <= self.bound


@dataclass(frozen=True)
class Latencies:
    """How long requests took in seconds: each of them, and all of them together."""

    latencies: Sequence[float]
    seconds: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: int) -> float:
        """The milliseconds within which so many percent of the requests were answered."""
        return statistics.quantiles(self.latencies, n=100, method="inclusive")[percent - 1] * 1000
