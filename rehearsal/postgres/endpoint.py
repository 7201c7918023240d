"""The front door of a region: PostgreSQL's start-up over TCP as Aurora does it with `rds.force_ssl=1` and IAM logins.

A client asks for TLS, gets a certificate, says who it is, and is asked for a password in clear text over it: a token
for a role that has `rds_iam`, the role's own password for another. Then the server behind takes it, unasked. Left out:
SCRAM towards the client, GSSAPI, and PostgreSQL 17's TLS without a request.
"""

import asyncio
import struct
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

from rehearsal.postgres.authentication import CertificateAuthority, IamTokens, password_fits
from rehearsal.postgres.process_group import PostgresError
from rehearsal.postgres.proxy import ProxyLoop, SocketProxy
from rehearsal.postgres.server import PostgresServer

TIMEOUT = 10.0  # seconds for a client to say who it is
LONGEST = 64 * 1024  # bytes of a message before the client is let in
SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
PROTOCOL = 3
HEADER = 4  # bytes of a length, which counts itself
PASSWORD_REQUEST = struct.pack("!cii", b"R", 8, 3)

_ROLE = """
SELECT pg_has_role(oid, 'rds_iam', 'usage'), rolpassword FROM pg_authid
WHERE rolname = :name AND rolcanlogin AND NOT rolsuper
"""


class _Fatal(Exception):
    """What a client is told before its connection ends; `reason` is for us."""

    def __init__(self, code: str, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
        fields = f"SFATAL\0VFATAL\0C{code}\0M{message}\0\0".encode()
        self.packet = b"E" + struct.pack("!i", HEADER + len(fields)) + fields


class ClusterEndpoint(SocketProxy):
    """What a cluster's endpoint and port lead to. `faults` counts why clients were turned away."""

    def __init__(
        self, network: ProxyLoop, server: PostgresServer, authority: CertificateAuthority, region: str, keys: Mapping[str, str]
    ) -> None:
        self.faults: Counter[str] = Counter()
        self._server = server
        self._tls = authority.server()
        super().__init__(network, server.socket)
        self._tokens = IamTokens(f"localhost:{self.port}", region, keys)

    async def admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        """Ask a client who it is. Returns its own start-up message, which the server takes at its word."""
        try:
            return await self._greet(reader, writer)
        except _Fatal as fatal:
            self.faults[fatal.reason] += 1
            writer.write(fatal.packet)
            await writer.drain()
            return None

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        packet, encrypted = await _packet(reader), False
        await self.pause()
        while (code := int.from_bytes(packet[4:8])) in (SSL_REQUEST, GSS_REQUEST):
            writer.write(b"S" if code == SSL_REQUEST else b"N")
            if code == SSL_REQUEST:
                await writer.start_tls(self._tls, ssl_handshake_timeout=TIMEOUT)
                encrypted = True
            packet = await _packet(reader)
        if code == CANCEL_REQUEST:
            return packet
        if code >> 16 != PROTOCOL:
            raise _Fatal("0A000", f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}", "another protocol")
        words = packet[8:].decode(errors="replace").split("\0")
        said = dict(zip(words[::2], words[1::2], strict=False))
        user, database = said.get("user", ""), said.get("database") or said.get("user", "")
        if not encrypted:
            raise _Fatal("28000", f'no pg_hba.conf entry for host "127.0.0.1", user "{user}", database "{database}", '
                         "no encryption", "no TLS")
        writer.write(PASSWORD_REQUEST)
        password = (await _packet(reader, b"p"))[HEADER:].rstrip(b"\0").decode(errors="replace")
        await asyncio.to_thread(self._check, user, password)
        return packet

    def _check(self, user: str, password: str) -> None:
        """Raise _Fatal unless the role may log in with this password."""
        try:
            role = self._server.query(_ROLE, name=user)
        except PostgresError as error:
            raise _Fatal("57P03", "the database system is not accepting connections", "no server") from error
        by_token, stored = role[0] if role else (False, None)
        if by_token:
            fault = self._tokens.fault(password, user, datetime.now(UTC))
            if fault:
                raise _Fatal("28000", f'PAM authentication failed for user "{user}"', f"token: {fault}")
        elif not password_fits(password, stored):
            raise _Fatal("28P01", f'password authentication failed for user "{user}"',
                         "password" if role else "no such role")


async def _packet(reader: asyncio.StreamReader, kind: bytes = b"") -> bytes:
    """A message behind its length, which is behind a kind if one is expected. Raises OSError for anything else."""
    async with asyncio.timeout(TIMEOUT):
        head = await reader.readexactly(len(kind) + HEADER)
        length = int.from_bytes(head[-HEADER:])
        if not head.startswith(kind) or not HEADER <= length <= LONGEST:
            raise ConnectionAbortedError("not PostgreSQL's protocol")
        return head[len(kind):] + await reader.readexactly(length - HEADER)
