"""The documentation lists the checks with their questions."""
from pathlib import Path

from recovery.doctor.before import BEFORE
from recovery.doctor.check import Situation
from recovery.doctor.deployed import DEPLOYED

PAGE = Path(__file__).parents[4] / "docs" / "doctor.md"
YES = {True: "yes ", False: ""}
UNLESS: dict[Situation | None, str] = {None: "", **{each: f"{each} " for each in Situation}}


def test_every_check_has_its_row_and_there_are_no_others() -> None:
    before, _, deployed = PAGE.read_text(encoding="utf-8").partition("## On a deployed stack")
    for page, checks in ((before, BEFORE), (deployed.partition("## Permissions")[0], DEPLOYED)):
        rows = [line for line in page.splitlines() if line.startswith("| ") and "?" in line]
        assert rows == [f"| {each.name} | {each.question} | {YES[each.each_region]}| {UNLESS[each.unless]}|"
                        for each in checks]
