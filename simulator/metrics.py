"""CloudWatch and SNS as the product sees them: datapoints as old as their timestamps, alarms, and what people read."""
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from simulator.dynamodb import calling
from simulator.history import History
from simulator.network import NetworkCall, SimulatedNetwork
from simulator.scheduler import EPOCH, Process


@dataclass
class Metrics:
    """The metrics of all regions."""

    network: SimulatedNetwork
    history: History
    points: dict[tuple[str, str], list[tuple[float, float]]] = field(default_factory=dict)

    def put(self, region: str, metric: str, value: float) -> None:
        """A datapoint of now."""
        points = self.points.setdefault((region, metric), [])
        points.append((self.network.scheduler.now, value))
        del points[:-20]

    def publish_every(self, seconds: float, region: str, metric: str, value: Callable[[], float | None]) -> None:
        """Publish a figure again and again; None: nothing is published."""
        def publish() -> None:
            found = value()
            if found is not None and region not in self.network.dead:
                self.put(region, metric, found)
            self.network.scheduler.at(seconds, publish)

        self.network.scheduler.at(self.network.scheduler.random.uniform(0.0, seconds), publish)


class CloudWatchClient:
    """A boto3 client of CloudWatch in one region, in the hands of a process."""

    def __init__(self, metrics: Metrics, caller: Process, region: str) -> None:
        self._metrics, self._caller, self._region = metrics, caller, region

    def put_metric_data(self, *, MetricData: list[dict[str, Any]], **_: Any) -> dict[str, Any]:  # noqa: N803
        """PutMetricData."""
        def serve() -> dict[str, Any]:
            for datum in MetricData:
                self._metrics.put(self._region, datum["MetricName"], datum["Value"])
            return {}

        return self._call("PutMetricData", serve)

    def get_metric_statistics(self, *, MetricName: str, StartTime: datetime, EndTime: datetime,  # noqa: N803
                              **_: Any) -> dict[str, Any]:
        """GetMetricStatistics, a datapoint a minute."""
        def serve() -> dict[str, Any]:
            points = self._metrics.points.get((self._region, MetricName), ())
            found = [(datetime.fromtimestamp(EPOCH + at, UTC), value) for at, value in points]
            return {"Datapoints": [{"Timestamp": at, "Maximum": value}
                                   for at, value in found if StartTime <= at <= EndTime]}

        return self._call("GetMetricStatistics", serve)

    def get_paginator(self, operation: str) -> "CloudWatchClient":
        """Of alarms, of which none is raised."""
        if operation != "describe_alarms":
            raise ValueError(operation)
        return self

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        """One empty page."""
        yield self._call("DescribeAlarms", lambda: {"MetricAlarms": []})

    def _call(self, operation: str, serve: Callable[[], Any]) -> dict[str, Any]:
        call = NetworkCall(self._caller, self._region, "cloudwatch", operation, 1.0)
        return calling(self._metrics.network, call, serve)


class SnsClient:
    """A boto3 client of SNS in one region, in the hands of a process."""

    def __init__(self, metrics: Metrics, caller: Process, region: str) -> None:
        self._metrics, self._caller, self._region = metrics, caller, region

    def publish(self, *, Subject: str, Message: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        """Publish: people read it."""
        def serve() -> dict[str, Any]:
            self._metrics.history.note(self._metrics.network.scheduler.now, "notified", self._region, subject=Subject,
                                       message=Message)
            return {}

        return calling(self._metrics.network, NetworkCall(self._caller, self._region, "sns", "Publish", 5.0), serve)
