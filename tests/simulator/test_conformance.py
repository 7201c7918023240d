"""Every simulated operation that the product calls, made on the emulator as well: answers and error codes are compared.

What the emulator cannot do, and how AWS behaves there:

- a lag of copies, a stall, a cut, last writer wins (it copies at once):
  https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html and
  https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-time-control.html
- strong consistency, its witness, and ReplicatedWriteConflictException:
  https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/multi-region-strong-consistency-gt.html
- how long a switchover and a failover of Aurora take, fencing, and the old writer's return:
  https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html
- the ledger's SQL: `tests/postgres` proves it on a real PostgreSQL
- Lambda's freeze, its limits of time, memory and answer (an asynchronous start is retried twice):
  https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html,
  https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html and
  https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
- API Gateway's throttling:
  https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
- Route 53's checkers and their vote, and a check that is inverted or disabled later:
  https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html and
  https://docs.aws.amazon.com/Route53/latest/APIReference/API_UpdateHealthCheck.html
"""
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from payments.deadline import Deadline, Timing
from payments.payment import Payment, Record
from payments.stores import DynamoTable, item_of
from recovery.control_table import ControlTable
from rehearsal.aws.clients import EmulatorClients
from rehearsal.aws.emulator import Emulator
from simulator import dynamodb
from simulator.aurora import RdsClient, SimulatedAurora
from simulator.dynamodb import DynamoClient, Table
from simulator.functions import ApiGatewayClient, Function, Functions, Gateway, LambdaClient
from simulator.metrics import CloudWatchClient, Metrics, SnsClient
from simulator.route53 import Route53, Route53Client
from simulator.run import draw, play
from simulator.s3 import Buckets, S3Client
from simulator.scheduler import EPOCH
from tests.simulator.conftest import EAST, WEST, Machine
from tests.unit.payments.fakes import still_runtime

Clients = dict[str, Any]
Outcome = Any
ROLE = "arn:aws:iam::000000000000:role/r"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{
    "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}]})
CLUSTERS = {region: f"arn:aws:rds:{region}:000000000000:cluster:c-{region}" for region in (EAST, WEST)}
SOURCE = """
def handler(event, context):
    if event.get('fail'):
        raise ValueError('no')
    return {'got': event}
"""


@pytest.fixture(scope="module")
def emulated() -> Iterator[EmulatorClients]:
    """The emulator's clients, with a table, a bucket, a function, a topic and a global database in it."""
    emulator = Emulator()
    try:
        emulator.start()
        clients = EmulatorClients(emulator.endpoint, 4)
        clients("dynamodb", EAST).create_table(
            TableName="table", BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "payment_id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "payment_id", "AttributeType": "S"}])
        clients("s3", EAST).create_bucket(Bucket="bucket")
        clients("s3", EAST).put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
        clients("sns", EAST).create_topic(Name="alarms")
        clients("apigateway", EAST).create_api_key(name="key", value="a-value-that-is-long-enough", enabled=True)
        clients("route53", EAST).create_health_check(CallerReference="check", HealthCheckConfig={
            "Type": "HTTPS", "FullyQualifiedDomainName": "pay.example.com", "Inverted": False, "Disabled": False})
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr("f.py", SOURCE)
        clients("iam", EAST).create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
        clients("lambda", EAST).create_function(
            FunctionName="function", Runtime="python3.11", Role=ROLE, Handler="f.handler",
            Code={"ZipFile": package.getvalue()})
        clients("rds", EAST).create_global_cluster(GlobalClusterIdentifier="global", Engine="aurora-postgresql",
                                                   EngineVersion="16.11")
        for region in (EAST, WEST):
            clients("rds", region).create_db_cluster(
                DBClusterIdentifier=f"c-{region}", Engine="aurora-postgresql", EngineVersion="16.11",
                GlobalClusterIdentifier="global", **({"MasterUsername": "u", "MasterUserPassword": "password1"}
                                                if region == EAST else {}))
            clients("rds", region).create_db_instance(
                DBInstanceIdentifier=f"i-{region}", DBClusterIdentifier=f"c-{region}", Engine="aurora-postgresql",
                DBInstanceClass="db.r6g.large")
        yield clients
    finally:
        emulator.stop()


def simulated(machine: Machine) -> Clients:
    """The simulator's clients of the same things."""
    process, network = machine.processes[EAST], machine.network
    functions = Functions(network)

    def handle(event: Any, _: Any) -> Any:
        if event.get("fail"):
            raise ValueError("no")
        return {"got": event}

    functions.add(Function("function", EAST, lambda _: handle, 10.0))
    metrics = Metrics(network, machine.history)
    route53 = Route53(network, (EAST, WEST), lambda *_: 200, interval=10.0, threshold=3)
    aurora = SimulatedAurora(network, machine.history, "global", CLUSTERS, EAST)
    return {"dynamodb": DynamoClient(Table(network, (EAST, WEST), strong=False), process, EAST),
            "s3": S3Client(Buckets(network, {"bucket": EAST}), process, EAST), "sns": SnsClient(metrics, process, EAST),
            "lambda": LambdaClient(functions, process, EAST, 10.0), "rds": RdsClient(aurora, process, EAST),
            "apigateway": ApiGatewayClient(Gateway(network, functions, "function", lambda _: False), process, EAST),
            "route53": Route53Client(route53, process, EAST), "cloudwatch": CloudWatchClient(metrics, process, EAST),
            "key": "key", "check": "primary"}


def outcome(call: Callable[[], Any]) -> Outcome:
    """What a call gives, or its error's code and status and the item that comes with it."""
    try:
        return call()
    except ClientError as error:
        response: Any = error.response
        return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response.get("Item")


def done(call: Callable[[], Any]) -> Outcome:
    """As `outcome`, of a call whose answer says nothing."""
    found = outcome(call)
    return found if isinstance(found, tuple) else None


def content(client: Any, **given: Any) -> Any:
    """The content of an object."""
    return client.get_object(**given)["Body"].read()


KEY = {"payment_id": {"S": "p"}}
ITEM = {**KEY, "epoch": {"N": "1"}, "status": {"S": "PENDING"}}
NEW: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(payment_id)",
                       "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


def update(epoch: str, status: str) -> dict[str, Any]:
    """A conditional update of the item."""
    return {"TableName": "table", "Key": KEY, "UpdateExpression": "SET #status = :status",
            "ConditionExpression": "#epoch = :epoch",
            "ExpressionAttributeNames": {"#status": "status", "#epoch": "epoch"},
            "ExpressionAttributeValues": {":epoch": {"N": epoch}, ":status": {"S": status}}, "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


def table(clients: Clients) -> Iterator[Outcome]:
    """The table's calls."""
    client = clients["dynamodb"]
    yield outcome(lambda: client.get_item(TableName="table", Key=KEY, ConsistentRead=True).get("Item"))
    yield outcome(partial(client.update_item, **update("1", "SETTLED")))
    yield outcome(lambda: client.put_item(TableName="table", Item=ITEM, **NEW).get("Attributes"))
    yield outcome(lambda: client.put_item(TableName="table", Item=ITEM, **NEW))
    yield outcome(partial(client.update_item, **update("2", "SETTLED")))
    yield outcome(lambda: client.update_item(**update("1", "SETTLED"))["Attributes"])
    yield done(lambda: client.put_item(TableName="table", Item={**ITEM, "epoch": {"N": "2"}}, ConditionExpression=(
        "#epoch = :epoch"), ExpressionAttributeNames={"#epoch": "epoch"},
        ExpressionAttributeValues={":epoch": {"N": "1"}}))
    yield outcome(lambda: client.scan(TableName="table", ConsistentRead=True)["Items"])
    wanted = {"table": {"Keys": [KEY, {"payment_id": {"S": "none"}}], "ConsistentRead": True}}
    found = client.batch_get_item(RequestItems=wanted)
    yield found["Responses"], found["UnprocessedKeys"]


class Spy:
    """The table's client of the product, and the conditions under which it has written."""

    def __init__(self, client: Any) -> None:
        self._client, self.conditions = client, set[str]()

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            self.conditions |= {request.get("ConditionExpression", "")}
            return getattr(self._client, operation)(**request)

        return call


def writes(client: Any) -> Iterator[Outcome]:
    """What the product itself writes into the table: under each of its conditions, and against them."""
    runtime = still_runtime()
    deadline, payments = Deadline(Timing(), 60.0, runtime), DynamoTable(client, "table")
    payment = Payment(payment_id="pay", amount=1, currency="EUR", payer="a", payee="b")
    first = Record(payment=payment, fingerprint=payment.fingerprint(), created_at="2026-01-01T00:00:00.000+00:00",
                   epoch=2)
    for again, epoch in ((False, 2), (False, 3), (True, 1), (True, 2), (True, 10)):
        yield payments.register(replace(first, epoch=epoch), deadline, again=again)
    there = replace(first, epoch=10)
    for found, wanted in ((item_of(first), replace(first, settled=True)),
                          (item_of(there), replace(there, settled=True)),
                          (item_of(there), replace(there, epoch=11, settled=True)),
                          ({"payment_id": {"S": "pay"}}, first)):
        yield payments.update(found, wanted, deadline)
    yield payments.item("pay", deadline)
    yield [payments.note("!repair", "text", revision, deadline) for revision in (1, 1, 10, 9)]
    control, text = ControlTable(client, "table", runtime), {"document": {"S": "{}"}}
    for expected in ({}, {}, {"revision": {"N": "1"}}, {"revision": {"N": "2"}}, {"number": {"N": "1"}}, None):
        yield control.write("!record", {"revision": {"N": "2"}, **text}, expected)
    yield control.read("!record")


def product(clients: Clients) -> Iterator[Outcome]:
    """The product's writes."""
    return writes(clients["dynamodb"])


def test_every_condition_of_a_history_is_one_that_the_emulator_has_judged_as_well(
        machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    spy, used, holds = Spy(simulated(machine)["dynamodb"]), set[str](), dynamodb.holds

    def noting(condition: str, *given: Any) -> bool:
        used.add(condition)
        return holds(condition, *given)

    machine.do(lambda: list(writes(spy)), EAST)
    monkeypatch.setattr(dynamodb, "holds", noting)
    for mix in ("heals", "failback-dies", "late-receipts"):
        play(1, draw(1, mix))
    assert len(used) > 4
    assert used <= spy.conditions


def bucket(clients: Clients) -> Iterator[Outcome]:
    """The bucket's."""
    client = clients["s3"]
    thing = {"Bucket": "bucket", "Key": "receipts/p.json"}
    yield outcome(partial(client.head_object, **thing))
    yield outcome(partial(client.get_object, **thing))
    yield done(lambda: client.put_object(**thing, Body=b"1", IfNoneMatch="*"))
    yield done(lambda: client.put_object(**thing, Body=b"2", IfNoneMatch="*"))
    yield done(lambda: client.put_object(**thing, Body=b"33"))
    yield outcome(partial(content, client, **thing))
    yield outcome(lambda: client.head_object(**thing)["ContentLength"])
    yield done(partial(client.delete_object, **thing))
    yield outcome(partial(client.head_object, **thing))
    listed = client.list_object_versions(Bucket="bucket", Prefix="receipts/")
    yield [(each["Key"], each["Size"], each["IsLatest"]) for each in listed["Versions"]]
    yield [(each["Key"], each["IsLatest"]) for each in listed["DeleteMarkers"]], listed["IsTruncated"]
    yield outcome(partial(content, client, **thing, VersionId=listed["Versions"][-1]["VersionId"]))


def function(clients: Clients) -> Iterator[Outcome]:
    """The function's."""
    for event in ({"a": 1}, {"fail": True}):
        found = clients["lambda"].invoke(FunctionName="function", Payload=json.dumps(event))
        body = json.loads(found["Payload"].read())
        yield found.get("FunctionError"), body if "FunctionError" not in found else "no" in body["errorMessage"]
    reserved = partial(clients["lambda"].get_function_concurrency, FunctionName="function")
    yield reserved().get("ReservedConcurrentExecutions")
    yield done(lambda: clients["lambda"].put_function_concurrency(
        FunctionName="function", ReservedConcurrentExecutions=0))
    yield reserved()["ReservedConcurrentExecutions"]
    for _ in range(2):
        yield done(lambda: clients["lambda"].delete_function_concurrency(FunctionName="function"))
    yield reserved().get("ReservedConcurrentExecutions")


def drill(clients: Clients) -> Iterator[Outcome]:
    """What else a drill calls: an API key's value, and a health check."""
    yield bool(clients["apigateway"].get_api_key(apiKey=clients["key"], includeValue=True)["value"])
    client, check = clients["route53"], clients["check"]
    config = client.get_health_check(HealthCheckId=check)["HealthCheck"]["HealthCheckConfig"]
    yield config["Inverted"], config["Disabled"]
    yield done(partial(client.update_health_check, HealthCheckId=check, Inverted=True, Disabled=True))


def metrics(clients: Clients) -> Iterator[Outcome]:
    """The calls of CloudWatch and SNS."""
    client = clients["cloudwatch"]
    client.put_metric_data(Namespace="n", MetricData=[{"MetricName": "m", "Value": 2.5}])
    now = datetime.fromtimestamp(EPOCH, UTC) if isinstance(client, CloudWatchClient) else datetime.now(UTC)
    points = client.get_metric_statistics(
        Namespace="n", MetricName="m", StartTime=now - timedelta(minutes=5), EndTime=now + timedelta(minutes=5),
        Period=60, Statistics=["Maximum"])["Datapoints"]
    yield [each["Maximum"] for each in points]
    yield [page["MetricAlarms"] for page in client.get_paginator("describe_alarms").paginate(StateValue="ALARM")]
    topic = f"arn:aws:sns:{EAST}:000000000000:alarms"
    yield done(lambda: clients["sns"].publish(TopicArn=topic, Subject="s", Message="m"))


def database(clients: Clients) -> Iterator[Outcome]:
    """The global database's."""
    client = clients["rds"]
    described = client.describe_global_clusters(GlobalClusterIdentifier="global")["GlobalClusters"][0]
    members = described["GlobalClusterMembers"]
    yield sorted((each["DBClusterArn"], each["IsWriter"]) for each in members)
    yield [each["Status"] for each in client.describe_db_clusters(DBClusterIdentifier=f"c-{EAST}")["DBClusters"]]
    yield [each["DBInstanceStatus"] for each in client.describe_db_instances(
        Filters=[{"Name": "db-cluster-id", "Values": [f"c-{EAST}"]}])["DBInstances"]]
    yield [page["DBClusterSnapshots"] for page in client.get_paginator("describe_db_cluster_snapshots").paginate(
        DBClusterIdentifier=f"c-{EAST}")]
    yield done(lambda: client.switchover_global_cluster(
        GlobalClusterIdentifier="global", TargetDbClusterIdentifier=CLUSTERS[WEST]))


@pytest.mark.parametrize("calls", [table, product, bucket, function, drill, metrics, database])
def test_the_simulator_answers_as_the_emulator_does(
        emulated: EmulatorClients, machine: Machine, calls: Callable[[Clients], Iterator[Outcome]]) -> None:
    services = ("dynamodb", "s3", "lambda", "apigateway", "route53", "cloudwatch", "sns", "rds")
    given = {service: emulated(service, EAST) for service in services}
    wanted = list(calls({**given, "key": given["apigateway"].get_api_keys()["items"][0]["id"],
                         "check": given["route53"].list_health_checks()["HealthChecks"][0]["Id"]}))
    found = machine.do(lambda: list(calls(simulated(machine))), EAST)
    assert found == wanted
