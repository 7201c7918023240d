"""EventBridge."""

from rehearsal.deploy.deployment import Deployment
from tests.rehearsal.cloud import Cloud
from tests.rehearsal.deploy.conftest import Create


def test_a_disabled_rule_has_its_target_until_it_is_deleted(cloud: Cloud, engine: Deployment, create: Create) -> None:
    rule = create("aws:cloudwatch/eventRule:EventRule", name="r", scheduleExpression="rate(1 minute)")
    assert rule.outputs() == {"name": "r", "arn": "arn:aws:events:us-west-2:000000000000:rule/r"}
    assert cloud.params("PutRule")["State"] == "DISABLED"  # drills invoke the target on their own schedule
    target = create("aws:cloudwatch/eventTarget:EventTarget", rule="r", targetId="t", arn="f",
                    retryPolicy={"maximumRetryAttempts": 0, "maximumEventAgeInSeconds": 60})
    assert cloud.params("PutTargets") == {"Rule": "r", "Targets": [
        {"Id": "t", "Arn": "f", "RetryPolicy": {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}}]}
    engine.delete(target)
    engine.delete(rule)
    assert cloud.params("RemoveTargets") == {"Rule": "r", "Ids": ["t"]}
    assert cloud.params("DeleteRule") == {"Name": "r"}
