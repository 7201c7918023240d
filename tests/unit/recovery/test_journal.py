"""The run in the journal."""
from dataclasses import replace

from recovery.journal import Run, next_heartbeat
from tests.unit.recovery.fakes import AWAY, NOW

RUN = Run(id="1", action="failover", target=AWAY, driver="first", began=NOW, why="it is dead")


def test_a_heartbeat_raises_the_count_and_makes_the_given_changes() -> None:
    assert next_heartbeat(RUN) == replace(RUN, beat=1)
    assert next_heartbeat(RUN, driver="second") == replace(RUN, beat=1, driver="second")
