"""The documented command gives the database a new master password, whichever cluster is the writer."""
import json
import os
from pathlib import Path

import pytest
from pg8000.exceptions import DatabaseError

from contract import DATABASE_NAME
from payments.deadline import Timing
from payments.ledger import DatabaseAddress, Login, open_connection
from recovery.plan import Action
from rehearsal.aws.clients import EmulatorClients
from rehearsal.workload.move_writer import move_writer
from tests.integration.stack import EMULATED, Outputs, Region
from tools import migrate, rotate

pytestmark = pytest.mark.skipif(not EMULATED, reason="it moves the writer twice")


def login_of(outputs: Outputs) -> Login:
    """The master login that the secret has now."""
    found = Region("primary", outputs).client("secretsmanager").get_secret_value(
        SecretId=outputs["database_secret_arn"])
    login = json.loads(found["SecretString"])
    return Login(login["username"], login["password"])


def log_in(region: Region, login: Login) -> None:
    """Open a session at the region's cluster, and end it."""
    address = DatabaseAddress(host=region["cluster_endpoint"], port=int(region["cluster_port"]), name=DATABASE_NAME)
    open_connection(address, Timing(), lambda: login, Path(os.environ["PGSSLROOTCERT"])).close()


@pytest.mark.parametrize("role", ["dr", "primary"])
def test_the_master_password_is_rotated_under_either_writer(outputs: Outputs, role: str) -> None:
    region, before = Region(role, outputs), login_of(outputs)
    move_writer(Action.SWITCHOVER, region.name, outputs, EmulatorClients(os.environ["AWS_ENDPOINT_URL"], 1))
    log_in(region, before)
    assert rotate.main(outputs["stack_name"]) == 0
    after = login_of(outputs)
    assert after.user == before.user
    log_in(region, after)
    with pytest.raises(DatabaseError, match="authentication failed"):
        log_in(region, before)
    assert migrate.main(outputs["stack_name"]) == 0
