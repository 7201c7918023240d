"""Small programs, run by Pulumi's own runtime."""

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pulumi
import pulumi_aws as aws
import pulumi_random as random
import pytest

from rehearsal.deploy.deployment import Deployment
from rehearsal.deploy.project import Project
from rehearsal.deploy.resources.model import DeployTarget
from rehearsal.errors import DeploymentError
from tests.rehearsal.cloud import ENDPOINT, Cloud, refusal

PROJECT = Project(folder=Path.cwd(), name="Small", stack="test", config={"Small:greeting": "hello"})


def _provider(name: str = "west", region: str = "us-west-2") -> aws.Provider:
    endpoints = aws.ProviderEndpointArgs(**dict.fromkeys(("logs", "s3", "secretsmanager"), ENDPOINT))
    return aws.Provider(name, region=region, endpoints=[endpoints], default_tags={"tags": {"Project": "Small"}})


def _group(name: str, west: aws.Provider, *after: pulumi.Resource) -> aws.cloudwatch.LogGroup:
    return aws.cloudwatch.LogGroup(name, name=name, opts=pulumi.ResourceOptions(provider=west, depends_on=list(after)))


@pytest.fixture
def deployment(cloud: Cloud) -> Deployment:
    """A deployment that has not begun."""
    return Deployment(cloud, DeployTarget())


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, even if the parent process ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_program_is_deployed_and_its_outputs_are_plain(cloud: Cloud, deployment: Deployment) -> None:
    cloud.answers["GetSecretValue"] = {"ARN": "a", "SecretString": "not-a-secret", "VersionId": "v"}

    def program() -> None:
        west = _provider()
        pulumi.export("arn", _group("one", west).arn)
        pulumi.export("version", aws.secretsmanager.get_secret_version(
            secret_id="a", opts=pulumi.InvokeOptions(provider=west)).version_id)
        pulumi.export("greeting", pulumi.Config("Small").require("greeting"))
        pulumi.export("numbers", [pulumi.Output.from_input(5432), 0.5])

    deployment.up(PROJECT, program)
    assert deployment.outputs == {
        "arn": "arn:aws:logs:us-west-2:000000000000:log-group:one", "version": "v", "greeting": "hello",
        "numbers": [5432, 0.5]}
    assert cloud.params("CreateLogGroup") == {"logGroupName": "one", "tags": {"Project": "Small"}}


def test_resources_are_deleted_in_reverse_order_despite_failures(cloud: Cloud, deployment: Deployment) -> None:
    def program() -> None:
        west = _provider()
        first = _group("first", west)
        _group("third", west, _group("second", west, first))

    deployment.up(PROJECT, program)
    cloud.answers["DeleteLogGroup"] = refusal("Busy")
    failures = deployment.down()
    names = [params["logGroupName"] for _, _, params in cloud.calls]
    assert names == ["first", "second", "third", "third", "second", "first"]
    assert [line.partition(" (")[0] for line in failures] == ["LogGroup third", "LogGroup second", "LogGroup first"]
    assert deployment.down() == []


def test_log_groups_are_deleted_last(cloud: Cloud, deployment: Deployment) -> None:
    def program() -> None:
        west = _provider()
        _group("late", west, aws.s3.Bucket("b", bucket="some-bucket", opts=pulumi.ResourceOptions(provider=west)))

    deployment.up(PROJECT, program)
    assert deployment.down() == []
    assert [name for name in cloud.operations() if name.startswith("Delete")] == ["DeleteBucket", "DeleteLogGroup"]


def test_a_failed_create_stops_what_depends_on_it(cloud: Cloud, deployment: Deployment) -> None:
    cloud.answers["CreateLogGroup"] = lambda params: {} if params["logGroupName"] == "first" else fail()

    def fail() -> dict[str, object]:
        raise refusal("LimitExceeded", "too many")

    def program() -> None:
        west = _provider()
        second = _group("second", west, _group("first", west))
        third = _group("third", west, second)
        pulumi.export("shouted", third.arn.apply(str.upper))

    with pytest.raises(DeploymentError, match=r"^LogGroup second .* LimitExceeded: too many$"):
        deployment.up(PROJECT, program)
    assert [resource.name for resource in deployment.engine.resources] == ["first"]
    assert deployment.outputs == {}


def _twins() -> None:
    west = _provider()
    _group("twin", west)
    _group("twin", west)


def _orphan() -> None:
    aws.cloudwatch.LogGroup("orphan")


def _imported() -> None:
    aws.cloudwatch.LogGroup("old", opts=pulumi.ResourceOptions(provider=_provider(), import_="old-id"))


def _read() -> None:
    aws.cloudwatch.LogGroup.get("old", "old-id", opts=pulumi.ResourceOptions(provider=_provider()))


def _secret() -> None:
    pulumi.export("inner", {"list": [random.RandomPassword("password", length=8).result]})


def _unknown_output() -> None:
    pulumi.export("zone", aws.s3.Bucket("b", opts=pulumi.ResourceOptions(provider=_provider())).hosted_zone_id)


def _unknown_input() -> None:
    west = _provider()
    bucket = aws.s3.Bucket("b", opts=pulumi.ResourceOptions(provider=west))
    aws.cloudwatch.LogGroup("g", name=bucket.hosted_zone_id, opts=pulumi.ResourceOptions(provider=west))


def _without_region() -> None:
    aws.Provider("nowhere")


def _late_error() -> None:
    group = _group("first", _provider())
    pulumi.export("late", group.arn.apply(lambda _: 1 // 0))


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        (_twins, "two resources have the URN urn:pulumi:test::Small::aws:cloudwatch/logGroup:LogGroup::twin"),
        (_orphan, "LogGroup orphan: has no explicit provider"),
        (_imported, "old: a rehearsal begins with nothing, so old-id does not exist"),
        (_read, "old: a rehearsal begins with nothing, so old-id does not exist"),
        (_secret, "output inner: is secret"),
        (_unknown_output, "output zone: depends on an output that the rehearsal does not provide"),
        (_unknown_input, "g.name: depends on an output that the rehearsal does not provide"),
        (_without_region, "nowhere: the provider has no region"),
    ],
)
def test_what_a_rehearsal_refuses(deployment: Deployment, program: Callable[[], None], complaint: str) -> None:
    with pytest.raises(DeploymentError, match=complaint):
        deployment.up(PROJECT, program)


def test_an_unknown_function_fails_the_program(deployment: Deployment) -> None:
    def program() -> None:
        aws.get_region(opts=pulumi.InvokeOptions(provider=_provider()))

    with pytest.raises(Exception, match="the rehearsal does not support the function aws:index/getRegion:getRegion"):
        deployment.up(PROJECT, program)


def test_the_same_name_under_a_parent_of_another_type_is_another_resource(cloud: Cloud, deployment: Deployment) -> None:
    class Component(pulumi.ComponentResource):
        """A parent, of a type of its own."""

        def __init__(self, type_name: str, west: aws.Provider) -> None:
            super().__init__(f"small:index:{type_name}", "parent")
            aws.cloudwatch.LogGroup("same", opts=pulumi.ResourceOptions(parent=self, provider=west))
            self.register_outputs({"type": type_name})

    def program() -> None:
        west = _provider()
        random.RandomPassword("password", length=8, opts=pulumi.ResourceOptions(provider=random.Provider("dice")))
        Component("One", west)
        Component("Two", west)

    deployment.up(PROJECT, program)
    assert cloud.operations() == ["CreateLogGroup"] * 2


def test_an_error_in_an_apply_is_raised(deployment: Deployment) -> None:
    with pytest.raises(ZeroDivisionError):
        deployment.up(PROJECT, _late_error)
    assert "LogGroup" in {resource.type_name for resource in deployment.engine.resources}


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_lets_running_calls_end_and_begins_nothing(cloud: Cloud, deployment: Deployment) -> None:
    def interrupted(_: object) -> dict[str, object]:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        assert deployment.stopping.wait(30)
        return {}

    def program() -> None:
        west = _provider()
        _group("second", west, _group("first", west))

    cloud.answers["CreateLogGroup"] = interrupted
    with pytest.raises(KeyboardInterrupt):
        deployment.up(PROJECT, program)
    assert [resource.name for resource in deployment.engine.resources] == ["first"]


def test_the_programs_own_errors_are_raised(deployment: Deployment) -> None:
    def program() -> None:
        raise pulumi.RunError("profile = 'x': must be dev or prod")

    with pytest.raises(pulumi.RunError, match="must be dev or prod"):
        deployment.up(PROJECT, program)


def test_the_projects_program_runs_in_its_folder(tmp_path: Path, deployment: Deployment) -> None:
    (tmp_path / "neighbour.py").write_text("WHERE = 'neighbour'")
    (tmp_path / "__main__.py").write_text(
        "import os, pulumi, neighbour\npulumi.export('where', [neighbour.WHERE, os.getcwd(), __name__])")
    before = Path.cwd()
    deployment.up(Project(folder=tmp_path, name="Small", stack="test", config={}))
    assert deployment.outputs == {"where": ["neighbour", str(tmp_path), "__main__"]}
    assert Path.cwd() == before
