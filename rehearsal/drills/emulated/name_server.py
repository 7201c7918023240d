"""The zone's name server: answers questions for TXT records over UDP as Route 53 would."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import dns.exception
import dns.message
import dns.rdataclass
import dns.rdatatype
import dns.rrset

MESSAGE = 4096  # bytes
TTL = 60  # seconds


class NameServer:
    """A name server on a free loopback port, from `start` to `stop`.

    `text` gives the TXT record of a name, or raises LookupError; until it is set, there are none.
    """

    def __init__(self) -> None:
        self.text: Callable[[str], str] = dict[str, str]().__getitem__
        self.address = ""
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start answering at `address`, `127.0.0.1:PORT`."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, args=(self._socket,), name="name server", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop answering."""
        if self._socket and self._thread:
            self._socket.sendto(b"", self._socket.getsockname())  # an empty message ends it
            self._thread.join()
            self._socket.close()

    def _serve(self, server: socket.socket) -> None:
        while True:
            question, sender = server.recvfrom(MESSAGE)
            if not question:
                return
            with suppress(dns.exception.DNSException, IndexError, OSError):  # no question, or nobody who waits
                server.sendto(answer(question, self.text), sender)


def answer(question: bytes, text: Callable[[str], str]) -> bytes:
    """The answer to a question in DNS's format: the TXT record of its name, if there is one."""
    asked = dns.message.from_wire(question)
    found, name = dns.message.make_response(asked), asked.question[0].name
    with suppress(LookupError):
        found.answer.append(dns.rrset.from_text(
            name, TTL, dns.rdataclass.IN, dns.rdatatype.TXT, f'"{text(name.to_text(omit_final_dot=True))}"'))
    return found.to_wire()
