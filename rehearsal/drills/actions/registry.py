"""The registry of actions: what a scenario may do, by verb.

An action is a function. Its parameters are the keys that it has in a scenario's file: the first one's key is the verb,
and the others' keys are their names, less a `_` at the end. So `{ cut = "active", inside = true }` calls this:

    @action("cut", "fault")
    def cut(run: ScenarioContext, role: Role, *, inside: bool = False) -> None: ...

A pydantic model, made of the parameters and their types, checks what a file gives. A function returns what it
measured, if anything, and raises CheckFailed if it does not succeed.
"""

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import Annotated, Any, ClassVar, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from recovery.report.model import Lane
from rehearsal.drills.context import ScenarioContext

Seconds = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Work = TypeVar("Work", bound=Callable[..., str | None])


class ScenarioModel(BaseModel):
    """A part of a scenario's file: unknown keys are refused, and no value is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ScenarioAction(ScenarioModel):
    """One thing that a scenario does. Each verb has a model of its own, whose fields are the verb's arguments.

    lane: that of a timeline which shows it. work: the function that it calls.
    """

    verb: ClassVar[str]
    lane: ClassVar[Lane]
    work: ClassVar[Callable[..., str | None]]

    def perform(self, run: ScenarioContext) -> str:
        """Carry it out; gives what was measured, empty if nothing was. Raises CheckFailed if it does not succeed."""
        return self.work(run, **dict(self)) or ""

    def __str__(self) -> str:
        """The action for people: the verb, its object, and the other keys that the file gives."""
        given = self.model_dump(by_alias=True, exclude_unset=True)
        words = [self.verb.replace("_", " "), given.pop(self.verb)]
        return " ".join(map(str, [*words, *(f"{key} {each}" for key, each in given.items())]))


ACTIONS: dict[str, type[ScenarioAction]] = {}


def action(verb: str, lane: Lane = "plan") -> Callable[[Work], Work]:
    """Register a function as the action of a verb."""
    def register(work: Work) -> Work:
        if verb in ACTIONS:
            raise ValueError(f"{verb}: is the verb of {ACTIONS[verb].work.__name__}")
        hints, fields = get_type_hints(work, include_extras=True), dict[str, Any]()
        for number, (name, parameter) in enumerate([*signature(work).parameters.items()][1:]):
            default = ... if parameter.default is Parameter.empty else parameter.default
            fields[name] = hints[name], Field(default, alias=name.rstrip("_") if number else verb)
        model = ACTIONS[verb] = create_model(work.__name__, __base__=ScenarioAction, **fields)
        model.verb, model.lane, model.work = verb, lane, staticmethod(work)
        return work

    return register


def parse(given: object) -> ScenarioAction:
    """The action that a file gives, or the given one. Raises ValueError, whose text continues the action's place."""
    if isinstance(given, ScenarioAction):
        return given
    verb = next((key for key in given if key in ACTIONS), None) if isinstance(given, Mapping) else None
    if verb is None:
        raise ValueError(f" = {given!r}: must be a table with one of {', '.join(sorted(ACTIONS))}")
    try:
        return ACTIONS[verb].model_validate(given)
    except ValidationError as error:
        raise ValueError(f".{explain(error)}") from None


def explain(error: ValidationError) -> str:
    """The first thing that is wrong, in one line: the key, its value, and what it must be."""
    first, where = error.errors()[0], ""
    for key in first["loc"]:
        where += f"[{key + 1}]" if isinstance(key, int) else f".{key}" if where else key
    match first["type"]:
        case "missing":
            return f"{where}: is missing"
        case "value_error":
            return f"{where}{first['ctx']['error']}"
        case "extra_forbidden":
            return f"{where} = {first['input']!r}: is not a key that belongs there"
        case _:
            return f"{where} = {first['input']!r}: {first['msg'].replace('Input should', 'must')}"
