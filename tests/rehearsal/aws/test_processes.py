"""Processes and the signals that end them."""

import signal
import subprocess
import sys

import pytest

from rehearsal.aws import processes
from rehearsal.aws.processes import end, undisturbed


@pytest.mark.parametrize("number", processes.STOP_SIGNALS)
def test_a_stop_signal_waits_for_the_end_of_the_block(number: signal.Signals) -> None:
    before, reached = signal.getsignal(number), []

    def interrupted() -> None:
        with undisturbed():
            signal.raise_signal(number)
            reached.append("the end")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (reached, signal.getsignal(number)) == (["the end"], before)


def test_every_stop_signal_is_an_interrupt() -> None:
    before = {number: signal.getsignal(number) for number in processes.STOP_SIGNALS}
    try:
        processes.raise_interrupts()
        for number in processes.STOP_SIGNALS:
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_process_that_ignores_the_request_is_killed() -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout
        process.stdout.readline()
        end(process, timeout=0.01)
    assert process.returncode == -signal.SIGKILL
    end(process)
