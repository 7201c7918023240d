"""One JSON line per request on standard output."""
import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO


class JsonFormatter(logging.Formatter):
    """A record's time, level and message (as `event`), and what `extra={"fields": {...}}` adds."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return json.dumps({"time": time, "level": record.levelname, "event": record.getMessage(),
                           **getattr(record, "fields", {})})


def request_logger(stream: TextIO = sys.stdout) -> logging.Logger:
    """The logger of the requests. It does not propagate: Lambda's root logger would print each line again."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("payments")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger
