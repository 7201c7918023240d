"""What a flood of strangers' requests does, with AWS's token bucket modelled: `python -m tests.simulator.flood`.

Before, strangers shared a bucket for each keyless route with the checkers; now only that of the whole account, if API
Gateway counts there what it refuses, which AWS does not say.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html
"""
import sys
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from lib.region.check_routes import RATE
from lib.region.firewall import WINDOW, limit
from lib.settings import ApiSettings
from simulator.route53 import HEALTHY_SHARE

STEP, MINUTE = 0.01, 60.0  # seconds
THRESHOLD, LEVER_THRESHOLD = 3, 1  # answers in a row that change a checker's mind
EXECUTIONS = 300  # reserved in prod
HUNG_SECONDS, HEALTH_SECONDS = 1.6, 0.01  # that the function looked for the lever at most, and that liveness takes
CLIENT = ApiSettings(clients={}, authorization="NONE", rate_limit=100, burst_limit=200, firewall=True,
                     manage_account=True)


@dataclass(frozen=True)
class TokenBucket:
    """So many requests a second, and so many at once."""

    rate: float
    burst: float

    def refused(self, flood: float, seconds: float = MINUTE) -> float:
        """The share of the requests that are refused in the last second of a flood of so many a second."""
        tokens, shares = self.burst, list[float]()
        for _ in range(round(seconds / STEP)):
            tokens = min(self.burst, tokens + self.rate * STEP)
            passed = min(tokens, flood * STEP)
            tokens -= passed
            shares.append(1 - passed / (flood * STEP))
        last = shares[-round(1 / STEP):]
        return sum(last) / len(last)


KEYLESS, ACCOUNT = TokenBucket(2000, 4000), TokenBucket(10_000, 5000)


def healthy(refused: float, threshold: int) -> float:
    """The share of the checkers that see a health check succeed, where each answer is refused with a probability."""
    def in_a_row(chance: float) -> float:
        """The answers until so many in a row are of a kind."""
        return (1 - chance ** threshold) / ((1 - chance) * chance ** threshold) if 0 < chance < 1 else (
            float(threshold) if chance else float("inf"))

    before, after = in_a_row(refused), in_a_row(1 - refused)
    return 1.0 if before == float("inf") else before / (before + after) if after != float("inf") else 0.0


def needed(bucket: TokenBucket, threshold: int) -> int:
    """The requests a second, in hundreds, with which strangers make Route 53 take a check for failed."""
    floods = range(100, 10**6, 100)
    return floods[bisect_left(
        floods, True, key=lambda flood: healthy(bucket.refused(flood), threshold) <= HEALTHY_SHARE)]


def figures() -> dict[str, tuple[str, str]]:
    """Each figure before the secret path and now."""
    def both(figure: Callable[[TokenBucket], int], addresses: int) -> tuple[str, str]:
        before, now = figure(KEYLESS), figure(ACCOUNT)
        return f"{before:,}", f"{now:,}, from {-(-now // addresses):,} addresses with WAF"

    address = limit(CLIENT) // WINDOW
    return {
        "requests/s until Route 53 takes a region for dead": both(lambda each: needed(each, THRESHOLD), address),
        "requests/s until a pulled lever is not seen": both(lambda each: needed(each, LEVER_THRESHOLD), address),
        f"requests/s that hold {EXECUTIONS} executions while S3 hangs": (
            f"{EXECUTIONS / HUNG_SECONDS:.0f}", "none: without the path no function runs"),
        "executions held by someone who knows the path": (
            f"{KEYLESS.rate * HUNG_SECONDS:,.0f}", f"{RATE * HEALTH_SECONDS:.0f}")}


if __name__ == "__main__":
    rows = (f"| {what} | {before} | {now} |" for what, (before, now) in figures().items())
    sys.stdout.write("\n".join(["| | before | now |", "|---|---|---|", *rows, ""]))
