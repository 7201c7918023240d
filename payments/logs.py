"""Log lines in JSON."""
import json
import logging
from typing import TextIO

from payments.clock import Clock, utc_now


class JsonFormatter(logging.Formatter):
    """Formats the time, the level, the message (as `event`) and what `extra={"fields": {...}}` adds."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        return json.dumps({"time": utc_now(self._clock).isoformat(timespec="milliseconds"), "level": record.levelname,
                           "event": record.getMessage(), **getattr(record, "fields", {})})


def request_logger(stream: TextIO, clock: Clock) -> logging.Logger:
    """A logger that writes one line per request, or per start, to the stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(clock))
    # It has no parent: Lambda's root logger would print each line again.
    logger = logging.Logger("payments", logging.INFO)  # noqa: LOG001
    logger.addHandler(handler)
    return logger
