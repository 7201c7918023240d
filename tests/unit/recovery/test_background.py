"""Work on threads. Tests wait for events, 30 s at most, and never for a while."""
from queue import SimpleQueue
from threading import Barrier, Event, Thread, current_thread

import pytest

from recovery.background import Background

PATIENCE = 30.0  # seconds, reached only on failure


def test_a_task_is_repeated_by_all_workers_until_the_block_ends() -> None:
    done, workers = SimpleQueue[Thread](), set[Thread]()
    with Background().every(0.001, lambda: done.put(current_thread()), workers=2):
        while len(workers) < 2:
            workers.add(done.get(timeout=PATIENCE))
        for _ in range(10):
            done.get(timeout=PATIENCE)
    assert not any(worker.is_alive() for worker in workers)


def test_the_end_of_the_block_waits_for_a_task_under_way() -> None:
    begun, leaving, done = Event(), Event(), Event()

    def task() -> None:
        begun.set()
        assert leaving.wait(PATIENCE)
        done.set()

    with Background().every(0.001, task):
        assert begun.wait(PATIENCE)
        leaving.set()
    assert done.is_set()


def test_questions_are_asked_at_the_same_time() -> None:
    together = Barrier(2, timeout=PATIENCE)
    answers = Background().gather({"a": together.wait, "b": together.wait}, PATIENCE)
    assert (set(answers), sorted(answers.values())) == ({"a", "b"}, [0, 1])


def test_an_answer_that_is_late_is_left_out() -> None:
    never = Event()
    try:
        assert Background().gather({"a": lambda: 1, "b": never.wait}, 0).keys() <= {"a"}
    finally:
        never.set()


def test_what_a_question_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        Background().gather({"a": lambda: 1 / 0}, PATIENCE)


def test_a_lock_is_held_by_one() -> None:
    lock, free = Background().lock(), Event()

    def enter() -> None:
        with lock:
            assert free.is_set()

    with lock:
        other = Thread(target=enter)
        other.start()
        free.set()
    other.join(PATIENCE)
    assert not other.is_alive()
