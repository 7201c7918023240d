"""The tree of exceptions."""

import inspect
import re

from rehearsal import errors


def test_the_docstring_draws_the_whole_tree() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    found = [name for name, each in inspect.getmembers(errors, inspect.isclass) if each is not errors.RehearsalError]
    assert sorted(drawn) == found
    assert all(issubclass(getattr(errors, name), errors.RehearsalError) for name in found)
