"""The API's document is what the code does."""
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

import payments
from contract import HEALTH_PATH, LEVER_PATH, READINESS, RESPONSE_HEADERS
from lib.region.api import ROUTES
from payments.currencies import CURRENCIES
from payments.payment import MAX_AMOUNT, MAX_BODY_BYTES, PARTY, PAYMENT_ID
from tests.unit.payments.fakes import PAYMENT, Fault, Region, client_error, event

DOCUMENT: dict[str, Any] = json.loads((Path(payments.__path__[0]) / "openapi.json").read_text(encoding="utf-8"))
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = {(method.upper(), path): operation for path, item in DOCUMENT["paths"].items()
              for method, operation in item.items()}
DENIED = Fault(client_error("AccessDeniedException"))
FOUND = event("GET", "/payment/{payment_id}", pathParameters={"payment_id": "pay-1"})


def resolved(found: dict[str, Any]) -> dict[str, Any]:
    """What a reference leads to."""
    target: dict[str, Any] = DOCUMENT
    for part in found["$ref"].split("/")[1:] if "$ref" in found else ():
        target = target[part]
    return target if "$ref" in found else found


def response(method: str, path: str, status: int | str) -> dict[str, Any]:
    """What the document says of an answer."""
    return resolved(OPERATIONS[method, path]["responses"][str(status)])


def conforms(value: object, schema: dict[str, Any]) -> bool:
    """Whether the value is what the schema describes."""
    openapi = json.dumps({**schema, "components": DOCUMENT["components"]})
    # In OpenAPI 3.0 a value that may be null is marked with `nullable`.
    openapi = openapi.replace('"type": "string", "nullable": true', '"type": ["string", "null"]')
    return jsonschema_rs.Draft4Validator(json.loads(openapi), validate_formats=True).is_valid(value)


def media(found: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a request or an answer."""
    assert found["content"].keys() == {"application/json"}
    content: dict[str, Any] = found["content"]["application/json"]
    return content


def test_the_document_has_the_routes_of_the_function() -> None:
    assert DOCUMENT["security"] == [{"ApiKey": []}]
    assert DOCUMENT["components"]["securitySchemes"]["ApiKey"].items() >= {"in": "header", "name": "x-api-key"}.items()
    assert {(route.method, route.path) for route in ROUTES} == OPERATIONS.keys()


def test_every_route_needs_a_key_and_may_answer_403() -> None:
    for route, operation in OPERATIONS.items():
        assert "security" not in operation, route
        assert {"403", "429", "503", "5XX"} <= operation["responses"].keys(), route


def test_the_document_has_the_bounds_of_the_code() -> None:
    assert SCHEMAS["PaymentId"]["pattern"] == f"^{PAYMENT_ID.pattern}$"
    assert SCHEMAS["Party"]["pattern"] == f"^{PARTY.pattern}$"
    assert (SCHEMAS["Amount"]["minimum"], SCHEMAS["Amount"]["maximum"]) == (1, MAX_AMOUNT)
    assert SCHEMAS["Currency"]["enum"] == sorted(CURRENCIES)
    assert f"at most {MAX_BODY_BYTES} bytes" in OPERATIONS["POST", "/payment"]["description"]
    requested, answered = SCHEMAS["PaymentRequest"], SCHEMAS["Payment"]
    assert requested["properties"].keys() == PAYMENT.keys() == set(requested["required"]) | {"payment_id"}
    assert {name: answered["properties"][name] for name in PAYMENT} == requested["properties"]
    assert set(answered["required"]) == answered["properties"].keys()


def examples() -> Iterator[tuple[str, object, dict[str, Any]]]:
    """Every example of the document, and its schema."""
    for (method, path), operation in OPERATIONS.items():
        parts = {"request": operation["requestBody"]} if "requestBody" in operation else {}
        for name, part in {**parts, **operation["responses"]}.items():
            content = media(resolved(part))
            given = {"": {"value": content["example"]}} if "example" in content else content["examples"]
            for label, example in given.items():
                yield f"{method} {path} {name} {label}".rstrip(), example["value"], content["schema"]


@pytest.mark.parametrize(("value", "schema"), [pytest.param(*example[1:], id=example[0]) for example in examples()])
def test_every_example_fits_its_schema(value: object, schema: dict[str, Any]) -> None:
    assert conforms(value, schema)


def payable(**changes: object) -> dict[str, Any]:
    """A request to pay."""
    return event("POST", "/payment", body=json.dumps({**PAYMENT, **changes}))


def prepared(name: str) -> Region:
    """A region in a certain state."""
    region = Region()
    if name == "standby region":
        return Region("us-west-2", elsewhere=region)
    if name == "fenced":
        region.postgres.epoch = 99
    if name == "paid":
        region.pay(PAYMENT)
    if name == "pending":
        region.network.faults = [None, DENIED]
        region.pay(PAYMENT)
    if name == "denied":
        region.network.faults = [DENIED] * 9
    return region


@pytest.mark.parametrize(("state", "requested", "status"), [
    ("new", payable(), 201), ("paid", payable(), 201), ("paid", payable(amount=1), 409),
    ("new", payable(amount=0), 400), ("new", payable(**{"no such field": 1}), 400),
    ("new", event("POST", "/payment", body="{"), 400),
    ("denied", payable(), 503), ("standby region", payable(), 503), ("fenced", payable(), 503),
    ("new", FOUND, 404), ("paid", FOUND, 200), ("pending", FOUND, 200),
    ("denied", FOUND, 503), ("new", event("GET", "/payment/{payment_id}"), 503),
])
def test_what_the_function_answers_is_in_the_document(state: str, requested: dict[str, Any], status: int) -> None:
    found, body, headers = prepared(state).request(requested)
    assert found == status, body
    described = response(requested["httpMethod"], requested["resource"], status)
    assert conforms(body, media(described)["schema"]), body
    assert headers["Content-Type"] == "application/json"
    assert described["headers"].keys() == headers.keys() - {"Content-Type", *RESPONSE_HEADERS}
    if "Retry-After" in described["headers"]:
        assert int(headers["Retry-After"]) > 0


def test_a_schema_refuses_what_it_does_not_describe() -> None:
    assert not conforms({"error": "x"}, SCHEMAS["Payment"])
    assert not conforms({"error": "x"}, {"$ref": "#/components/schemas/Payment"})
    assert not conforms({"error": "x", "more": 1}, SCHEMAS["Error"])
    assert not conforms({**PAYMENT, "currency": "EURO"}, SCHEMAS["PaymentRequest"])


def test_the_document_does_not_know_what_clients_may_not_ask() -> None:
    assert not {READINESS, HEALTH_PATH, LEVER_PATH} & {path for _, path in OPERATIONS}
    assert Region().request(event("POST", READINESS))[0] == 200
