"""Requests generated from the API's own document, which must describe every answer.

A positive case conforms to the document, a negative one breaks it somewhere. Every run has the same cases.
"""
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi import checks

from payments.payment import PAYMENT_ID
from tests.integration.stack import EMULATED, REQUEST_TIMEOUT, Region, Secret

DOCUMENT = Path(__file__).parents[2] / "payments" / "openapi.json"
CASES = 20
CHECKS = [checks.status_code_conformance, checks.content_type_conformance, checks.response_headers_conformance,
          checks.response_schema_conformance]
ID_HEADER, NOT_THE_WRITER = "Idempotency-Key", "not the writer"
POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE


def operations() -> list[APIOperation[Any, Any, Any, Any]]:
    """The operations of the document, without API keys: the tests send one or none."""
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    schema = schemathesis.openapi.from_dict({**document, "security": []})
    return [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]


OPERATIONS = {operation.label: operation for operation in operations()}
PAY = "POST /payment"
NEEDS_KEY = [*OPERATIONS]


def send(region: Region, key: Secret | None, case: schemathesis.Case[Any]) -> int:
    """Send a case, compare the answer with the document, and return the status."""
    response = case.call(region["api_endpoint"], headers={"x-api-key": key.value} if key else None,
                         timeout=REQUEST_TIMEOUT)
    if response.status_code >= 500:  # allowed only in the region that does not take payments
        assert (response.status_code, response.json().get("error")) == (503, NOT_THE_WRITER), response.text
    case.validate_response(response, checks=CHECKS)
    return response.status_code


def send_all(region: Region, key: Secret | None, label: str, mode: GenerationMode) -> Counter[int]:
    """Send cases of an operation, and count the statuses."""
    statuses: Counter[int] = Counter()

    @settings(max_examples=CASES, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(OPERATIONS[label].as_strategy(mode))
    def each(case: schemathesis.Case[Any]) -> None:
        if isinstance(case.body, dict) and "payment_id" in case.body and PAYMENT_ID.fullmatch(
                case.headers.get(ID_HEADER, "")):
            del case.headers[ID_HEADER]  # two different ids would hide every other fault
        statuses[send(region, key, case)] += 1

    each()  # pylint: disable=no-value-for-parameter
    return statuses


@pytest.mark.parametrize("label", [
    pytest.param(label, marks=pytest.mark.skipif(
        label == PAY and not EMULATED, reason="would pay with ids that a client may use later"))
    for label in OPERATIONS])
def test_what_conforms_to_the_document_is_answered_as_it_says(region: Region, api_key: Secret, label: str) -> None:
    statuses = send_all(region, api_key, label, POSITIVE)
    assert statuses
    assert not statuses.keys() & {403, 413, 429}


@pytest.mark.parametrize(("label", "refused"), [(PAY, {400}), ("GET /payment/{payment_id}", {404})])
def test_what_breaks_the_document_is_refused_or_ignored(
        region: Region, api_key: Secret, label: str, refused: set[int]) -> None:
    assert send_all(region, api_key, label, NEGATIVE).keys() == refused


def test_every_single_fault_of_a_payment_is_refused(region: Region, api_key: Secret) -> None:
    schema = OPERATIONS[PAY].schema
    cases = [case for case in schema.iter_coverage_cases(OPERATIONS[PAY], generation_modes=[NEGATIVE],
                                                         generation_config=schema.config.generation)
             if case.meta and getattr(case.meta.phase.data, "parameter_location", None) is ParameterLocation.BODY]
    faults: Counter[int] = Counter()
    for case in cases:
        case.headers.pop(ID_HEADER, None)  # it is invalid as well, and would be refused first
        faults[send(region, api_key, case)] += 1
    assert len(cases) > 40
    assert faults.keys() == {400}


@pytest.mark.parametrize("label", NEEDS_KEY)
@pytest.mark.parametrize("mode", [POSITIVE, NEGATIVE], ids=lambda mode: str(mode.value))
def test_every_request_without_a_key_is_refused(region: Region, label: str, mode: GenerationMode) -> None:
    assert send_all(region, None, label, mode).keys() == {403}
