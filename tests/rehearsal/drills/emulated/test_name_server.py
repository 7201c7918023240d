"""The name server, asked as recovery asks a zone's own."""

import socket
from collections.abc import Iterator

import dns.message
import dns.rcode
import pytest

from recovery.name_servers import ask_zone
from rehearsal.drills.emulated.name_server import NameServer, answer

SEEN = "_seen.pay.example.test"


@pytest.fixture
def server() -> Iterator[NameServer]:
    """A name server that has no text yet."""
    made = NameServer()
    made.start()
    yield made
    made.stop()


def test_recovery_reads_the_text_of_a_name(server: NameServer) -> None:
    texts = {SEEN: "yes"}
    server.text = texts.__getitem__
    assert ask_zone(SEEN, [server.address]) == "yes"
    texts[SEEN] = "no"
    assert ask_zone(SEEN, [server.address]) == "no"


def test_a_name_without_a_text_has_an_empty_answer(server: NameServer) -> None:
    assert ask_zone(SEEN, [server.address]) == ""


@pytest.mark.parametrize("sent", [b"what?", bytes(12)])  # too short, and without a question
def test_what_is_no_question_gets_no_answer_and_does_not_end_it(server: NameServer, sent: bytes) -> None:
    server.text = {SEEN: "yes"}.__getitem__
    host, _, port = server.address.partition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(sent, (host, int(port)))
    assert ask_zone(SEEN, [server.address]) == "yes"


def test_a_server_that_never_started_can_be_stopped() -> None:
    NameServer().stop()


def test_an_answer_belongs_to_its_question() -> None:
    asked = dns.message.make_query(SEEN, "TXT")
    found = dns.message.from_wire(answer(asked.to_wire(), {SEEN: "yes"}.__getitem__))
    assert (asked.is_response(found), found.rcode()) == (True, dns.rcode.NOERROR)
    assert [rrset.to_text() for rrset in found.answer] == [f'{SEEN}. 60 IN TXT "yes"']
