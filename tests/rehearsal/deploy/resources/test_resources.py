"""Every entry of the table, held against botocore's models and against Pulumi's own types."""

import io
import re
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jmespath
import pulumi
import pulumi_aws as aws
import pytest
from botocore import xform_name
from botocore.session import Session
from pulumi._types import resource_pulumi_to_py_names

from rehearsal.deploy.coercion import member
from rehearsal.deploy.gaps import GAPS
from rehearsal.deploy.resources import DATA_FUNCTIONS, RESOURCE_TYPES
from rehearsal.deploy.resources.model import BotoCall, ResourceType, Template, evaluate, packed

SESSION = Session()
OF_AWS = {token: kind for token, kind in RESOURCE_TYPES.items() if kind.service}


@cache
def operations(service: str) -> dict[str, Any]:
    """A service's operations by boto3's names, each with the shape of its parameters."""
    model: Any = SESSION.get_service_model(service)
    return {xform_name(name): model.operation_model(name).input_shape for name in list(model.operation_names)}


def has(shape: Any, path: str) -> bool:
    """Whether a dotted path leads to a member; below a map, every name is one."""
    head, _, tail = path.partition(".")
    if shape.type_name == "map":
        return True
    return head in shape.members and (not tail or has(shape.members[head], tail))


def calls(kind: ResourceType) -> Iterator[tuple[str, BotoCall]]:
    """The calls of a kind that are no functions, with their operations."""
    for call in (kind.create, *kind.then, *kind.unprotect, *kind.delete, *kind.dispose):
        if isinstance(call.operation, str):
            yield call.operation, call


@cache
def properties(token: str) -> set[str]:
    """What Pulumi's class of a type knows, inputs and outputs, by the names on the wire."""
    _, module, name = token.split(":")
    service = module.partition("/")[0].replace("lambda", "lambda_")
    return set(resource_pulumi_to_py_names(getattr(getattr(aws, service), name)))


def test_every_parameter_exists() -> None:
    assert [(token, operation, path) for token, kind in OF_AWS.items() for operation, call in calls(kind)
            for path in call.params if not has(operations(kind.service)[operation], path)] == []


def test_every_rename_leads_to_a_member() -> None:
    flat = {token: path for token, kind in OF_AWS.items() if isinstance(kind.create.operation, str)
            for path in ({kind.within} - {""}) | {path for path in kind.renames.values() if "." in path}
            if not has(operations(kind.service)[kind.create.operation], path)}
    assert flat == {}


def test_every_listing_is_an_operation() -> None:
    assert {listing.operation for kind in OF_AWS.values() for listing in kind.listed
            if isinstance(listing.operation, str) and listing.operation not in operations(kind.service)} == set()


def test_inputs_and_outputs_have_the_names_of_pulumis_class() -> None:
    named = {token: kind.mentioned | kind.provider_only | set(kind.outputs) | kind.secrets | ({kind.named} - {""})
             for token, kind in OF_AWS.items()}
    assert {token: names - properties(token) for token, names in named.items() if names - properties(token)} == {}


def test_tags_are_sent_where_pulumis_class_takes_them() -> None:
    untagged = [
        token for token, kind in OF_AWS.items() if "tags" in properties(token)
        if not any(member(operations(kind.service)[operation], "tags") for operation, _ in calls(kind)
                   if operation == kind.create.operation)
        and not any(re.search(r"\btags\b", expression) for expression in kind.expressions())]
    assert untagged == []


def test_every_expression_is_one() -> None:
    for kind in RESOURCE_TYPES.values():
        for expression in (*kind.expressions(), *(listing.names for listing in kind.listed)):
            if expression and not isinstance(expression, Template):
                jmespath.compile(expression)


def test_gaps_are_of_known_types_and_arguments() -> None:
    for gap in GAPS:
        assert gap.token in RESOURCE_TYPES
        assert not gap.argument or gap.argument in properties(gap.token)


def test_functions_answer_with_pulumis_names() -> None:
    assert set(DATA_FUNCTIONS["aws:index/getPartition:getPartition"].outputs) == {
        "partition", "dnsSuffix", "reverseDnsPrefix", "id"}


def test_expressions() -> None:
    scope = {"in": {"name": "n"}, "region": "r", "arn": "a:b:c"}
    assert evaluate("in.name", scope) == "n"
    assert evaluate("in.absent.deeper", scope) is None
    assert evaluate("split(arn, ':')[2]", scope) == "c"
    assert evaluate(Template("{region}/{in[name]}"), scope) == "r/n"


def test_a_package_holds_files_and_texts(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("x = 1")
    assets: dict[str, pulumi.Asset | pulumi.Archive] = {
        "payments/code.py": pulumi.FileAsset(tmp_path / "code.py"), "note": pulumi.StringAsset("hello")}
    content = evaluate("zip(code, files)", {"code": pulumi.AssetArchive(assets), "files": {"other": "x"}})
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        assert {name: package.read(name) for name in package.namelist()} == {
            "payments/code.py": b"x = 1", "note": b"hello"}


@pytest.mark.parametrize(
    "archive", [pulumi.FileArchive("x.zip"), pulumi.AssetArchive({"a": pulumi.RemoteAsset("http://127.0.0.1/x")})]
)
def test_a_package_of_anything_else_is_refused(archive: pulumi.Archive) -> None:
    with pytest.raises(TypeError, match=r"cannot package (RemoteAsset|FileArchive)"):
        packed(archive, {})
