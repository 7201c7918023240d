"""How a resource type is described: the boto3 calls that create and delete it, and where its outputs come from.

A description is data. Its expressions are evaluated against the *scope* of one resource, a mapping of

    in        the program's inputs, by Pulumi's names        id      the resource's id, once it is created
    out       the answers of the calls so far, merged        tags    the provider's default tags and its own
    name      the logical name                               item    the element, in a call made once for `each`
    region    the resource's; also `account`, `endpoint`     unique  a text that no other resource has
    port      the port of the region's database              files   texts that replace a package's own files
    databases  the target's, if it has any                   regions  the regions of the target
    factor    how many times faster functions run than configured
    unprotected  whether protection is lifted, before a teardown

An expression is JMESPath (`in.vpcId`) or a `Template` (`Template("{region}/{in[name]}")`).
"""

import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jmespath
import pulumi
from jmespath import functions

from rehearsal.postgres.aurora import Aurora

Scope = dict[str, Any]


@dataclass(frozen=True)
class DeployTarget:
    """What stands in for AWS next to the emulator.

    `endpoints`: the URL of AWS as the functions of a region reach it, by region.
    `databases`: without them, clusters are records only.
    `factor`: how many times faster than configured the functions run.
    """

    endpoints: Mapping[str, str] = field(default_factory=dict)
    databases: Aurora | None = None
    factor: float = 1


Function = Callable[..., Mapping[str, Any]]
"""Replaces an operation: takes the clients and the parameters, returns an answer. A ValueError means that it failed."""


def not_created(_clients: object, **_params: object) -> Mapping[str, Any]:
    """Create nothing, in place of an operation that the emulator lacks; `gaps` says so."""
    return {}


class Template(str):
    """A template for `str.format`, filled from the scope."""

    __slots__ = ()


@dataclass(frozen=True)
class Call:
    """One boto3 call: its operation, or a function that replaces it, and its parameters as expressions.

    A parameter's name may be a path (`BackupPlan.BackupPlanName`). A parameter whose expression is null is not sent.
    A call after the creation needs no expression for a parameter that the operation requires, if it is an input or
    the id: without one it takes the input of its name (see `coercion`), or else the id.
    `each`: one call for every element of a list. `when`: only if this is true. `region`: where the call is made.
    """

    operation: str | Function
    params: Mapping[str, str] = field(default_factory=dict)
    when: str = ""
    each: str = ""
    region: str = "region"

    def expressions(self) -> Iterator[str]:
        """Every expression of the call."""
        yield from self.params.values()
        yield from (self.when, self.each, self.region)


@dataclass(frozen=True)
class ResourceType:
    """One resource type.

    An input that no expression of `create` uses goes to the parameter of its name (see `coercion`): of the operation,
    or of the operation's structure `wrapper`. An input without such a parameter, which no other call uses and which is
    not `provider_only`, is an error: nothing is dropped silently.
    """

    service: str
    create: Call
    _: KW_ONLY
    id: str
    renames: Mapping[str, str] = field(default_factory=dict)
    """Inputs, at any depth, whose parameter has another name; a path where it is nested deeper."""
    wrapper: str = ""
    name_input: str = ""
    """The input with the physical name. The engine generates a name if the program gives none."""
    after_create: tuple[Call, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Those that the program uses."""
    secrets: frozenset[str] = frozenset()
    """Outputs that are secret."""
    provider_only: frozenset[str] = frozenset()
    """Inputs that only control how the provider updates, waits or destroys, and that no call needs."""
    listings: Mapping[str | Function, str] = field(default_factory=dict)
    """The operations (or functions of clients and region) that list everything of the type in a region, each with the
    expression for the names in a page of its answer. Empty for what is part of a resource that is listed."""
    unprotect: tuple[Call, ...] = ()
    """Calls before a teardown, to lift a protection that AWS would enforce."""
    delete: tuple[Call, ...] = ()

    @property
    def calls(self) -> tuple[Call, ...]:
        """All its calls."""
        return self.create, *self.after_create, *self.unprotect, *self.delete

    @cached_property
    def used_inputs(self) -> frozenset[str]:
        """The inputs that an expression uses."""
        return inputs_in(self.expressions())

    def expressions(self) -> Iterator[str]:
        """Every expression of the description."""
        yield from (self.id, *self.outputs.values())
        for call in self.calls:
            yield from call.expressions()


@dataclass(frozen=True)
class DataFunction:
    """A data function: the operation that it calls, and its result.

    The arguments `ignored` are accepted, because they make no difference in an emulator.
    """

    service: str
    operation: str
    params: Mapping[str, str]
    outputs: Mapping[str, str]
    ignored: frozenset[str] = frozenset()


def inputs_in(expressions: Iterable[str]) -> frozenset[str]:
    """The inputs that expressions use."""
    return frozenset(re.findall(r"\bin(?:\.|\[)(\w+)", "\n".join(expressions)))


def contents(asset: object) -> str | bytes:
    """What a file or a text of a package holds. Raises TypeError for anything else."""
    match asset:
        case pulumi.FileAsset():
            return Path(asset.path).read_bytes()
        case pulumi.StringAsset():
            return asset.text
    raise TypeError(f"cannot package {type(asset).__name__}, only files and texts")


class _Functions(functions.Functions):  # type: ignore[misc]
    """Functions that JMESPath lacks; its metaclass finds them by the prefix of their names."""

    @functions.signature({"types": ["string"]}, {"types": ["string"]})  # type: ignore[untyped-decorator]
    def _func_split(self, text: str, separator: str) -> list[str]:
        return text.split(separator)

    @functions.signature({"types": ["object"]}, {"types": ["number"]})  # type: ignore[untyped-decorator]
    def _func_speed_up(self, variables: Mapping[str, str], factor: float) -> dict[str, str]:
        return {key: f"{float(value) / factor:g}" if key.endswith("_SECONDS") else value
                for key, value in variables.items()}

    @functions.signature({"types": []}, {"types": ["object"]})  # type: ignore[untyped-decorator]
    def _func_zip(self, archive: object, replaced: Mapping[str, str]) -> bytes:
        if not isinstance(archive, pulumi.AssetArchive):
            raise TypeError(f"cannot package {type(archive).__name__}, only an AssetArchive")
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
            for name, asset in archive.assets.items():
                package.writestr(name, replaced.get(name) or contents(asset))
        return target.getvalue()


_OPTIONS = jmespath.Options(custom_functions=_Functions())


def evaluate(expression: str, scope: Mapping[str, Any]) -> Any:
    """The expression's value in the scope, or None."""
    if isinstance(expression, Template):
        return expression.format_map(scope)
    return jmespath.search(expression, scope, _OPTIONS)
