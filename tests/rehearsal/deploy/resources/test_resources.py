"""Every description, compared with botocore's models and with Pulumi's own types."""

import inspect
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import jmespath
import pulumi_aws as aws
from botocore import xform_name
from botocore.session import Session
from pulumi._types import resource_pulumi_to_py_names

from rehearsal.deploy.coercion import member
from rehearsal.deploy.gaps import GAPS
from rehearsal.deploy.provider.handlers import short_name
from rehearsal.deploy.resources import DATA_FUNCTIONS, RESOURCE_TYPES
from rehearsal.deploy.resources.model import Call, ResourceType, Template, inputs_in

SESSION = Session()
AWS_TYPES = {token: resource_type for token, resource_type in RESOURCE_TYPES.items() if resource_type.service}


@cache
def operations(service: str) -> dict[str, Any]:
    """A service's operations by boto3's names, each with the shape of its parameters."""
    model: Any = SESSION.get_service_model(service)
    return {xform_name(name): model.operation_model(name).input_shape for name in list(model.operation_names)}


def has(shape: Any, path: str) -> bool:
    """Whether a dotted path leads to a member; in a map, every name is one."""
    head, _, tail = path.partition(".")
    if shape.type_name == "map":
        return True
    return head in shape.members and (not tail or has(shape.members[head], tail))


def calls(resource_type: ResourceType) -> Iterator[tuple[str, Call]]:
    """The calls of a type that are not functions, with their operations."""
    for call in resource_type.calls:
        if isinstance(call.operation, str):
            yield call.operation, call


@cache
def properties(token: str) -> set[str]:
    """The inputs and outputs of Pulumi's class of a type, by Pulumi's names."""
    _, module, name = token.split(":")
    service = module.partition("/")[0].replace("lambda", "lambda_")
    return set(resource_pulumi_to_py_names(getattr(getattr(aws, service), name)))


def camel_case(names: list[str]) -> set[str]:
    """Names of Python as Pulumi's names."""
    return {re.sub(r"_(\w)", lambda letter: letter[1].upper(), name) for name in names}


def test_every_service_is_found() -> None:
    services = {resource_type.service for resource_type in RESOURCE_TYPES.values()}
    assert services == {"", "acm", "apigateway", "backup", "cloudwatch", "dynamodb", "ec2", "events", "fis", "iam",
                        "kms", "lambda", "logs", "rds", "route53", "s3", "secretsmanager", "sns", "wafv2", "xray"}
    assert len(DATA_FUNCTIONS) == 1


def test_every_parameter_exists() -> None:
    assert [(token, operation, path) for token, resource_type in AWS_TYPES.items()
            for operation, call in calls(resource_type) for path in call.params
            if not has(operations(resource_type.service)[operation], path)] == []


def test_every_rename_leads_to_a_member() -> None:
    wrong = {token: path for token, resource_type in AWS_TYPES.items()
             if isinstance(resource_type.create.operation, str)
             for path in ({resource_type.wrapper} - {""}) | {
                 path for path in resource_type.renames.values() if "." in path}
             if not has(operations(resource_type.service)[resource_type.create.operation], path)}
    assert wrong == {}


def test_every_listing_is_an_operation() -> None:
    assert {operation for resource_type in AWS_TYPES.values() for operation in resource_type.listings
            if isinstance(operation, str) and operation not in operations(resource_type.service)} == set()


def test_inputs_and_outputs_have_the_names_of_pulumis_class() -> None:
    for token, each in AWS_TYPES.items():
        updated = " ".join(each.update).split()
        names = {*each.used_inputs, *each.provider_only, *each.outputs, *each.secrets, *each.held, *each.replace,
                 *updated, each.name_input} - {""}
        assert names - properties(token) == set(), token


def test_tags_are_sent_where_pulumis_class_takes_them() -> None:
    untagged = [
        token for token, resource_type in AWS_TYPES.items()
        if "tags" in properties(token) and "overrideProvider" not in resource_type.provider_only
        if not any(member(operations(resource_type.service)[operation], "tags")
                   for operation, _ in calls(resource_type) if operation == resource_type.create.operation)
        and not any(re.search(r"\btags\b", expression) for expression in resource_type.expressions())]
    assert untagged == []


def test_every_expression_is_valid() -> None:
    for resource_type in RESOURCE_TYPES.values():
        for expression in (*resource_type.expressions(), *resource_type.listings.values()):
            if expression and not isinstance(expression, Template):
                jmespath.compile(expression)


def test_gaps_are_of_known_types_and_arguments() -> None:
    for key in GAPS:
        name, _, argument = key.partition(".")
        (token,) = (token for token in RESOURCE_TYPES if short_name(token) == name)
        assert not argument or argument in properties(token)


def test_data_functions_have_pulumis_arguments_and_results() -> None:
    for token, function in DATA_FUNCTIONS.items():
        module, name = token.split(":")[1].partition("/")[0].replace("index", ""), token.rpartition(":")[2]
        place = getattr(aws, module) if module else aws
        python_name = re.sub(r"([A-Z])", r"_\1", name).lower()
        arguments = camel_case(list(inspect.signature(getattr(place, python_name)).parameters))
        assert inputs_in([*function.params.values(), *function.outputs.values()]) <= arguments
        result = getattr(place, f"{name[0].upper()}{name[1:]}Result")
        assert set(function.outputs) <= camel_case(list(inspect.signature(result).parameters))
        assert set(function.params) <= set(operations(function.service)[function.operation].members)
