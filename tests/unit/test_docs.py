"""What the documentation names exists, commands with their options too, and the README stays short."""
import ast
import re
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.show import LINES, ROWS
from tests.unit.quoted import INLINE, MAKEFILE, pieces, wrong

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
TARGET = re.compile(r"(?:^|`)make ((?:[a-z-]+ ?)+)", re.MULTILINE)
CODE_PATH = re.compile(r"`((?:lib|payments|recovery|rehearsal|tests|tools|docs|\.github)/[\w./-]+)`")
FENCE = re.compile(r"^```(?:text|mermaid).*?^```", re.DOTALL | re.MULTILINE)
"""Output of commands and drawings, which are not instructions."""
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def prose(page: Path) -> str:
    """A page without the outputs that it shows."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def links(text: str) -> list[str]:
    """The links of a text to other files, without the part after #."""
    found = (link.partition("#")[0] for link in LINK.findall(text))
    return [link for link in found if link and "://" not in link]


def targets(text: str) -> set[str]:
    """The targets that a text says to make, at the beginning of a line or of a piece of code."""
    return {target for found in TARGET.findall(text) for target in found.split()}


def test_the_readme_has_at_most_150_lines() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@each_page
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    assert [link for link in links(prose(page)) if not (page.parent / link).exists()] == []


@each_page
def test_every_target_that_is_named_exists(page: Path) -> None:
    assert targets(prose(page)) - set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)) == set()


@each_page
def test_every_command_that_is_quoted_is_one_that_its_program_takes(page: Path) -> None:
    found = {piece: wrong(piece, whole) for piece, whole in pieces(prose(page))}
    assert {piece: why for piece, why in found.items() if why} == {}


@cache
def said() -> set[str]:
    """Every text in recovery and payments; of a text with values in it, each part between two of them."""
    return {node.value for package in ("payments", "recovery") for path in (ROOT / package).rglob("*.py")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_what_the_runbook_quotes_in_its_tables_is_what_recovery_says() -> None:
    rows = re.findall(r"^\|([^|]*`[^|]*)\|(?!.*\n\|---)", prose(ROOT / "docs" / "runbook.md"), re.MULTILINE)
    quoted = {part.strip() for row in rows for span in INLINE.findall(row)
              for part in re.split(r"\.\.\.|\d+ |us-west-2", span) if part.strip()}
    texts = said()
    assert len(quoted) > 10
    assert [part for part in quoted if not any(part in text for text in texts)] == []


def test_what_the_runbook_reads_in_a_status_is_shown_there() -> None:
    know = prose(ROOT / "docs" / "runbook.md").partition("## 1. Know")[2].partition("\n## ")[0]
    listed = [span for line in re.findall(r"^[0-9]\..*(?:\n   .*)*", know, re.MULTILINE)
              for span in INLINE.findall(line)]
    texts = {*ROWS.values(), *LINES.values(), *said()}
    assert len(listed) > 5
    assert [span for span in listed if not any(span in text for text in texts)] == []


@pytest.mark.parametrize(("piece", "why"), [
    ("python -m recovery failover --to us-west-2", ""), ("tapstack/bin/tapstack status  # now", ""),
    ("TAPSTACK_OUTPUTS=x python -m recovery statu", "statu: no such command"),
    ("python -m recovery failover", "Missing option"), ("tapstack plan fail-over", "Invalid value"),
    ("tapstack status --follow", "No such option"), ("tapstack status now", "unexpected extra argument"),
    ("make rehearse ARGS='--kep'", "No such option"), ("make cost LOAD=3", "LOAD: the Makefile does not read it"),
    ("make simulate SEEDS=1000", ""), ("pulumi up --anything", ""),
])
def test_a_command_that_would_be_refused_is_found(piece: str, why: str) -> None:
    ((found, whole),) = pieces(f"```sh\n{piece}\n```\n")
    assert (why in wrong(found, whole)) if why else not wrong(found, whole)


@pytest.mark.parametrize(("piece", "why"), [
    ("failover --to REGION", ""), ("drill ACTION", ""), ("status", ""), ("failover --region", "No such option"),
    ("--accept-loss", "no program has it"), ("--accept-data-loss", ""), ('"--keeep"', "No such option"),
])
def test_a_piece_of_a_command_is_checked_too(piece: str, why: str) -> None:
    ((found, whole),) = pieces(f"see `{piece}`.")
    assert (why in wrong(found, whole)) if why else not wrong(found, whole)


@each_page
def test_every_path_in_code_exists(page: Path) -> None:
    named = [path for path in CODE_PATH.findall(prose(page)) if "NAME" not in path]
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_page_is_reached_from_the_readme() -> None:
    linked = {(ROOT / link).resolve() for link in links(prose(ROOT / "README.md"))}
    assert [page for page in PAGES if page.name != "README.md" and page.resolve() not in linked] == []


@given(st.sampled_from(["settings", "rehearse", "no-such-target"]))
def test_a_target_is_found_in_a_line_and_in_code(target: str) -> None:
    assert targets(f"make {target}   # comment\nsee `make {target} ARGS=x`, and make sure") == {target}


def test_the_tutorial_goes_from_a_stack_to_its_failback() -> None:
    commands = [line for line, whole in pieces((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")) if whole]
    verbs = {"status", "watch", "cut", "failover", "report", "heal", "failback"}
    assert [next((word for word in line.split() if word in verbs), line) for line in commands] == [
        'make sandbox ARGS="--config failoverMode=manual"', "status", "watch", "cut", "status", "failover", "status",
        "report", "heal", "failback", "status"]


def test_a_broken_link_is_found() -> None:
    assert links("[a](b.md#c) ![d](e.svg) [f](https://g) [h](#i)") == ["b.md", "e.svg"]
