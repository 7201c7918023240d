"""What a stack needs comes as JSON from a tool that knows its settings."""
import io
import json
from dataclasses import asdict

import pytest

from recovery.doctor.needs import Needs
from recovery.errors import StackError
from tests.unit.recovery.doctor.fakes import needs
from tests.unit.recovery.fakes import AWAY, HOME


def test_they_are_read_as_they_were_written() -> None:
    assert Needs.read(io.StringIO(json.dumps(asdict(needs())))) == needs()


@pytest.mark.parametrize("text", [
    "", "[]", "{}", '{"regions": [{}]}', '{"regions": 1}', "null", '{"regions": [{}, {}]}'])
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(StackError, match=r"^the needs are not those that `python -m tools.needs` prints: .*$"):
        Needs.read(io.StringIO(text))


def test_each_region_has_its_own() -> None:
    assert [needs().of_region(region).region for region in (HOME, AWAY)] == [HOME, AWAY]
