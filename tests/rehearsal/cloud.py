"""A cloud of canned answers behind real boto3 clients, so botocore validates every call."""

import threading
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from rehearsal.aws.clients import READ, EmulatorClients

ENDPOINT = "http://127.0.0.1:9"
Answer = Mapping[str, Any] | Exception | Callable[[Mapping[str, Any]], Mapping[str, Any]]


def refusal(code: str, message: str = "no") -> ClientError:
    """An error as AWS answers it."""
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


class Cloud(EmulatorClients):
    """Records `calls` as (operation, region, parameters), and answers from `answers` by operation, or with {}."""

    def __init__(self) -> None:
        super().__init__(ENDPOINT, connections=1)
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.answers: dict[str, Answer] = {}
        self._watched: set[int] = set()
        self._asked = threading.local()  # each thread's own call, which is answered there

    def __call__(self, service: str, region: str, read: float = READ, *, once: bool = True) -> Any:
        client = super().__call__(service, region, read, once=once)
        if id(client) not in self._watched:
            self._watched.add(id(client))
            client.meta.events.register_first(
                "before-parameter-build.*.*", lambda params, model, **_: self._note(model.name, region, params))
            client.meta.events.register_first("before-call.*.*", lambda model, **_: self._answer(model.name))
        return client

    def reset(self) -> None:
        """Forget everything except the clients, which take long to create."""
        self.calls.clear()
        self.answers.clear()

    def operations(self) -> list[str]:
        """The operations called, in order."""
        return [operation for operation, _, _ in self.calls]

    def params(self, operation: str) -> dict[str, Any]:
        """The parameters of the only call of an operation."""
        (found,) = (params for name, _, params in self.calls if name == operation)
        return found

    def _note(self, operation: str, region: str, params: Mapping[str, Any]) -> None:
        self._asked.params = dict(params)
        self.calls.append((operation, region, self._asked.params))

    def _answer(self, operation: str) -> tuple[Any, Mapping[str, Any]]:
        answer = self.answers.get(operation, {})
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer(self._asked.params)
        return SimpleNamespace(status_code=200, headers={}, content=b""), {"ResponseMetadata": {}, **answer}
