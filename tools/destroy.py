"""Deletes a stack from AWS: `make destroy`. Lists before and after what goes, what remains, and what that blocks.

All of it is in the stack's state, so nothing is asked of a region.
"""
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tools.pulumi_cli import PulumiFailed, run

TAKEN = "the next stack of this suffix cannot be created before you delete it"
OUTLIVES = ("Key", "ReplicaKey", "Vault", "Bucket")  # what is listed of the resources that a destroy leaves

Resource = Mapping[str, Any]


def resources(stack: str) -> list[Resource]:
    """The resources in a stack's state. Raises PulumiFailed."""
    found = json.loads(run("stack", "export", "--stack", stack))["deployment"].get("resources", [])
    return [each for each in found if each.get("custom") and not each["type"].startswith("pulumi:")]


def kind(resource: Resource) -> str:
    """The last part of a resource's type: `Vpc`."""
    return str(resource["type"]).rpartition(":")[2]


def remains(found: Iterable[Resource]) -> Iterator[str]:
    """A line for each thing that stays in AWS when these resources are destroyed."""
    for each in found:
        what, inputs = kind(each), each.get("inputs", {})
        region = str(each.get("outputs", {}).get("arn", "")).split(":")[3:4]
        where = f" ({region[0]})" if region and region[0] else ""
        if each.get("retainOnDelete") and what in OUTLIVES:
            yield f"{what} {each.get('id', '')}{where}" + ("" if "Key" in what else f": {TAKEN}")
        elif inputs.get("finalSnapshotIdentifier"):
            yield (f"snapshot {inputs['finalSnapshotIdentifier']}{where}: the next stack of this suffix cannot be "
                   "destroyed before you rename or delete it")
        elif inputs.get("recoveryWindowInDays"):
            yield f"{what} {inputs['name']}{where}, for {inputs['recoveryWindowInDays']:g} days: {TAKEN} for good"
        elif (inputs.get("pointInTimeRecovery") or {}).get("enabled"):
            yield f"backup of {what} {inputs['name']}{where}, which DynamoDB keeps for 35 days"


def counted(found: Sequence[Resource]) -> str:
    """How many resources there are, and of which kinds."""
    kinds = Counter(map(kind, found)).most_common()
    return f"{len(found)} resources" + (": " if kinds else "") + ", ".join(f"{number} {name}" for name, number in kinds)


def main(stack: str, arguments: Sequence[str]) -> int:
    """Destroy the stack; `arguments` are for `pulumi destroy`. Returns its exit code, and 1 for a protected stack."""
    try:
        before = resources(stack)
        stays = list(remains(before))
        print(f"{stack} before: {counted([each for each in before if not each.get('retainOnDelete')])} will go")
        for line in stays:
            print(f"  remains: {line}")
        if protected := [each for each in before if each.get("protect")]:
            print(f"destroy: {len(protected)} resources are protected: run `pulumi config set deletionProtection false "
                  f"--stack {stack}` and `make up STACK={stack}` first", file=sys.stderr)
            return 1
        code = subprocess.run(["pulumi", "destroy", "--stack", stack, *arguments], check=False).returncode  # noqa: S603, S607
        after = resources(stack)
    except PulumiFailed as error:
        print(f"destroy: {error}", file=sys.stderr)
        return 1
    print(f"{stack} after: {counted(after)} left in the state")
    gone = {each["urn"] for each in before} - {each["urn"] for each in after}
    for line in remains(each for each in before if each["urn"] in gone):
        print(f"  remains: {line}")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
