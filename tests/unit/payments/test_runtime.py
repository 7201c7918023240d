"""Calls on threads: what the caller waits for, and what it leaves behind."""
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from payments.runtime import MAX_CALLS, ThreadCaller, system_runtime

PATIENCE = 30  # seconds, reached only if a test fails


@pytest.fixture
def caller() -> ThreadCaller:
    """One with threads of its own."""
    return ThreadCaller()


def test_a_call_runs_on_another_thread_and_returns_what_the_function_returns(caller: ThreadCaller) -> None:
    assert caller.call(threading.get_ident, PATIENCE) != threading.get_ident()


def test_a_call_raises_what_the_function_raises(caller: ThreadCaller) -> None:
    def work() -> None:
        raise PermissionError

    with pytest.raises(PermissionError):
        caller.call(work, PATIENCE)


def test_a_call_that_does_not_return_in_time_is_given_up_and_ends_by_itself(caller: ThreadCaller) -> None:
    begun, release, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        release.wait(PATIENCE)
        ended.set()

    while not begun.is_set():  # a call that no thread began in time was never made
        with pytest.raises(TimeoutError):
            caller.call(work, 0.01)
    release.set()
    assert ended.wait(PATIENCE)


def test_a_call_that_no_thread_begins_in_time_is_never_made(caller: ThreadCaller) -> None:
    release, begun, calls = threading.Event(), threading.Event(), list[str]()
    full = threading.Barrier(MAX_CALLS, begun.set)

    def block() -> None:
        full.wait(PATIENCE)
        release.wait(PATIENCE)

    with ThreadPoolExecutor(MAX_CALLS) as others:
        for _ in range(MAX_CALLS):
            others.submit(caller.call, block, PATIENCE)
        try:
            assert begun.wait(PATIENCE)
            with pytest.raises(TimeoutError):
                caller.call(lambda: calls.append("late"), 0)
        finally:
            release.set()
    caller.call(lambda: calls.append("next"), PATIENCE)
    assert calls == ["next"]


def test_a_process_has_one_runtime() -> None:
    assert system_runtime() is system_runtime()
