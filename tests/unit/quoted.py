"""Whether a command that a text quotes is one that its program takes: its own parser decides."""
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.exceptions import TyperException

import recovery.cli
import rehearsal.cli
from rehearsal.sandbox import VERBS
from simulator.__main__ import main as simulator
from tools.cost import main as cost

SHELL = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
VARIABLE = re.compile(r"([A-Z_]+)=(.*)", re.DOTALL)
MAKEFILE = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")
PLACEHOLDERS = {"COMMAND": "status", "ACTION": "failover", "N": "1"}
"""What a page writes for a word that only some words may replace."""
OTHERS = frozenset({"--help", "--plaintext", "--exclude"})
"""Options of every program, or of other programs, that are named without the program."""


def command_of(main: Any) -> Any:
    """A program of one command, or of several, as typer parses it."""
    app = main
    if not isinstance(main, typer.Typer):
        app = typer.Typer(add_completion=False)
        app.command()(main)
    return typer.main.get_command(app)


RECOVERY, REHEARSAL, COST = (command_of(each) for each in (recovery.cli.app, rehearsal.cli.app, cost))
MODULES = {"recovery": RECOVERY, "rehearsal": REHEARSAL, "simulator": command_of(simulator), "tools.cost": COST}
BY_TARGET = {"rehearse": REHEARSAL, "drill": REHEARSAL, "cost": COST, "doctor": RECOVERY.commands["doctor"]}
"""What a target passes ARGS to."""
OPTIONS = {option for program in MODULES.values()
           for command in (program, *getattr(program, "commands", {}).values())
           for each in command.params for option in each.opts}


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The code of a text, piece by piece, and whether it is a whole command, to be typed as it is."""
    for block in SHELL.findall(text):
        yield from ((line, True) for line in block.replace("\\\n", "").splitlines())
    yield from ((span, False) for span in INLINE.findall(text))


def wrong(piece: str, whole: bool) -> str:
    """Why a piece of code would be refused by the program of ours that it calls; empty if it calls none."""
    try:
        words = shlex.split(piece, comments=True)
    except ValueError:  # a quote in prose
        return ""
    if piece.startswith('"--'):  # in the table of what ARGS of a rehearsal may be
        return refusal(REHEARSAL, shlex.split(words[0]), whole=False)
    while words and VARIABLE.fullmatch(words[0]):
        del words[0]
    return judged([words[0].rpartition("/")[2], *words[1:]], whole) if words else ""


def judged(words: list[str], whole: bool) -> str:
    """The same of the words of a command."""
    if words[:1] == ["tapstack"]:
        words = ["python", "-m", "recovery", *words[1:]]
    match words:
        case ["python" | "python3", "-m", "rehearsal", "sandbox", verb, *_]:
            return "" if verb in VERBS else f"{verb}: no such command"
        case ["python" | "python3", "-m", module, *arguments] if module in MODULES:
            return refusal(MODULES[module], arguments, whole=whole)
        case ["make", *arguments]:
            return misused(arguments)
        case [command, _, *_] if command in RECOVERY.commands and not whole:
            return refusal(RECOVERY, words, whole=False)
        case [option] if re.fullmatch("--[a-z-]+", option) and option not in OPTIONS | OTHERS:
            return f"{option}: no program has it"
    return ""


GROUP = {option for each in RECOVERY.params if not each.is_flag for option in each.opts}
"""The options of recovery that come before its command, each with a value."""


def refusal(program: Any, words: list[str], *, whole: bool) -> str:
    """Why a program would refuse these words, by its own parser; what is not whole may lack something."""
    words = [PLACEHOLDERS.get(word, word) for word in words]
    if "commands" in vars(program) and words:
        while len(words) > 2 and words[0] in GROUP:
            del words[:2]
        if words[0] not in program.commands:
            return f"{words[0]}: no such command"
        program, words = program.commands[words[0]], words[1:]
    try:
        program.make_context("", words)
    except TyperException as error:
        return "" if not whole and "Missing" in error.format_message() else error.format_message()
    return ""


def misused(words: list[str]) -> str:
    """Why the Makefile does not take these words: a variable that it does not read, or arguments of its command."""
    named = [word for word in words if not VARIABLE.fullmatch(word)]
    for variable, value in (found.groups() for found in map(VARIABLE.fullmatch, words) if found):
        if not re.search(rf"\$[({{$]{variable}\b", MAKEFILE):
            return f"{variable}: the Makefile does not read it"
        for target in named if variable == "ARGS" else ():
            if target in BY_TARGET and (found := refusal(BY_TARGET[target], shlex.split(value), whole=True)):
                return found
    return ""
