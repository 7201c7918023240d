"""The writer's login: a given secret, or a new one."""
import pulumi
import pytest

from lib.global_foundation import login
from tests.unit.lib.conftest import SECRET_ARN
from tests.unit.lib.recorder import Recording


def test_an_existing_secret_is_used_and_none_is_created(prod: Recording) -> None:
    assert prod.outputs["database_secret_arn"] == SECRET_ARN
    assert not {"Secret", "SecretVersion"} & {r.kind for r in prod.custom}
    writer = prod.one("Cluster", "-primary-")
    assert "existing-secret" in str(writer.inputs["masterPassword"])
    assert "someone" in str(writer.inputs["masterUsername"])


@pytest.mark.parametrize("text", ["no json", "[]", '{"username": "u"}', '"text"', "7"])
def test_a_secret_without_a_login_is_refused_in_one_line_that_does_not_quote_it(text: str) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        login(text, SECRET_ARN)
    assert str(caught.value) == f"databaseSecretArn = {SECRET_ARN!r}: must hold JSON with username and password"
    assert caught.value.__suppress_context__
