"""What hypothesis draws: payments, invalid bodies, and faults."""
import string
from typing import Any

from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from hypothesis import strategies as st
from pg8000.exceptions import InterfaceError

from payments.currencies import CURRENCIES
from payments.payment import MAX_AMOUNT
from tests.unit.payments.fakes import Crash, Fault, client_error, database_error

LETTERS = string.ascii_letters + string.digits
# With a character that nothing in a log line has, so that none is there by chance.
parties = st.text(LETTERS + "._:@-", max_size=63).map(lambda text: text + "@")
payments = st.fixed_dictionaries({
    "payment_id": st.text(LETTERS + "_-", min_size=1, max_size=64), "amount": st.integers(1, MAX_AMOUNT),
    "currency": st.sampled_from(sorted(CURRENCIES)), "payer": parties, "payee": parties,
}).filter(lambda payment: payment["payer"] != payment["payee"])

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | parties
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
names = st.sampled_from(["payment_id", "amount", "currency", "payer", "payee"]) | st.text()


@st.composite
def bodies(draw: st.DrawFn) -> Any:
    """Any JSON value; often a payment with some of its fields replaced."""
    if draw(st.booleans()):
        return draw(values)
    replaced = draw(st.dictionaries(names, values, max_size=3))
    return {**draw(payments), **replaced}


errors = st.sampled_from([
    Crash(), EndpointConnectionError(endpoint_url="https://store"), client_error("ThrottlingException"),
    client_error("InternalServerError", 500), client_error("AccessDeniedException"), NoCredentialsError(),
    database_error("57P01"), InterfaceError("network error"),
])
faults = st.lists(st.none() | st.builds(Fault, errors, st.booleans()), max_size=12)
