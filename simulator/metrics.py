"""CloudWatch and SNS as the product sees them: datapoints as old as their timestamps, alarms, and what people read."""
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from simulator.aws import SERVED, AwsClient
from simulator.history import History
from simulator.network import SimulatedNetwork
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


class CloudWatchClient(AwsClient[Metrics]):
    """CloudWatch's; no alarm is raised."""

    service, connect, read = "cloudwatch", 1.0, 1.0
    empty: ClassVar[Mapping[str, tuple[str, str]]] = {"describe_alarms": ("DescribeAlarms", "MetricAlarms")}

    def put_metric_data(self, *, MetricData: list[dict[str, Any]], **_: Any) -> dict[str, Any]:  # noqa: N803
        """PutMetricData."""
        def serve() -> dict[str, Any]:
            for datum in MetricData:
                self._part.put(self._region, datum["MetricName"], datum["Value"])
            return {}

        return self._call("PutMetricData", serve)

    def get_metric_statistics(self, *, MetricName: str, StartTime: datetime, EndTime: datetime,  # noqa: N803
                              **_: Any) -> dict[str, Any]:
        """GetMetricStatistics, a datapoint a minute."""
        def serve() -> dict[str, Any]:
            points = self._part.points.get((self._region, MetricName), ())
            found = [(datetime.fromtimestamp(EPOCH + at, UTC), value) for at, value in points]
            return {"Datapoints": [{"Timestamp": at, "Maximum": value}
                                   for at, value in found if StartTime <= at <= EndTime]}

        return self._call("GetMetricStatistics", serve)


class SnsClient(AwsClient[Metrics]):
    """SNS's: people read what is published."""

    service, connect = "sns", 1.0

    def publish(self, *, Subject: str, Message: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        """Publish."""
        def serve() -> dict[str, Any]:
            self._part.history.note(self._part.network.scheduler.now, "notified", self._region, subject=Subject,
                                    message=Message)
            return {}

        return self._call("Publish", serve)


class IamClient(AwsClient[Metrics]):
    """IAM's; it is served in one region alone (SERVED)."""

    service, connect, read = "iam", 1.0, 1.0

    def __init__(self, metrics: Metrics, caller: Process, _region: str, *_: float, **given: bool) -> None:
        super().__init__(metrics, caller, SERVED, **given)

    def get_role(self, *, RoleName: str) -> dict[str, Any]:  # noqa: N803
        """GetRole, of a role with a path."""
        return self._call("GetRole", lambda: {"Role": {"Arn": f"arn:aws:iam::123456789012:role/people/{RoleName}"}})

    def simulate_principal_policy(  # pylint: disable=invalid-name
            self, *, ActionNames: list[str], ResourceArns: list[str], ContextEntries: list[dict[str, Any]],  # noqa: N803
            **_: Any) -> dict[str, Any]:
        """SimulatePrincipalPolicy: what the world denies in the region of the call that is asked about."""
        asked = ContextEntries[0]["ContextKeyValues"][0]

        def decision(action: str, arn: str) -> str:
            return "implicitDeny" if any(
                (region, operation) == (asked, action.partition(":")[2].removesuffix("Function")) and resource in arn
                for region, operation, resource in self._part.network.denied) else "allowed"

        return self._call("SimulatePrincipalPolicy", lambda: {"EvaluationResults": [
            {"EvalActionName": name, "EvalDecision": max(decision(name, arn) for arn in ResourceArns),
             "ResourceSpecificResults": [{"EvalResourceName": arn, "EvalResourceDecision": decision(name, arn)}
                                         for arn in ResourceArns]} for name in ActionNames]})


class StsClient(AwsClient[Metrics]):
    """STS's: who the caller is costs no call here, since nothing depends on it."""

    service = "sts"

    def get_caller_identity(self) -> dict[str, str]:
        """GetCallerIdentity."""
        return {"Arn": f"arn:aws:sts::123456789012:assumed-role/{self._caller.name}"}
