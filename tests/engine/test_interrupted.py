"""`up` killed at ten moments: what was made and not written down is adopted, and the next `up` ends as any other."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from rehearsal.aws.clients import CREDENTIALS
from rehearsal.aws.faults import ApiCall
from rehearsal.deploy.adopt import adopt
from rehearsal.deploy.pulumi_engine import YES
from rehearsal.polling import wait_until
from tests.engine.conftest import World, deployable

MOMENTS = (30, 60, 90, 110, 130, 150, 170, 210, 260, 310)  # calls of the emulator
PATIENCE = 300.0  # seconds until so many calls were made


@pytest.fixture(scope="module")
def undisturbed() -> Iterator[tuple[Counter[str], Counter[str]]]:
    """What the state has and the emulator holds after an `up` that nothing disturbed."""
    with deployable() as world:
        world.pulumi("up", *YES)
        yield world.state(), world.holds()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the emulator."""
    for key, value in CREDENTIALS.items():
        monkeypatch.setenv(key.upper(), value)


def kill_up(world: World, called: Callable[[list[ApiCall]], bool]) -> None:
    """Begin an `up`, and kill it with all its processes once these calls were made."""
    process = world.pulumi.start("up", *YES)
    wait_until(lambda: called(world.proxies.calls) or process.poll() is not None, "calls", PATIENCE, pause=0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    world.pulumi.serve()  # once what was begun is done


def finish(world: World) -> None:
    """Adopt what was made, and do the rest."""
    world.pulumi("cancel", "--yes")
    adopt("local", yes=True, pulumi=world.run)
    assert not world.pulumi.state().get("pending_operations")
    world.pulumi("up", *YES)
    assert world.pulumi.preview() == []


@pytest.mark.parametrize("calls", MOMENTS)
def test_what_an_interrupted_up_has_made_is_adopted(
        world: World, undisturbed: tuple[Counter[str], Counter[str]], calls: int) -> None:
    kill_up(world, lambda made: len(made) >= calls)
    finish(world)
    assert (world.state(), world.holds()) == undisturbed


def test_what_an_interrupted_replacement_has_made_is_adopted(world: World) -> None:
    world.pulumi.configure({"TapStack:alarmEmail": "night@example.com"})
    world.pulumi("up", *YES)
    made = world.state(), world.holds()
    world.proxies.calls.clear()
    world.pulumi.configure({"TapStack:alarmEmail": "day@example.com"})
    kill_up(world, lambda made: any(each.operation == "Subscribe" for each in made))
    finish(world)
    assert (world.state(), world.holds()) == made
