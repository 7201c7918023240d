"""Converts Pulumi's inputs to the parameters of a boto3 operation, by botocore's model of the operation.

Names match regardless of case and number (`subnetIds` is `SubnetIds`, `rule` is `Rules`). A single value becomes a list
where the model has one, a mapping becomes pairs (`{"a": "b"}` is `[{"Key": "a", "Value": "b"}]`), and a scalar takes
the model's type.
"""

from collections.abc import Callable, Mapping
from typing import Any

from rehearsal.errors import CoercionError

_SCALARS: Mapping[str, Callable[[Any], Any]] = {
    "integer": int, "long": int, "boolean": lambda value: str(value).lower() == "true",
    "string": lambda value: str(value).lower() if isinstance(value, bool) else str(value)}
PAIRS = ({"key", "value"}, {"name", "value"}, {"tagkey", "tagvalue"})


def spellings(name: str) -> tuple[str, ...]:
    """The spellings of a name, in lower case: as it is, plural, singular."""
    plain = name.lower()
    return plain, f"{plain}s", f"{plain.removesuffix('y')}ies", plain.removesuffix("s")


def member(shape: Any, name: str) -> str | None:
    """The member of a structure that an input refers to, or None."""
    members = {key.lower(): key for key in shape.members}
    return next((members[spelling] for spelling in spellings(name) if spelling in members), None)


def set_path(target: dict[str, Any], path: str, value: Any) -> None:
    """Set a value at a dotted path of nested mappings, which are created as needed."""
    *above, last = path.split(".")
    for part in above:
        target = target.setdefault(part, {})
    target[last] = value


def coerce(shape: Any, value: Any, renames: Mapping[str, str], where: str = "") -> Any:
    """`value` in the form of `shape`, without its nulls. Raises CoercionError with the path of what does not fit."""
    match shape.type_name, value:
        case "structure", Mapping():
            return _structure(shape, value, renames, where)
        case "map", Mapping():
            return {key: coerce(shape.value, item, renames, f"{where}.{key}") for key, item in value.items()
                    if item is not None}
        case "list", Mapping() if pair := _pair(shape.member):
            return [{pair[0]: key, pair[1]: str(item)} for key, item in sorted(value.items())]
        case "list", _:
            items = value if isinstance(value, list) else [value]
            return [coerce(shape.member, item, renames, f"{where}[{number}]") for number, item in enumerate(items)]
        case (("structure" | "map"), _) | (_, Mapping() | list()):
            raise CoercionError(f"{where}: must be a {shape.type_name}, not a {type(value).__name__}")
    return _SCALARS.get(shape.type_name, lambda given: given)(value)


def _structure(shape: Any, value: Mapping[str, Any], renames: Mapping[str, str], where: str) -> dict[str, Any]:
    coerced: dict[str, Any] = {}
    for key, item in value.items():
        path = f"{where}.{key}".removeprefix(".")
        target = member(shape, renames.get(key, key))
        if item is None:
            continue
        if target is None:
            raise CoercionError(f"{path}: {shape.name} has no such member")
        coerced[target] = coerce(shape.members[target], item, renames, path)
    return coerced


def _pair(shape: Any) -> list[str] | None:
    """The members of a structure that consists of a key and a value, in this order; None for any other structure."""
    names = list(getattr(shape, "members", ()))
    return sorted(names, key=lambda name: "value" in name.lower()) if {n.lower() for n in names} in PAIRS else None
