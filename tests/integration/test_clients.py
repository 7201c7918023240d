"""The clients of the stack: each has keys of its own, the same in both regions, and finds its own payments only."""
from collections import defaultdict
from functools import partial
from itertools import product
from typing import Any

import pytest

from tests.integration.stack import ITEM_ARRIVES, Answer, Region, Secret, eventually, payment

Keys = dict[str, list[Secret]]


def keys_in(region: Region) -> Keys:
    """The keys of each client in a region, the newer one last."""
    found = defaultdict[str, list[Secret]](list)
    for label, key in region["client_api_key_ids"].items():
        read = region.client("apigateway").get_api_key(apiKey=key, includeValue=True)
        found[label.rpartition("-")[0]].append(Secret(read["value"]))
    return found


@pytest.fixture(scope="module")
def keys(region: Region) -> Keys:
    """The keys of each client."""
    return keys_in(region)


@pytest.fixture(scope="module")
def paid(writer: Region, keys: Keys) -> dict[str, Answer]:
    """What each client's payment was answered: all have the same id, and amounts of their own."""
    asked = payment()
    return {client: writer.call("POST", "/payment", {**asked, "amount": amount}, keys[client][0])
            for amount, client in enumerate(keys, start=1)}


def test_clients_may_use_the_same_id(paid: dict[str, Answer]) -> None:
    assert {client: (answer.status, answer.body["amount"]) for client, answer in paid.items()} == {
        client: (201, amount) for amount, client in enumerate(paid, start=1)}
    assert len({answer.body["payment_id"] for answer in paid.values()}) == 1


def test_every_key_of_a_client_finds_what_it_has_paid_in_both_regions(
        writer: Region, standby: Region, keys: Keys, paid: dict[str, Answer]) -> None:
    def finds(region: Region, key: Secret, body: Any) -> bool:
        return region.call("GET", f"/payment/{body['payment_id']}", key=key) == Answer(200, body)

    for client, answer in paid.items():
        for region, key in product((writer, standby), keys[client]):
            eventually(partial(finds, region, key, answer.body), f"{client} finds it in {region.name}", ITEM_ARRIVES)


def test_another_clients_payment_is_like_one_that_does_not_exist(writer: Region, keys: Keys) -> None:
    unknown = writer.call("GET", f"/payment/{payment()['payment_id']}", key=keys["default"][0])
    assert unknown.status == 404
    for owner in keys:
        asked = payment()
        assert writer.call("POST", "/payment", asked, keys[owner][0]).status == 201
        for client, (*_, key) in keys.items():
            for payment_id in (asked["payment_id"], f"{owner}.{asked['payment_id']}"):
                own = (client, payment_id) == (owner, asked["payment_id"])
                answer = writer.call("GET", f"/payment/{payment_id}", key=key)
                assert (answer.status == 200) if own else (answer == unknown), (owner, client)
