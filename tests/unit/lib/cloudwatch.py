"""CloudWatch's rules for an alarm: statistics, M out of N, and missing data.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

OK, ALARM, INSUFFICIENT = "OK", "ALARM", "INSUFFICIENT_DATA"
MORE = 2  # data points that CloudWatch retrieves in addition to the evaluation periods: five for three
ACTIONS = {OK: "okActions", ALARM: "alarmActions", INSUFFICIENT: "insufficientDataActions"}
COMPARISONS = {"GreaterThanThreshold": operator.gt, "GreaterThanOrEqualToThreshold": operator.ge,
               "LessThanThreshold": operator.lt, "LessThanOrEqualToThreshold": operator.le}
STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum, "Average": lambda values: sum(values) / len(values), "Minimum": min, "Maximum": max,
    "p99": lambda values: sorted(values)[math.ceil(len(values) * 0.99) - 1]}

Samples = Sequence[float] | None
"""What was published in one minute; None: nothing."""


def state(points: Sequence[bool | None], wanted: int, periods: int, missing: str, before: str) -> str:
    """The state by the newest data points (whether each breaches; None: missing), of which `wanted` must breach."""
    window = list(points)[-(periods + MORE):]
    found = [point for point in window if point is not None]
    if not found:
        return {"missing": INSUFFICIENT, "ignore": before, "breaching": ALARM, "notBreaching": OK}[missing]
    if len(found) >= periods:
        return ALARM if sum(found[-periods:]) >= wanted else OK
    if missing in ("breaching", "notBreaching"):
        filled = [*found, *[missing == "breaching"] * (periods - len(found))]
        return ALARM if sum(filled) >= wanted else OK
    # What there is decides alone; if all of it breaches, an alarm is not put off for lack of data.
    if sum(found) >= wanted or (all(found) and missing == "missing"):
        return ALARM
    return before if all(found) else OK


@dataclass
class Evaluation:
    """An alarm by its definition, minute by minute from its creation. `told` are the states that were notified."""

    alarm: Mapping[str, Any]
    state: str = INSUFFICIENT
    told: list[str] = field(default_factory=list)
    points: list[bool | None] = field(default_factory=list)

    def minute(self, samples: Samples) -> None:
        """A minute passes in which AWS publishes the samples of the alarm's metric."""
        alarm = self.alarm
        breaches = None
        if samples:
            value = STATISTICS[alarm.get("statistic") or alarm["extendedStatistic"]](samples)
            breaches = COMPARISONS[alarm["comparisonOperator"]](value, alarm["threshold"])
        self.points.append(breaches)
        found = state(self.points, int(alarm["datapointsToAlarm"]), int(alarm["evaluationPeriods"]),
                      alarm["treatMissingData"], self.state)
        if found != self.state:
            self.state = found
            if alarm.get(ACTIONS[found]):
                self.told.append(found)

    def minutes(self, number: int, samples: Samples) -> "Evaluation":
        """So many minutes pass."""
        for _ in range(number):
            self.minute(samples)
        return self
