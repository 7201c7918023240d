"""Passwords."""

import pytest

from rehearsal.deploy.resources.random import SPECIAL
from tests.rehearsal.deploy.conftest import Create


@pytest.mark.parametrize(("special", "allowed"), [(False, ""), (True, SPECIAL), (None, SPECIAL)])
def test_a_password_has_its_length_and_alphabet(create: Create, special: bool | None, allowed: str) -> None:
    password = create("random:index/randomPassword:RandomPassword", length=1000, special=special).outputs()["result"]
    assert len(password) == 1000
    others = {each for each in password if not each.isalnum()}
    assert bool(others) is bool(allowed)
    assert others <= set(allowed)
