"""The stack in a browser of this machine: a page, and a stream of events that keeps it up to date (`watch --web`).

It listens on the loopback address alone, and changes nothing. It refuses what the page of another site may have sent: a
`Host` other than this machine's, and any `Origin`, since its own page sends none.
"""
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from recovery.outputs import LOOPBACK

PAGE = Path(__file__).with_name("watch.html")
POLL = 0.02  # seconds within which it ends when asked to
PATIENCE = 15.0  # seconds until a document is sent again, which finds out whether anybody still listens
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
           "Content-Security-Policy": "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; "
                                      "script-src 'unsafe-inline'; frame-ancestors 'none'"}


class Feed:
    """The newest document, for any number of readers."""

    def __init__(self) -> None:
        self._text, self._number, self._changed = "", 0, threading.Condition()

    def publish(self, document: str) -> None:
        """Publish a new document (JSON) to all readers."""
        with self._changed:
            self._text, self._number = document, self._number + 1
            self._changed.notify_all()

    def after(self, number: int, patience: float = PATIENCE) -> tuple[int, str]:
        """The newest document as JSON and its number; waits at most so many seconds for a newer one than `number`."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > number, patience)
            return self._number, self._text


@contextmanager
def serving(feed: Feed, port: int = 0) -> Iterator[str]:
    """Serve the page and the events of a feed until the block ends; gives its URL. Raises OSError if it cannot."""
    class PageHandler(BaseHTTPRequestHandler):
        """Answers a browser's request."""

        def do_GET(self) -> None:
            """Answer it."""
            if urlsplit(f"//{self.headers.get('Host', '')}").hostname not in LOOPBACK or "Origin" in self.headers:
                self._begin(HTTPStatus.FORBIDDEN, "text/plain")
            elif self.path == "/":
                self._begin(HTTPStatus.OK, "text/html; charset=utf-8")
                self.wfile.write(PAGE.read_bytes())
            elif self.path == "/events":
                self._begin(HTTPStatus.OK, "text/event-stream")
                self._follow()
            else:
                self._begin(HTTPStatus.NOT_FOUND, "text/plain")

        def _begin(self, status: HTTPStatus, kind: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, **HEADERS}.items():
                self.send_header(name, value)
            self.end_headers()

        def _follow(self) -> None:
            number = 0
            with suppress(OSError):  # until the browser is gone
                while True:
                    number, text = feed.after(number)
                    self.wfile.write(f"data: {text}\n\n".encode())

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer((LOOPBACK[0], port), PageHandler) as server:
        threading.Thread(target=server.serve_forever, args=(POLL,), name="watch", daemon=True).start()
        try:
            yield f"http://{LOOPBACK[0]}:{server.server_port}/"
        finally:
            server.shutdown()  # also after Ctrl-C: without its socket the thread would try again without a pause
