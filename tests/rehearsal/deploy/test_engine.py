"""The account of the resources that exist."""

import pytest

from rehearsal.deploy.engine import Engine
from rehearsal.errors import DeploymentError
from tests.rehearsal.cloud import Cloud, refusal
from tests.rehearsal.deploy.conftest import Create

GROUP = "aws:cloudwatch/logGroup:LogGroup"
CLUSTER = "aws:rds/globalCluster:GlobalCluster"


def test_resources_are_listed_until_they_are_deleted(engine: Engine, create: Create) -> None:
    first, second = create(GROUP, name="a"), create(GROUP, name="b")
    create("random:index/randomPassword:RandomPassword", length=8)
    assert engine.scopes(GROUP) == [first.scope, second.scope]
    engine.delete(first)
    assert engine.scopes(GROUP) == [second.scope]


def test_a_resource_that_exists_when_a_later_call_fails_can_be_deleted(
    cloud: Cloud, engine: Engine, create: Create
) -> None:
    cloud.answers["PutRetentionPolicy"] = refusal("Invalid")
    with pytest.raises(DeploymentError, match="put_retention_policy"):
        create(GROUP, name="g", retentionInDays=7)
    engine.delete(engine.resources[0])
    assert cloud.operations()[-1] == "DeleteLogGroup"


def test_a_resource_is_forgotten_even_if_it_cannot_be_deleted(cloud: Cloud, engine: Engine, create: Create) -> None:
    cloud.answers["DeleteLogGroup"] = refusal("Busy")
    with pytest.raises(DeploymentError, match="Busy"):
        engine.delete(create(GROUP, name="g"))
    assert engine.resources == []


def test_protection_is_lifted_and_reported(cloud: Cloud, engine: Engine, create: Create) -> None:
    cloud.answers["CreateGlobalCluster"] = {"GlobalCluster": {"GlobalClusterIdentifier": "g"}}
    by_aws = create(CLUSTER, globalClusterIdentifier="g", deletionProtection=True)
    create(CLUSTER, globalClusterIdentifier="h")
    by_pulumi = create(GROUP, True)
    assert engine.lift_protection() == [by_aws, by_pulumi]
    assert cloud.params("ModifyGlobalCluster") == {"GlobalClusterIdentifier": "g", "DeletionProtection": False}


def test_only_gaps_of_what_was_given_are_noted(cloud: Cloud, engine: Engine, create: Create) -> None:
    cloud.answers["CreateVpcEndpoint"] = {"VpcEndpoint": {"VpcEndpointId": "e"}}
    create("aws:ec2/vpcEndpoint:VpcEndpoint", vpcId="v", serviceName="s3")
    assert engine.gaps == set()
    create("aws:ec2/vpcEndpoint:VpcEndpoint", vpcId="v", serviceName="s3", policy="{}")
    assert engine.gaps == {"VpcEndpoint.policy: ignored"}
