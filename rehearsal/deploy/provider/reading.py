"""Compares what the emulator holds with what was given: a difference of spelling, order or type is none."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rehearsal.deploy.coercion import PAIRS, spellings


def find(structure: Any, name: str, wrapper: str = "") -> Any:
    """The value in a structure that an input refers to, by the input's name or a path; None if there is none."""
    for part in name.split("."):
        if not isinstance(structure, Mapping):
            return None
        members = {key.lower(): value for key, value in structure.items()}
        inner = members.get(wrapper.lower(), {})
        structure = next((members[each] for each in spellings(part) if each in members), None)
        if structure is None and inner:
            structure = find(inner, part)
    return structure


def as_given(given: Any, held: Any, renames: Mapping[str, str]) -> Any:
    """What is held, in the form in which it was given: `given` itself if the two mean the same."""
    match given, held:
        case Mapping(), list() if pairs := _pairs(held):
            return as_given(given, pairs, renames) if pairs.keys() == given.keys() else pairs
        case Mapping(), Mapping():
            return {key: value if (seen := find(held, renames.get(key, key))) is None
                    else as_given(value, seen, renames) for key, value in given.items()}
        case list(), _:
            return _list(given, held if isinstance(held, list) else [held], renames)
        case _, [held]:
            return as_given(given, held, renames)
    if _scalar(given) == _scalar(held):
        return given
    return json.dumps(held) if isinstance(given, str) and not isinstance(held, str) else _plain(held)


def _list(given: Sequence[Any], held: Sequence[Any], renames: Mapping[str, str]) -> list[Any]:
    """The list that is held, with the elements that were given first, in the given order."""
    others, found = list(held), []
    for each in given:
        match = next((one for one in others if as_given(each, one, renames) == each), None)
        if match is not None:
            others.remove(match)
            found.append(each)
    return [*found, *map(_plain, others)]


def _pairs(held: Sequence[Any]) -> dict[str, Any] | None:
    """A list of key and value pairs as a mapping; None for any other list."""
    if not all(isinstance(each, Mapping) and {key.lower() for key in each} in PAIRS for each in held):
        return None
    ordered = [sorted(each, key=lambda key: "value" in key.lower()) for each in held]
    return {each[key]: each[value] for each, (key, value) in zip(held, ordered, strict=True)}


def _scalar(value: Any) -> Any:
    """A form in which scalars can be compared: documents of JSON, and numbers whatever their type."""
    text = json.dumps(value, sort_keys=True) if isinstance(value, Mapping | list | bool) else str(value)
    try:
        document = json.loads(text)
    except ValueError:
        return text
    return float(document) if isinstance(document, int) and not isinstance(document, bool) else document


def _plain(held: Any) -> Any:
    """A value of the emulator with its keys spelled as Pulumi does."""
    if isinstance(held, Mapping):
        return {f"{key[:1].lower()}{key[1:]}": _plain(value) for key, value in held.items()}
    return [_plain(each) for each in held] if isinstance(held, list) else held
