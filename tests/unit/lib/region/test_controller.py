"""The controllers: how they are created, what they know of the stack, and what they may do."""
import ast
import json
import sys
from pathlib import Path
from typing import Any

import pulumi
import pytest

from contract import RECOVERY_OUTPUTS, ROLES
from lib.outputs import description
from recovery.stack import Stack
from tests.unit.lib.iam import policies_of
from tests.unit.lib.recorder import ACCOUNT, Recording, Resource

ROOT = Path(__file__).resolve().parents[4]
ENVIRONMENT_LIMIT = 4096  # bytes of all variables of a function, with their names


def part(program: Recording, role: str, kind: str) -> Resource:
    """The one resource of a kind in the controller of a region."""
    (found,) = (r for r in program.of(kind) if program.inside(r, "Controller") and f"-{role}-" in r.name)
    return found


def known(program: Recording, role: str) -> str:
    """What a controller knows of the stack."""
    return str(part(program, role, "Function").inputs["environment"]["variables"]["STACK_OUTPUTS"])


@pytest.mark.parametrize("role", ROLES)
def test_a_controller_is_a_small_function_outside_the_vpc(dev: Recording, role: str) -> None:
    function = part(dev, role, "Function").inputs
    assert function["name"] == dev.outputs[f"{role}_controller_function_name"] == "tapstack-controller-dev"
    assert (function["handler"], function["runtime"]) == ("recovery.controller.handler", "python3.13")
    assert (function["memorySize"], function["timeout"]) == (192, 900)
    assert function["reservedConcurrentExecutions"] == -1
    assert "vpcConfig" not in function
    assert part(dev, role, "Role").inputs["name"] == f"tapstack-controller-dev-{dev.outputs[f'{role}_region']}"
    alias = part(dev, role, "Alias")
    assert alias.inputs["name"] == "live"
    assert dev.outputs[f"{role}_controller_alias_arn"].endswith(f":{alias.name}")


@pytest.mark.parametrize("role", ROLES)
def test_a_rule_starts_it_every_minute_and_nothing_tries_again(dev: Recording, role: str) -> None:
    rule, target, permission, once = (part(dev, role, kind) for kind in (
        "EventRule", "EventTarget", "Permission", "FunctionEventInvokeConfig"))
    assert rule.inputs["name"] == target.inputs["rule"] == "tapstack-watch-dev"
    assert rule.inputs["scheduleExpression"] == "rate(1 minute)"
    assert target.inputs["arn"] == dev.outputs[f"{role}_controller_alias_arn"]
    assert (permission.inputs["principal"], permission.inputs["qualifier"]) == ("events.amazonaws.com", "live")
    assert permission.inputs["sourceArn"] == dev.arn(rule)
    never = {"maximumRetryAttempts": 0, "maximumEventAgeInSeconds": 60}
    assert target.inputs["retryPolicy"] == never
    assert once.inputs == {"functionName": "tapstack-controller-dev", "qualifier": "live", **never}
    assert {permission.urn, once.urn} <= target.dependencies


def test_both_controllers_know_the_same_about_the_stack_and_their_interval(deployed: Recording) -> None:
    outputs = deployed.outputs
    for role in ROLES:
        assert json.loads(known(deployed, role)) == {key: outputs[key] for key in RECOVERY_OUTPUTS}
        variables = part(deployed, role, "Function").inputs["environment"]["variables"]
        name = f"tapstack-controller-{outputs['environment_suffix']}-{outputs[f'{role}_region']}"
        assert {key: value for key, value in variables.items() if key != "STACK_OUTPUTS"} == {
            "ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/{name}", "PROBE_SECONDS": f"{outputs['look_interval']:g}",
            "WATCH_SECONDS": "60", "COOL_DOWN_SECONDS": "300", "DETECTION_SECONDS": "30"}


def test_recovery_can_read_what_they_know(dev: Recording, prod: Recording) -> None:
    read = Stack.of(json.loads(known(dev, "dr")))
    assert [site.region for site in read.sites] == ["us-east-1", "us-west-2"]
    assert (read.failover_mode, Stack.of(json.loads(known(prod, "dr"))).failover_mode) == ("manual", "automatic")


@pulumi.runtime.test  # type: ignore[untyped-decorator]
def test_the_longest_description_fits_into_an_environment() -> Any:
    suffix, region, account = "s" * 17, "ap-northeast-1", "1" * 12
    arn = f"arn:aws:{{}}:{region}:{account}:{{}}"
    longest = {
        "service_url": f"https://{'d' * 64}", "dns": "off: domainName is not set", "region": region,
        "api_endpoint": f"https://{'i' * 10}.execute-api.{region}.amazonaws.com/live",
        "cluster_arn": arn.format("rds", f"cluster:tapstack-{suffix}-{region}"),
        "cluster_id": f"tapstack-{suffix}-{region}", "control_bucket": "b" * 63, "receipts_bucket": "b" * 63,
        "topic_arn": arn.format("sns", f"tapstack-alarms-{suffix}"),
        "function_alias_arn": arn.format("lambda", f"function:tapstack-payments-{suffix}:live"),
        "key_arn": arn.format("kms", f"key/mrk-{'0' * 32}")}

    def value(key: str) -> str | int:
        """The longest value of an output; a name of 40 characters unless there is a longer one."""
        name = key.partition("_")[2] if key.startswith(ROLES) else key
        return 86_400 if RECOVERY_OUTPUTS[key] is not None else longest.get(name, "x" * 40)

    def fits(text: str) -> None:
        assert 2000 < len(text) < ENVIRONMENT_LIMIT - 200

    return description({key: value(key) for key in RECOVERY_OUTPUTS}).apply(fits)


def test_the_package_is_the_sources_of_payments_and_recovery(dev: Recording) -> None:
    shipped = set(part(dev, "dr", "Function").inputs["code"].assets)
    modules = {path.relative_to(ROOT).as_posix() for folder in ("payments", "recovery")
               for path in (ROOT / folder).rglob("*.py")}
    assert {name for name in shipped if not name.startswith(("dns/", "dnspython-"))} == {"contract.py", *modules}
    assert {"dns/query.py", "dns/resolver.py"} <= shipped


def test_nothing_that_the_controller_imports_is_missing_in_it() -> None:
    runtime = sys.stdlib_module_names | {"boto3", "botocore", "dns"}
    seen, todo = set[str](), {"recovery.controller"}
    missing = set()
    while todo:
        seen |= todo
        found: set[str] = set()
        for module in todo:
            file = ROOT / f"{module.replace('.', '/')}.py"
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                match node:
                    case ast.Import(names=aliases):
                        found |= {alias.name for alias in aliases}
                    case ast.ImportFrom(module=str() as package, names=aliases):
                        inside = package in ("payments", "recovery")
                        found |= {f"{package}.{alias.name}" for alias in aliases} if inside else {package}
        ours = {name for name in found if name.partition(".")[0] in ("contract", "payments", "recovery")}
        missing |= {name for name in found - ours if name.partition(".")[0] not in runtime}
        todo = ours - seen
    assert missing == set()


@pytest.mark.parametrize(("role", "peer"), [("primary", "dr"), ("dr", "primary")])
def test_it_may_do_what_a_failover_to_its_region_needs_and_no_more(dev: Recording, role: str, peer: str) -> None:
    region = dev.outputs[f"{role}_region"]
    found = {}
    for statement in policies_of(part(dev, role, "RolePolicy")):
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        found.update({action: statement for action in actions if not action.startswith(("kms:", "logs:", "xray:"))})
    # None is of a global control plane; what its role may do is asked of IAM while all is well.
    # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/disaster-recovery-resiliency.html
    everywhere = f"arn:aws:rds::{ACCOUNT}:global-cluster:tapstack-dev"
    own, others = (f"arn:aws:rds:{each}:{ACCOUNT}:cluster:tapstack-dev-{each}"
                   for each in (region, dev.outputs[f"{peer}_region"]))
    control = f"arn:aws:s3:::tapstack-control-dev-{region}-{ACCOUNT}"
    functions = [f"arn:aws:lambda:{where}:{ACCOUNT}:function:tapstack-{name}-dev:live" for where, name in (
        (region, "payments"), (dev.outputs[f"{peer}_region"], "payments"), (region, "reconcile"))]

    def items(*keys: str) -> dict[str, object]:
        return {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": list(keys)},
                "Null": {"dynamodb:LeadingKeys": "false"}}

    table = f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/payment-transactions-dev"
    assert {action: statement["Resource"] for action, statement in found.items()} == {
        "dynamodb:GetItem": table, "dynamodb:PutItem": table,
        "rds:FailoverGlobalCluster": [everywhere, own, others],
        "rds:DescribeGlobalClusters": everywhere, "rds:DescribeDBClusters": own,
        "rds:DescribeDBInstances": f"arn:aws:rds:{region}:{ACCOUNT}:db:*",
        **dict.fromkeys(("s3:PutObject", "s3:DeleteObject"), f"{control}/takeover"),
        "s3:GetObject": [f"{control}/takeover", f"{control}/check-path"],
        "s3:ListBucket": control, "lambda:InvokeFunction": functions,
        "iam:SimulatePrincipalPolicy": f"arn:aws:iam::{ACCOUNT}:role/tapstack-controller-dev-{region}",
        "sns:Publish": f"arn:aws:sns:{region}:{ACCOUNT}:tapstack-alarms-dev",
        "cloudwatch:PutMetricData": "*", "cloudwatch:GetMetricStatistics": "*"}
    assert {action: statement["Condition"] for action, statement in found.items() if "Condition" in statement} == {
        "dynamodb:GetItem": items("!record", "!pause", f"!watch:{region}"),
        "dynamodb:PutItem": items("!record", f"!watch:{region}"),
        "cloudwatch:PutMetricData": {"StringEquals": {"cloudwatch:namespace": "TapStack"}}}
