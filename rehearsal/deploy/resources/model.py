"""How a resource type is described: the boto3 calls that create, read, update and delete it, and its outputs.

A description is data. Its expressions are evaluated against the *scope* of one resource, a mapping of

    in        the program's inputs, by Pulumi's names        id      the resource's id, once it is created
    out       the answers of the calls so far, merged        tags    the provider's default tags and its own
    name      the logical name                               item    the element, in a call made once for `each`
    region    the resource's; also `account`, `endpoint`     unique  a text that no other resource has
    port      the port of the region's database              files   texts that replace a package's own files
    state     its inputs and outputs before the call         was     its inputs before an update
    found     what was read of it
    factor    how many times faster functions run than configured
    untagged  the names of tags that an update removes
    unprotected  whether protection is lifted, before a teardown

An expression is JMESPath (`in.vpcId`) or a `Template` (`Template("{region}/{in[name]}")`).
"""

import io
import json
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

Scope = dict[str, Any]


@dataclass(frozen=True)
class DeployTarget:
    """What replaces AWS beside the emulator.

    `endpoints`: the URL of AWS as the functions of a region reach it, by region.
    `ports`: of the databases on this machine, by region; without them, clusters are records only.
    `authority`: the certificate of the databases, which functions trust in place of Amazon's.
    `factor`: how many times faster than configured the functions run.
    `name_server`: the address of what stands in for the zone's name servers.
    """

    endpoints: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    authority: str = ""
    factor: float = 1
    name_server: str = ""


Function = Callable[..., Mapping[str, Any]]
"""Replaces an operation: takes the clients and the parameters, returns an answer. A ValueError means that it failed."""


def not_created(_clients: object, **_params: object) -> Mapping[str, Any]:
    """Create nothing, instead of an operation that the emulator lacks; `gaps` says so."""
    return {}


class Template(str):
    """A template for `str.format`, filled from the scope."""

    __slots__ = ()


@dataclass(frozen=True)
class Call:
    """One boto3 call: its operation, or a function that replaces it, and its parameters as expressions.

    A parameter's name may be a path (`BackupPlan.BackupPlanName`). A parameter whose expression is null is not sent.
    A call after the creation needs no expression for a parameter that the operation requires, if it is an input or
    the id: without one it takes the input of its name (see `coercion`), or else the id. An update also takes the
    inputs that have changed.
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
class Adoption:
    """How a resource is found of which only the inputs are known.

    import_id: by what AWS's provider imports it, if not by its id.
    lookup, ids: a call, and where in its answer the ids of those are that could be it, if no listing tells.
    """

    import_id: str = ""
    lookup: Call | None = None
    ids: str = ""


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
    read: tuple[Call, ...] = ()
    """Calls that tell what exists of it. Without any, a resource is taken to be as it was left."""
    found: str = "out"
    """Where it is in their answers; null if it does not exist."""
    held: Mapping[str, str] = field(default_factory=dict)
    """Where to find an input, if not by its name in `found`. One whose expression is empty cannot be read."""
    adoption: Adoption = Adoption()
    put: bool = False
    """Whether the calls that create it also change it."""
    update: Mapping[str, tuple[Call, ...]] = field(default_factory=dict)
    """The calls that change inputs, by their names with spaces between; made once if any of them has changed."""
    replace: frozenset[str] = frozenset()
    """Inputs that AWS cannot change, so that the provider replaces the resource."""
    unprotect: tuple[Call, ...] = ()
    """Calls before a teardown, to lift a protection that AWS would enforce."""
    delete: tuple[Call, ...] = ()

    @property
    def calls(self) -> tuple[Call, ...]:
        """All its calls."""
        updates = (call for calls in self.update.values() for call in calls)
        lookup = filter(None, (self.adoption.lookup,))
        return self.create, *self.after_create, *self.read, *lookup, *updates, *self.unprotect, *self.delete

    @cached_property
    def used_inputs(self) -> frozenset[str]:
        """The inputs that an expression uses."""
        return inputs_in(self.expressions())

    def expressions(self) -> Iterator[str]:
        """Every expression of the description."""
        yield from (self.id, self.found, self.adoption.ids, self.adoption.import_id)
        yield from (*self.outputs.values(), *self.held.values())
        for call in self.calls:
            yield from call.expressions()


@dataclass(frozen=True)
class DataFunction:
    """A data function: the operation that it calls, and its result."""

    service: str
    operation: str
    params: Mapping[str, str]
    outputs: Mapping[str, str]


def tagging(tag: str, untag: str, names: tuple[str, str] = ("Tags", "TagKeys"),
            **params: str) -> dict[str, tuple[Call, ...]]:
    """The update of tags by two operations: `names` are their parameters for the tags, and for the keys to remove."""
    tags, keys = names
    return {"tags": (Call(tag, {tags: "tags", **params}), Call(untag, {keys: "untagged", **params}, when="untagged"))}


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


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

    @functions.signature({"types": ["array"]}, {"types": ["object"]})  # type: ignore[untyped-decorator]
    def _func_pick(self, elements: list[Scope], wanted: Scope) -> Scope | None:
        return next((each for each in elements if {key: each.get(key) for key in wanted} == wanted), None)

    @functions.signature({"types": ["string"]})  # type: ignore[untyped-decorator]
    def _func_trim_dot(self, name: str) -> str:
        return name.removesuffix(".")

    @functions.signature({"types": ["string"]})  # type: ignore[untyped-decorator]
    def _func_json(self, text: str) -> Any:
        return json.loads(text)

    @functions.signature(*[{"types": ["array"]}] * 2, {"types": ["string"]})  # type: ignore[untyped-decorator]
    def _func_without(self, elements: list[Scope], others: list[Scope], key: str) -> list[Scope]:
        return [each for each in elements if each[key] not in {other[key] for other in others}]

    @functions.signature({"types": []}, {"types": ["object"]})  # type: ignore[untyped-decorator]
    def _func_zip(self, archive: object, replaced: Mapping[str, str]) -> bytes:
        if not isinstance(archive, pulumi.AssetArchive):
            raise TypeError(f"cannot package {type(archive).__name__}, only an AssetArchive")
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as package:
            for name, asset in archive.assets.items():
                entry = zipfile.ZipInfo(name)  # without the time of day, so that equal code has an equal hash
                package.writestr(entry, replaced.get(name) or contents(asset), zipfile.ZIP_DEFLATED, 1)
        return target.getvalue()


_OPTIONS = jmespath.Options(custom_functions=_Functions())


def evaluate(expression: str, scope: Mapping[str, Any]) -> Any:
    """The expression's value in the scope, or None."""
    if isinstance(expression, Template):
        return expression.format_map(scope)
    return jmespath.search(expression, scope, _OPTIONS)
