"""The doctor finds nothing wrong with the deployed stack."""
import os
from pathlib import Path

from contract import read_outputs
from recovery.doctor import examine
from recovery.stack import Stack
from recovery.terminal import connect

ROOT = Path(__file__).parents[2]


def test_the_regions_are_alike_and_every_question_is_answered() -> None:
    outputs = read_outputs(os.environ, ROOT)
    found = examine(connect(outputs), needs=None, stack=Stack.of(outputs))
    assert found.code == 0, found.document()
