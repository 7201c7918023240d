"""A cluster's endpoint: PostgreSQL's start-up over TCP as Aurora does it with `rds.force_ssl=1` and IAM logins.

The client asks for TLS, gets a certificate, names its role, and is asked for a password in clear text over TLS: a token
for a role that has `rds_iam`, the role's password for any other. The server trusts the endpoint and asks nothing.
Left out: SCRAM towards the client, GSSAPI, and PostgreSQL 17's TLS without a request.
A client that sends anything but a login gets an error, or no answer until it disconnects.
"""

import asyncio
import ssl
import struct
from datetime import UTC, datetime

from rehearsal.errors import PostgresError, RehearsalError
from rehearsal.postgres.authentication import IamTokens, Secret, password_matches
from rehearsal.postgres.proxy import SocketProxy
from rehearsal.postgres.server import PostgresServer
from rehearsal.sockets import LoopThread

SSL_REQUEST, CANCEL_REQUEST = 80877103, 80877102
HEADER = 4  # bytes of a length, which counts itself
PASSWORD_REQUEST = struct.pack("!cii", b"R", 8, 3)

_ROLE = """
SELECT pg_has_role(oid, 'rds_iam', 'usage'), rolpassword FROM pg_authid
WHERE rolname = :name AND rolcanlogin AND NOT rolsuper
"""


class _LoginRefused(RehearsalError):
    """The error that a client gets before its connection ends."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        fields = f"SFATAL\0VFATAL\0C{code}\0M{message}\0\0".encode()
        self.packet = b"E" + struct.pack("!i", HEADER + len(fields)) + fields


class ClusterEndpoint(SocketProxy):
    """The endpoint of a cluster, in front of its server."""

    def __init__(self, network: LoopThread, server: PostgresServer, tls: ssl.SSLContext, region: str,
                 secret: Secret) -> None:
        self._server, self._tls = server, tls
        super().__init__(network, server.socket)
        self._tokens = IamTokens(f"localhost:{self.port}", region, secret)

    async def admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        """Authenticate a client. Returns its start-up message, which the server trusts; None if it is refused."""
        try:
            return await self._log_in(reader, writer)
        except _LoginRefused as refused:
            writer.write(refused.packet)
            await writer.drain()
            return None

    async def _log_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        packet = await _packet(reader)
        encrypted = _code(packet) == SSL_REQUEST
        if encrypted:
            writer.write(b"S")
            await writer.start_tls(self._tls)
            packet = await _packet(reader)
        if _code(packet) == CANCEL_REQUEST:
            return packet
        words = packet[8:].decode(errors="replace").split("\0")
        parameters = dict(zip(words[::2], words[1::2], strict=False))
        user = parameters.get("user", "")
        database = parameters.get("database") or user
        if not encrypted:
            raise _LoginRefused("28000", f'no pg_hba.conf entry for host "127.0.0.1", user "{user}", '
                                f'database "{database}", no encryption')
        writer.write(PASSWORD_REQUEST)
        await reader.readexactly(1)  # the type of the message
        password = (await _packet(reader))[HEADER:].rstrip(b"\0").decode(errors="replace")
        await asyncio.to_thread(self._check, user, password)
        return packet

    def _check(self, user: str, password: str) -> None:
        """Raise _LoginRefused unless the role may log in with this password."""
        try:
            role = self._server.query(_ROLE, name=user)
        except PostgresError as error:
            raise _LoginRefused("57P03", "the database system is not accepting connections") from error
        by_token, stored = role[0] if role else (False, None)
        if by_token and not self._tokens.accepts(password, user, datetime.now(UTC)):
            raise _LoginRefused("28000", f'PAM authentication failed for user "{user}"')
        if not by_token and not password_matches(password, stored):
            raise _LoginRefused("28P01", f'password authentication failed for user "{user}"')


async def _packet(reader: asyncio.StreamReader) -> bytes:
    """A message without its type, which the first messages of a connection do not have."""
    length = await reader.readexactly(HEADER)
    return length + await reader.readexactly(max(int.from_bytes(length) - HEADER, 0))


def _code(packet: bytes) -> int:
    return int.from_bytes(packet[HEADER:HEADER + 4])
