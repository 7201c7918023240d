"""What recovery takes from outside."""
import re

from payments.clock import SYSTEM
from recovery.background import Background
from recovery.environment import system_environment
from recovery.http import send
from tests.unit.recovery.fakes import FakeAws, FakeClock, environment_of


def test_the_machines_own_environment() -> None:
    aws = FakeAws()
    found = system_environment(aws)
    assert (found.clients, found.http, found.clock, type(found.background)) == (aws, send, SYSTEM, Background)
    assert found.runtime is system_environment(aws).runtime


def test_an_id_is_random_and_the_runtimes() -> None:
    first, second = environment_of(FakeClock()), environment_of(FakeClock())
    assert first.new_id() == second.new_id() != first.new_id()
    assert re.fullmatch("[0-9a-f]{32}", first.new_id())
