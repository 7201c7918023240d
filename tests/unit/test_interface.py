"""What users and deployed stacks depend on, held against `interface.json`: a refactoring must not change any of it.

The snapshot was taken from the code before the refactoring. Write it again only for an intended change:

    python -m tests.unit.test_interface
"""
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from enum import EnumType
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer
from typer.testing import CliRunner

import recovery.cli
import recovery.terminal
import rehearsal.cli
from contract import OUTPUTS_VARIABLE, Metric
from payments.deadline import Deadline, Timing
from payments.payment import Payment, Record
from payments.stores import DynamoTable, S3Receipts
from recovery.drill import SavedState
from recovery.status import read_status
from simulator.vocabulary import FailureMode
from tests.unit.lib.conftest import recording
from tests.unit.lib.recorder import Recording, Resource
from tests.unit.payments.fakes import still_runtime
from tests.unit.recovery.calm_world import EAST, WEST, CalmWorld
from tests.unit.recovery.drill.drill_world import DrillWorld
from tools import cost

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = Path(__file__).with_name("interface.json")
CASES = ("dev", "dev-domain-strong-swapped", "prod-released-domain-zone-europe")
# Inputs that name something outside the program, or by which something outside finds it.
NAMES = {"name", "bucket", "clusterIdentifier", "globalClusterIdentifier", "identifier", "finalSnapshotIdentifier",
         "dashboardName", "domainName", "stageName", "setIdentifier", "functionName", "handler", "fqdn",
         "namespace", "metricName", "dimensions", "hashKey", "pathPart", "httpMethod", "resourcePath", "kmsKeyId"}


class Call:
    """A boto3 client that keeps the requests it is given, and answers nothing."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    def __getattr__(self, operation: str) -> Any:
        return self._answer

    def _answer(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        return {"value": "the API key"}


def interface() -> dict[str, Any]:
    """The whole interface, as JSON."""
    programs = {case: recording(case) for case in CASES}
    return {
        "outputs": {case: sorted(program.outputs) for case, program in programs.items()},
        "component types": sorted({r.type for program in programs.values() for r in program if not r.custom}),
        **{f"resources of {case}": {short(r.urn): names(r) for r in program} for case, program in programs.items()},
        "commands": {"recovery": commands(recovery.cli.app), "rehearsal": commands(rehearsal.cli.app),
                     "tools.cost": commands(of(cost.main))},
        "JSON of commands": {"recovery plan": plan_document(programs["dev"]), "recovery status": status_document()},
        "payments table": {**payment_item(), **control_items()},
        "objects": objects(),
        "metrics": metrics(),
        "HTTP": http(),
    }


def short(urn: str) -> str:
    """A URN without what all have in common."""
    return urn.removeprefix("urn:pulumi:test::TapStack::")


def names(resource: Resource) -> dict[str, Any]:
    """The inputs that name something, and the variables of a function; of a JSON object in them, its keys."""
    found = {key: resource.inputs[key] for key in sorted(NAMES & resource.inputs.keys())}
    variables = resource.inputs.get("environment", {}).get("variables", {})
    return {**found, **{key: keys(json.loads(value)) if value.startswith("{") else value
                        for key, value in sorted(variables.items())}}


def keys(value: Any, where: str = "") -> list[str]:
    """The shape of a JSON document: the path of each value that is neither an object nor a list of objects."""
    if isinstance(value, Mapping) and value:
        return sorted(path for key, each in value.items() for path in keys(each, f"{where}.{key}".strip(".")))
    if isinstance(value, list) and value:
        return keys(value[0], f"{where}[]")
    return [where]


def of(main: Any) -> typer.Typer:
    """The application of one command."""
    app = typer.Typer(add_completion=False)
    app.command()(main)
    return app


def commands(app: typer.Typer) -> dict[str, Any]:
    """Each command with its arguments and options, and the exit codes that the help gives."""
    command = typer.main.get_command(app)
    found = getattr(command, "commands", {"": command})
    described = " ".join(str(each.help) for each in (command, *found.values()))
    _, _, codes = described.partition("Exit codes:")
    return {"exit codes": re.findall(r"(?:^|, )\s*(\d+) ", codes.partition(".")[0]),
            **{name: sorted(options(each)) for name, each in sorted(found.items())}}


def options(command: Any) -> Iterator[str]:
    """The parameters of a command: spelling, type or choices, and the default unless it is required."""
    for each in command.params:
        annotation = each.type_descriptor.annotation
        members: Any = annotation if isinstance(annotation, EnumType) else ()
        choices = "|".join(str(member.value) for member in members)
        many = " many" if each.multiple or each.nargs == -1 else ""
        spelled = "argument" if each.param_type_name == "argument" else " ".join([*each.opts, *each.secondary_opts])
        default = "" if each.required else f" = {each.default}"
        yield f"{spelled} {choices or getattr(annotation, '__name__', annotation)}{many}{default}"


def plan_document(program: Recording) -> Any:
    """What `recovery plan --json` prints."""
    with TemporaryDirectory() as folder:
        outputs = Path(folder) / "outputs.json"
        world = CalmWorld()
        outputs.write_text(json.dumps({**program.outputs, **world.outputs}), encoding="utf-8")
        terminal = recovery.terminal.Terminal(
            environ={OUTPUTS_VARIABLE: str(outputs)}, driver="alice", console=recovery.terminal.console_of,
            confirm=lambda _: False, connect=lambda _: world.recovery())
        result = world.run_task(partial(
            CliRunner().invoke, recovery.cli.app, ["plan", "failover", "--json"], obj=terminal))
    assert result.exit_code == 0, result.output
    return keys(json.loads(result.stdout))


def status_document() -> Any:
    """What `recovery status --json` prints."""
    world = CalmWorld()
    return keys(world.run_task(lambda: read_status(world.recovery(), world.stack)))


def payment() -> Record:
    """A payment that is accepted."""
    given = Payment(payment_id="p1", amount=1, currency="EUR", payer="a", payee="b")
    return Record(payment=given, fingerprint="f", created_at="2030-01-01T00:00:00Z", epoch=1)


def deadline() -> Deadline:
    """The deadline of one call."""
    return Deadline(Timing(), 5.0, still_runtime())


def payment_item() -> dict[str, Any]:
    """The attributes of a payment, with their types."""
    call = Call()
    DynamoTable(call, "t").register(payment(), deadline())
    item = call.requests[0]["Item"]
    return {"payment": {key: "".join(value) for key, value in sorted(item.items())}, "status": item["status"]["S"]}


def took_over() -> CalmWorld:
    """A stack whose controllers have looked, and of which one has taken over."""
    world = CalmWorld()
    world.cut_off(EAST, 70.0)
    assert world.leader(WEST)[0] == WEST
    return world


def control_items() -> dict[str, Any]:
    """The items of the table that are no payments: their attributes, and the shape of the documents in them."""
    found = {**drill().table.views[WEST], **took_over().table.views[WEST]}
    items = {key: item for key, (item, _) in found.items() if key.startswith("!")}
    return {"broken in !drill": sorted(each.name for each in fields(SavedState)), **{
        key: {name: keys(json.loads(value["S"])) if name in ("document", "run") else "".join(value)
              for name, value in sorted(item.items())} for key, item in sorted(items.items())}}


def drill() -> DrillWorld:
    """A stack of which a drill was begun, that ended because its clients could not pay."""
    world = DrillWorld()
    world.network.refusing[EAST, "s3"] = FailureMode.ERROR
    assert not world.run_task(world.drill().run).ok
    return world


def objects() -> dict[str, Any]:
    """The keys of the objects in the buckets."""
    call, world = Call(), CalmWorld()
    S3Receipts(call, "b").put(payment(), deadline())
    cloud = world.cloud()
    world.run_task(lambda: cloud.set_lever(cloud.plan.target, pulled=True))
    levers = {key: versions[-1].body for key, versions in world.buckets.objects[world.control[WEST]].items()}
    return {call.requests[0]["Key"]: keys(json.loads(call.requests[0]["Body"])),
            **{key: (body or b"").decode() for key, body in levers.items()}}


def metrics() -> list[str]:
    """The metrics that a controller publishes."""
    return sorted({*Metric} & {name for region, name in took_over().metrics.points if region == WEST})


def http() -> dict[str, Any]:
    """Each route, with what it takes, and the fields of each of its answers."""
    document = json.loads((ROOT / "payments" / "openapi.json").read_text(encoding="utf-8"))

    def resolved(value: Any) -> Any:
        while "$ref" in value:
            found = document
            for part in value["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            value = found
        return value

    def properties(schema: Any) -> set[str]:
        found = resolved(schema)
        return set(found.get("properties", ())).union(
            *(properties(part) for key in ("oneOf", "allOf", "anyOf") for part in found.get(key, ())))

    def members(body: Any) -> list[str]:
        return sorted(set().union(*(properties(each["schema"]) for each in resolved(body).get("content", {}).values())))

    return {f"{method.upper()} {path}": {
        "API key": bool(operation.get("security", document["security"])),
        "parameters": sorted(resolved(each)["name"] for each in operation.get("parameters", ())),
        "fields": members(operation.get("requestBody", {})),
        "answers": {status: members(answer) for status, answer in sorted(operation["responses"].items())},
    } for path, operations in document["paths"].items() for method, operation in operations.items()}


def differences(before: Any, now: Any, where: str = "") -> Iterator[str]:
    """Everything that has changed, each with its place."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            yield from differences(before.get(key, "nothing"), now.get(key, "nothing"), f"{where} > {key}".strip(" >"))
    elif before != now:
        yield f"{where}: was {before}, is {now}"


def test_nothing_that_users_or_deployed_stacks_depend_on_has_changed() -> None:
    before = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    changed = list(differences(before, json.loads(json.dumps(interface()))))
    assert not changed, "the interface has changed:\n" + "\n".join(changed)


def text(document: Mapping[str, Any]) -> str:
    """The snapshot: a line for each resource, command or item, so that a diff shows what changed."""
    def lines(section: Any) -> str:
        if not isinstance(section, dict):
            return json.dumps(section)
        inside = (f"  {json.dumps(key)}: {json.dumps(each, sort_keys=True)}" for key, each in sorted(section.items()))
        return "{\n" + ",\n".join(inside) + "\n}"

    return "{\n" + ",\n".join(f"{json.dumps(key)}: {lines(section)}" for key, section in document.items()) + "\n}\n"


if __name__ == "__main__":
    SNAPSHOT.write_text(text(interface()), encoding="utf-8")
