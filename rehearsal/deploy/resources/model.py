"""How a resource type is described: the boto3 calls that make and delete it, and where its outputs come from.

A description is data. Its expressions are evaluated against the *scope* of one resource, a mapping of

    in        the program's inputs, by Pulumi's names        id      the resource's id, once it is created
    out       the answers of the calls so far, merged        tags    the provider's default tags and its own
    name      the logical name                               item    the element, in a call made once for `each`
    region    where it is; `account` and `endpoint` too      unique  a text that no other resource has
    lifted    whether protection is lifted, in a teardown
    port      where the region's database is              files   texts that take the place of a package's own files
    factor    how many times faster functions are to go by than their configuration says

An expression is JMESPath (`in.vpcId`), or a `Template` template (`Text("{region}/{in[name]}")`).
"""

import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Protocol

import jmespath
import pulumi
from jmespath import functions

from rehearsal.postgres.aurora import Aurora

Scope = dict[str, Any]


class ResourceContext(Protocol):
    """What a call that is a function may use, besides its parameters."""

    def client(self, service: str, region: str) -> Any:
        """The boto3 client of a service in a region."""

    @property
    def aurora(self) -> Aurora | None:
        """The databases behind the clusters."""

    def made(self, token: str) -> list[Scope]:
        """The scopes of the resources of a type that exist by now, oldest first."""


Function = Callable[..., Mapping[str, Any]]
"""Stands in for an operation: called with the context and the parameters, gives an answer; ValueError fails it."""


class Template(str):
    """A template for `str.format`, filled from the scope."""

    __slots__ = ()


@dataclass(frozen=True)
class BotoCall:
    """One boto3 call: its operation (or a function in place of one), and its parameters as expressions.

    A parameter's name may be a path (`BackupPlan.BackupPlanName`); one whose expression gives null is not sent.
    `each`: once for every element. `when`: only if that is true. `region`: elsewhere than where the resource is.
    """

    operation: str | Function
    params: Mapping[str, str] = field(default_factory=dict)
    when: str = ""
    each: str = ""
    region: str = "region"

    def expressions(self) -> Iterator[str]:
        """Every expression in it."""
        yield from self.params.values()
        yield from (self.when, self.each, self.region)


@dataclass(frozen=True)
class Listing:
    """A call that names everything of a kind in a region (page by page where it can), and the names in its answer.

    A function in place of the operation is called with the context and the region.
    """

    operation: str | Function
    names: str


@dataclass(frozen=True, kw_only=True)
class ResourceType:
    """One resource type.

    An input that no expression of `create` names goes to the member of its name (`fitting`), of the operation itself or
    of its structure `within`. One that finds none, that no other call names and that is not the provider's alone is an
    error: nothing is dropped in silence.
    """

    service: str
    create: BotoCall
    id: str
    renames: Mapping[str, str] = field(default_factory=dict)
    """Inputs, at any depth, whose member has another name; a path where it lies deeper."""
    within: str = ""
    named: str = ""
    """The input with the physical name: made up from the logical one where the program gives none."""
    then: tuple[BotoCall, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    """Outputs that are secret."""
    provider_only: frozenset[str] = frozenset()
    """Inputs that only steer the provider (how it updates, waits or destroys) and are part of no call."""
    listed: tuple[Listing, ...] = ()
    """Empty for what lies within a resource that is listed."""
    unprotect: tuple[BotoCall, ...] = ()
    """Calls before a teardown that lift what would rightly stop it on AWS."""
    delete: tuple[BotoCall, ...] = ()
    dispose: tuple[BotoCall, ...] = ()
    """Calls after `delete` for what AWS is meant to keep, such as a final snapshot."""

    @cached_property
    def mentioned(self) -> frozenset[str]:
        """The inputs that an expression names."""
        return names_in(self.expressions())

    def expressions(self) -> Iterator[str]:
        """Every expression of the kind."""
        yield self.id
        yield from self.outputs.values()
        for each in fields(self):
            value = getattr(self, each.name)
            for call in value if isinstance(value, tuple) else (value,):
                if isinstance(call, BotoCall):
                    yield from call.expressions()


@dataclass(frozen=True, kw_only=True)
class DataFunction:
    """A data function: the operation that it asks, if any, and what it answers.

    The arguments `ignored` are accepted and make no difference in an emulator.
    """

    outputs: Mapping[str, str]
    service: str = ""
    operation: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()


def names_in(expressions: Iterable[str]) -> frozenset[str]:
    """The inputs that expressions name."""
    return frozenset(re.findall(r"\bin(?:\.|\[)(\w+)", "\n".join(expressions)))


def packed(archive: object, changed: Mapping[str, str]) -> bytes:
    """A zip file of an AssetArchive of files and texts, some `changed`. Raises TypeError for anything else."""
    if not isinstance(archive, pulumi.AssetArchive):
        raise TypeError(f"cannot package {type(archive).__name__}, only an AssetArchive")
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for name, asset in archive.assets.items():
            if name in changed:
                package.writestr(name, changed[name])
            elif isinstance(asset, pulumi.FileAsset):
                package.write(asset.path, name)
            elif isinstance(asset, pulumi.StringAsset):
                package.writestr(name, asset.text)
            else:
                raise TypeError(f"{name}: cannot package {type(asset).__name__}")
    return target.getvalue()


class _Functions(functions.Functions):  # type: ignore[misc]
    """What JMESPath lacks; its metaclass finds them by their names."""

    @functions.signature({"types": ["string"]}, {"types": ["string"]})  # type: ignore[untyped-decorator]
    def _func_split(self, text: str, separator: str) -> list[str]:
        return text.split(separator)

    @functions.signature({"types": ["object"]}, {"types": ["number"]})  # type: ignore[untyped-decorator]
    def _func_hurry(self, variables: Mapping[str, str], factor: float) -> dict[str, str]:
        return {key: f"{float(value) / factor:g}" if key.endswith("_SECONDS") else value
                for key, value in variables.items()}

    @functions.signature({"types": []}, {"types": ["object"]})  # type: ignore[untyped-decorator]
    def _func_zip(self, archive: object, changed: Mapping[str, str]) -> bytes:
        return packed(archive, changed)


_OPTIONS = jmespath.Options(custom_functions=_Functions())


def evaluate(expression: str, scope: Mapping[str, Any]) -> Any:
    """The expression's value in the scope; null where it leads nowhere."""
    if isinstance(expression, Template):
        return expression.format_map(scope)
    return jmespath.search(expression, scope, _OPTIONS)
