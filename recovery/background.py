"""Work on threads. Every thread of recovery's own is started here, so that tests and a simulator can do without."""
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")


class Background:
    """Does work on daemon threads, which do not keep a program alive, while the caller does something else."""

    def lock(self) -> AbstractContextManager[object]:
        """A new lock between tasks, or between a task and the caller."""
        return threading.Lock()

    @contextmanager
    def every(self, seconds: float, task: Callable[[], object], *, workers: int = 1) -> Iterator[None]:
        """Do `task` every so many seconds until the block ends: by several workers, evenly spread over the period.

        The end of the block waits for tasks under way. A worker whose task raises stops.
        """
        over = threading.Event()

        def work(delay: float) -> None:
            while not over.wait(delay):
                task()
                delay = seconds

        threads = [_start(work, seconds * number / workers) for number in range(1, workers + 1)]
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def gather(self, questions: Mapping[K, Callable[[], T]], seconds: float) -> dict[K, T]:
        """Ask all questions at the same time, and return the answers that arrive within `seconds`.

        Raises what a question raises. A thread whose answer is late is left behind.
        """
        answers: dict[K, Future[T]] = {name: Future() for name in questions}

        def ask(question: Callable[[], T], answer: Future[T]) -> None:
            try:
                answer.set_result(question())
            except BaseException as error:  # noqa: BLE001  # pylint: disable=broad-exception-caught
                answer.set_exception(error)

        for name, question in questions.items():
            _start(ask, question, answers[name])
        done, _ = wait(answers.values(), seconds)
        return {name: answer.result() for name, answer in answers.items() if answer in done}


def _start(function: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=function, args=arguments, name="recovery", daemon=True)
    thread.start()
    return thread
