"""What the zone's own name servers say, asked over the wire, and which hosts serve a zone."""
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest

from recovery import name_servers
from recovery.errors import AwsFailure
from recovery.name_servers import ask_zone, delegated_to

NAME = "_region.pay.example.com"


@pytest.fixture
def answering() -> Iterator[dict[str, Any]]:
    """A name server: its address, the text that it answers with, and the questions that it was asked."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    found: dict[str, Any] = {"address": f"127.0.0.1:{server.getsockname()[1]}", "text": '"us-west-2"', "asked": [],
                             "codes": []}

    def serve() -> None:
        while (received := server.recvfrom(4096))[0]:
            question = dns.message.from_wire(received[0])
            found["asked"].append(question.question[0].name.to_text(omit_final_dot=True))
            answer = dns.message.make_response(question)
            answer.set_rcode(found["codes"].pop() if found["codes"] else dns.rcode.NOERROR)
            if found["text"] and answer.rcode() == dns.rcode.NOERROR:
                answer.answer.append(dns.rrset.from_text(
                    question.question[0].name, 60, dns.rdataclass.IN, dns.rdatatype.TXT, found["text"]))
            server.sendto(answer.to_wire(), received[1])

    thread = threading.Thread(target=serve)
    thread.start()
    yield found
    server.sendto(b"", server.getsockname())
    thread.join()
    server.close()


def test_the_text_of_the_record_is_the_answer(answering: dict[str, Any]) -> None:
    assert ask_zone(NAME, [answering["address"]]) == "us-west-2"
    assert answering["asked"] == [NAME]
    answering["text"] = ""
    assert ask_zone(NAME, [answering["address"]]) == ""


def test_a_server_that_does_not_answer_is_followed_by_another_one(
        answering: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask_zone(NAME, ["not an address", answering["address"]]) == "us-west-2"
    answering["codes"] = [dns.rcode.SERVFAIL]
    assert ask_zone(NAME, [answering["address"]] * 2) == "us-west-2"

    def silent(*_: object) -> None:
        raise dns.exception.Timeout

    monkeypatch.setattr(dns.query, "udp", silent)
    assert ask_zone(NAME, [answering["address"]] * 2) == ""


def test_the_zones_own_servers_are_found_by_its_ns_records(
        answering: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    # They are the data plane:
    # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/disaster-recovery-resiliency.html
    host, _, port = answering["address"].partition(":")
    asked: list[tuple[str, str]] = []

    def resolve(_: object, name: object, kind: str) -> list[Any]:
        asked.append((str(name), kind))
        if name == "ns-1.example.":
            raise dns.resolver.NXDOMAIN
        if kind == "NS":
            return [SimpleNamespace(target=f"ns-{number}.example.") for number in (1, 2, 3)]
        return [SimpleNamespace(to_text=lambda: host)] * 2

    monkeypatch.setattr(dns.resolver, "zone_for_name", lambda *_args, **_given: dns.name.from_text("example.com"))
    monkeypatch.setattr(dns.resolver.Resolver, "resolve", resolve)
    monkeypatch.setattr(dns.resolver.Resolver, "__init__", lambda _: None)
    monkeypatch.setattr(name_servers, "PORT", int(port))
    assert ask_zone(NAME) == "us-west-2"
    assert asked == [("example.com.", "NS"), ("ns-1.example.", "A"), ("ns-2.example.", "A")]
    monkeypatch.setattr(dns.resolver.Resolver, "resolve", lambda _, name, kind: (
        [SimpleNamespace(target="ns-1.example.")] if kind == "NS" else resolve(_, name, kind)))
    assert ask_zone(NAME) == ""


def test_a_zone_that_nobody_knows_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: object, **_given: object) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver, "Resolver", unknown)
    assert ask_zone(NAME) == ""


class Silence(dns.exception.DNSException):
    """No resolver answers."""

    def __str__(self) -> str:
        return "no answer"


def resolving(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    """A public resolver that answers, or raises."""
    def resolve(zone: str, kind: str, *, lifetime: float) -> list[Any]:
        assert (zone, kind, lifetime > 0) == ("example.com", "NS", True)
        if isinstance(answer, Exception):
            raise answer
        return [SimpleNamespace(target=each) for each in answer]

    monkeypatch.setattr(dns.resolver, "resolve", resolve)


@pytest.mark.parametrize(("answer", "hosts"), [
    (["NS-1.example.com.", "ns-2.example.com."], {"ns-1.example.com", "ns-2.example.com"}),
    (dns.resolver.NXDOMAIN.__new__(dns.resolver.NXDOMAIN), set()),
    (dns.resolver.NoAnswer.__new__(dns.resolver.NoAnswer), set())])
def test_the_hosts_of_a_zone_are_shown_without_the_last_dot(
        answer: Any, hosts: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, answer)
    assert delegated_to("example.com") == hosts


def test_a_resolver_that_does_not_answer_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, Silence.__new__(Silence))
    with pytest.raises(AwsFailure, match=r"name servers of example\.com: no answer"):
        delegated_to("example.com")
