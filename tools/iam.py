"""Writes the IAM policies in docs/iam, for the words in capitals to be replaced in: `make iam`.

    python -m tools.iam                   write them
    python -m tools.iam --check           exit with 1 if one of them is stale
    python -m tools.iam --schemas WHEEL   take what CloudFormation needs for each type from a release of cfn-lint first

Doctor's and operator's come from the calls that `recovery.permissions` declares. The deployer's are a guess: what
CloudFormation's own handlers need for the same types of resource (tools/cloudformation.json), and the program's calls.
"""
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any
from zipfile import ZipFile

import typer

from lib.names import CATALOGUE, Names
from lib.tap_stack import SERVICES
from recovery.permissions import DOCTOR, IN_THE_OPERATORS_NAME, OPERATOR, Permission

ROOT = Path(__file__).resolve().parents[1]
FOLDER, HANDLERS = Path("docs") / "iam", Path("tools") / "cloudformation.json"
NAMES = Names("SUFFIX", "*", "ACCOUNT")
WORDS = {**vars(NAMES), **{key: getattr(NAMES, key) for key in CATALOGUE}, "given_secret": "DATABASE_SECRET",
         "operator_role": "OPERATOR_ROLE"}
LIMIT = 6144  # characters of a managed policy, without white space
KEY = "arn:aws:kms:*:ACCOUNT:key/*"
ROLES = ["arn:aws:iam::ACCOUNT:role/tapstack-*-SUFFIX-*", "arn:aws:iam::ACCOUNT:role/aws-service-role/*"]
# What the program and the targets that follow it call themselves: data functions, `make migrate`.
PROGRAM_CALLS = {"ec2:DescribeAvailabilityZones", "lambda:InvokeFunction", "rds:DescribeGlobalClusters",
                 "secretsmanager:GetSecretValue", "sts:GetCallerIdentity",
                 # the provider's own: it reads each resource again, and empties what it deletes
                 "backup:DeleteRecoveryPoint", "backup:ListRecoveryPointsByBackupVault", "ec2:DescribePrefixLists",
                 "iam:ListInstanceProfilesForRole", "lambda:GetFunctionConfiguration", "lambda:ListVersionsByFunction",
                 "s3:GetBucketRequestPayment", "secretsmanager:GetResourcePolicy", "secretsmanager:PutSecretValue",
                 # a strong table's witness, which CloudFormation's schemas do not know
                 "dynamodb:CreateGlobalTableWitness", "dynamodb:DeleteGlobalTableWitness",
                 # the outputs' object, of whose type CloudFormation has none
                 "s3:DeleteObjectVersion", "s3:GetObject", "s3:GetObjectTagging", "s3:ListBucketVersions",
                 "s3:PutObject"}
OPERATES = {**OPERATOR, **IN_THE_OPERATORS_NAME}
TYPES: Mapping[str, str] = {kind: handled_as for handled_as, kinds in tomllib.loads(
    Path(__file__).with_name("types.toml").read_text(encoding="utf-8")).items() for kind in kinds}
"""The provider's types that the program uses, each with the type of CloudFormation that makes the same calls."""

Statement = dict[str, Any]


def permitted(calls: Mapping[str, Permission]) -> Iterator[Statement]:
    """The statements that permit calls, one for all calls with the same resources and condition."""
    found: dict[str, tuple[Statement, set[str]]] = {}
    for call, permission in calls.items():
        rest: Statement = {"Resource": sorted(each.format(**WORDS) for each in permission.resources)}
        if permission.condition:
            rest["Condition"] = json.loads(json.dumps(permission.condition).replace(
                "{key_alias}", NAMES.key_alias).replace("{suffix}", NAMES.suffix))
        found.setdefault(json.dumps(rest), (rest, set()))[1].update(permission.actions or [call])
    for rest, actions in found.values():
        yield {"Effect": "Allow", "Action": sorted(actions), **rest}
    keys: dict[str, set[str]] = {}
    for call, permission in calls.items():
        if permission.key:
            keys.setdefault(call.partition(":")[0], set()).update(permission.key)
    for service, uses in keys.items():
        # A secret that the settings name has a key of its own; everything else has the stack's.
        stack = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": NAMES.key_alias}}
        yield {"Effect": "Allow", "Action": sorted(uses), "Resource": KEY, "Condition": {
            "StringLike": {"kms:ViaService": f"{service}.*.amazonaws.com"},
            "BoolIfExists": {"kms:GrantIsForAWSResource": "true"}, **({} if service == "secretsmanager" else stack)}}


def deployment(handlers: Mapping[str, list[str]]) -> Iterator[Statement]:
    """What CloudFormation's handlers need for the program's types, a statement for each service."""
    services = {*(service.rstrip("_") for service in SERVICES), "backup-storage"}
    actions = {action for kind in TYPES.values() for action in handlers[kind]} | PROGRAM_CALLS
    for service, found in groupby(sorted(actions), lambda action: action.partition(":")[0]):
        if service in services:
            yield {"Sid": f"Unproven{service.title().replace('-', '')}", "Effect": "Allow", "Action": list(found),
                   "Resource": ROLES if service == "iam" else "*"}


def packed(statements: Iterable[Statement]) -> Iterator[list[Statement]]:
    """The statements in as many policies as IAM's limit demands."""
    policy: list[Statement] = []
    for each in statements:
        if policy and size([*policy, each]) > LIMIT:
            yield policy
            policy = []
        policy.append(each)
    yield policy


def size(statements: Iterable[Statement]) -> int:
    """The characters of a policy as IAM counts them."""
    return len("".join(text(statements).split()))


def text(statements: Iterable[Statement]) -> str:
    """A policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=2) + "\n"


def policies(handlers: Mapping[str, list[str]]) -> dict[str, str]:
    """Every file of docs/iam, by its name."""
    return {"doctor.json": text(permitted(DOCTOR)), "operator.json": text(permitted(OPERATES)),
            **{f"deployer-{number}.json": text(each) for number, each in enumerate(packed(deployment(handlers)), 1)}}


def read_handlers(wheel: Path) -> dict[str, list[str]]:
    """What CloudFormation's handlers need to create, read, update and delete the program's types."""
    schemas = "cfnlint/data/schemas"
    with ZipFile(wheel) as files:
        hashes = json.loads(files.read(f"{schemas}/providers/us-east-1.json"))
        found = {}
        for kind in sorted(set(TYPES.values())):
            handlers = json.loads(files.read(f"{schemas}/resources/{hashes[kind]}.json"))["handlers"]
            found[kind] = sorted({action for verb in ("create", "read", "update", "delete")
                                  for action in handlers.get(verb, {}).get("permissions", ())
                                  if re.fullmatch("[a-z0-9-]+:[A-Za-z0-9]+[*]?", action)})
    return found


def main(*, check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a file is stale.")] = False,
         schemas: Annotated[Path | None, typer.Option(help="A wheel of cfn-lint.")] = None,
         root: Annotated[Path, typer.Option(hidden=True)] = ROOT) -> None:
    """Write the IAM policies of docs/iam, or check that they are up to date."""
    if schemas:
        (root / HANDLERS).write_text(json.dumps(read_handlers(schemas), indent=1) + "\n", encoding="utf-8")
    wanted = policies(json.loads((root / HANDLERS).read_text(encoding="utf-8")))
    folder = root / FOLDER
    present = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    stale = sorted(name for name in present.keys() | wanted.keys() if present.get(name) != wanted.get(name))
    for name in stale:
        if check:
            typer.echo(f"iam: {FOLDER / name} is stale: run `make iam`", err=True)
        elif name in wanted:
            (folder / name).write_text(wanted[name], encoding="utf-8")
        else:
            (folder / name).unlink()
    if check and stale:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
