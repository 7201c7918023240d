"""What is held, compared with what was given."""

import json
from typing import Any

import pytest

from rehearsal.deploy.provider.reading import as_given, find

POLICY = {"Statement": [{"Effect": "Allow"}]}


@pytest.mark.parametrize(("given", "held"), [
    (7, 7.0), (7, "7"), ("7", 7), (True, "true"), ("a", "a"), ("1e3", "1e3"),
    (json.dumps(POLICY), POLICY), (json.dumps(POLICY), json.dumps(POLICY, indent=2)),
    (["a", "b"], ["b", "a"]), ({"a": 1}, {"A": 1, "Other": 2}), ([{"name": "n"}], [{"Name": "n", "More": 1}]),
    ({"a": "b"}, [{"Key": "a", "Value": "b"}]), ("a", ["a"]), (["a"], "a"), ({"days": 7}, [{"Days": 7}]),
    ({"kept": 1}, {"Other": 2}),
])
def test_spelling_order_and_type_are_no_difference(given: Any, held: Any) -> None:
    assert as_given(given, held, {}) == given


@pytest.mark.parametrize(("given", "held", "shown"), [
    (7, 8, 8), (True, False, False), (["a"], ["a", "b"], ["a", "b"]), (["a", "b"], ["b"], ["b"]),
    ([{"days": 7}], [{"Days": 8}], [{"days": 8}]), ({"days": 7}, {"Days": 8}, {"days": 8}),
    ({"a": "b"}, [{"Key": "a", "Value": "c"}], {"a": "c"}),
    ({"a": "b"}, [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}], {"a": "b", "c": "d"}),
    (json.dumps(POLICY), {"Statement": []}, '{"Statement": []}'),
])
def test_a_difference_is_shown_in_the_form_in_which_it_was_given(given: Any, held: Any, shown: Any) -> None:
    assert as_given(given, held, {}) == shown


def test_a_renamed_input_is_found_where_its_parameter_is() -> None:
    assert as_given({"fqdn": "a"}, {"FullyQualifiedDomainName": "b"}, {"fqdn": "FullyQualifiedDomainName"}) == {
        "fqdn": "b"}
    held = {"Attributes": {"KmsMasterKeyId": "k"}, "Rules": [1], "Config": {"Days": 7}}
    assert find(held, "Attributes.KmsMasterKeyId") == "k"
    assert (find(held, "rule"), find(held, "days", "Config"), find(held, "nothing"), find(held, "rule.x")) == (
        [1], 7, None, None)
