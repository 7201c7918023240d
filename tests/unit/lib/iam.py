"""How AWS decides about a request by a policy, as far as the program's policies go."""
import json
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from tests.unit.lib.recorder import ACCOUNT, Recording, Resource

Statement = Mapping[str, Any]
Context = Mapping[str, str | list[str]]
ROOT = f"arn:aws:iam::{ACCOUNT}:root"


def as_list(value: Any) -> list[Any]:
    """A list of what a policy gives as one value or as a list."""
    return value if isinstance(value, list) else [value]


@cache
def _parsed(document: str) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = json.loads(document)["Statement"]
    return statements


def policies_of(resource: Resource) -> Iterator[dict[str, Any]]:
    """The statements of every policy document among the resource's inputs."""
    for key in ("policy", "assumeRolePolicy"):
        text = resource.inputs.get(key)
        if isinstance(text, str) and text.startswith("{"):
            yield from _parsed(text)


def statements(program: Recording) -> Iterator[tuple[Resource, dict[str, Any]]]:
    """Every statement of every policy of the program, with its resource."""
    for resource in program.custom:
        for statement in policies_of(resource):
            yield resource, statement


def _holds(operator: str, key: str, wanted: list[str], context: Context) -> bool:
    """Whether one condition holds.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    sent = [str(value) for value in as_list(context[key])] if key in context else []
    if operator == "Null":
        return wanted == [str(not sent).lower()]
    quantifier, _, base = operator.rpartition(":")
    negated = "Not" in base
    if not sent:
        return quantifier == "ForAllValues" or base.endswith("IfExists") or (negated and not quantifier)
    if quantifier == "ForAnyValue":
        return any(_holds(base, key, wanted, {key: value}) for value in sent)
    match base.removesuffix("IfExists"):
        case "StringNotEquals" | "ArnNotEquals":
            held = not any(value in wanted for value in sent)
        case "StringEquals" | "Bool":
            held = all(value in wanted for value in sent)
        case "NumericLessThan":
            held = float(sent[0]) < float(wanted[0])
        case "StringLike" | "ArnLike" | "ArnEquals":
            held = all(any(fnmatchcase(value, pattern) for pattern in wanted) for value in sent)
        case _:
            raise AssertionError(operator)
    return held


def _concerns(statement: Statement, principal: str, action: str, resource: str, context: Context) -> bool:
    principals = statement.get("Principal", {"AWS": principal})
    principals = {"AWS": principals} if isinstance(principals, str) else principals
    return (bool({principal, "*"} & {each for kind in principals.values() for each in as_list(kind)})
            and any(fnmatchcase(action, pattern) for pattern in as_list(statement["Action"]))
            and any(fnmatchcase(resource, pattern) for pattern in as_list(statement.get("Resource", "*")))
            and all(_holds(operator, key, as_list(wanted), context)
                    for operator, keys in statement.get("Condition", {}).items() for key, wanted in keys.items()))


def allowed(policy: Iterable[Statement], action: str, resource: str = "*", context: Context | None = None, *,
            principal: str = ROOT) -> bool:
    """Whether statements allow an action, and none denies it."""
    effects = {statement["Effect"] for statement in policy
               if _concerns(statement, principal, action, resource, context or {})}
    return effects == {"Allow"}
