"""A cluster's endpoint: PostgreSQL's start-up over TCP as Aurora does it with `rds.force_ssl=1` and IAM logins.

The client asks for TLS, gets a certificate, names its role, and is asked for a password in clear text over TLS: a token
for a role that has `rds_iam`, the role's password for any other. The server trusts the endpoint and asks nothing.
Left out: SCRAM towards the client, GSSAPI, and PostgreSQL 17's TLS without a request.
"""

import asyncio
import struct
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

from rehearsal.errors import PostgresError, RehearsalError
from rehearsal.postgres.authentication import CertificateAuthority, IamTokens, password_matches
from rehearsal.postgres.proxy import SocketProxy
from rehearsal.postgres.server import PostgresServer
from rehearsal.sockets import LoopThread

TIMEOUT = 10.0  # seconds for each message of a login
LONGEST = 64 * 1024  # bytes of a message of a login
SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
PROTOCOL = 3
HEADER = 4  # bytes of a length, which counts itself
PASSWORD_REQUEST = struct.pack("!cii", b"R", 8, 3)

_ROLE = """
SELECT pg_has_role(oid, 'rds_iam', 'usage'), rolpassword FROM pg_authid
WHERE rolname = :name AND rolcanlogin AND NOT rolsuper
"""


class _LoginRefused(RehearsalError):
    """The error that a client gets before its connection ends; `reason` is for the counts."""

    def __init__(self, code: str, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
        fields = f"SFATAL\0VFATAL\0C{code}\0M{message}\0\0".encode()
        self.packet = b"E" + struct.pack("!i", HEADER + len(fields)) + fields


class ClusterEndpoint(SocketProxy):
    """What a cluster's host name and port lead to. `refusals` counts refused logins by reason."""

    def __init__(self, network: LoopThread, server: PostgresServer, authority: CertificateAuthority, region: str,
                 keys: Mapping[str, str]) -> None:
        self.refusals: Counter[str] = Counter()
        self._server = server
        self._tls = authority.server_context()
        super().__init__(network, server.socket)
        self._tokens = IamTokens(f"localhost:{self.port}", region, keys)

    async def admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        """Authenticate a client. Returns its start-up message, which the server trusts; None if it is refused."""
        try:
            return await self._log_in(reader, writer)
        except _LoginRefused as refused:
            self.refusals[refused.reason] += 1
            writer.write(refused.packet)
            await writer.drain()
            return None

    async def _log_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        packet, encrypted = await _packet(reader), False
        while (code := int.from_bytes(packet[4:8])) in (SSL_REQUEST, GSS_REQUEST):
            writer.write(b"S" if code == SSL_REQUEST else b"N")
            if code == SSL_REQUEST:
                await writer.start_tls(self._tls, ssl_handshake_timeout=TIMEOUT)
                encrypted = True
            packet = await _packet(reader)
        if code == CANCEL_REQUEST:
            return packet
        if code >> 16 != PROTOCOL:
            version = f"{code >> 16}.{code & 0xFFFF}"
            raise _LoginRefused("0A000", f"unsupported frontend protocol {version}", "another protocol")
        words = packet[8:].decode(errors="replace").split("\0")
        parameters = dict(zip(words[::2], words[1::2], strict=False))
        user = parameters.get("user", "")
        database = parameters.get("database") or user
        if not encrypted:
            raise _LoginRefused("28000", f'no pg_hba.conf entry for host "127.0.0.1", user "{user}", '
                                f'database "{database}", no encryption', "no TLS")
        writer.write(PASSWORD_REQUEST)
        password = (await _packet(reader, b"p"))[HEADER:].rstrip(b"\0").decode(errors="replace")
        await asyncio.to_thread(self._check, user, password)
        return packet

    def _check(self, user: str, password: str) -> None:
        """Raise _LoginRefused unless the role may log in with this password."""
        try:
            role = self._server.query(_ROLE, name=user)
        except PostgresError as error:
            raise _LoginRefused("57P03", "the database system is not accepting connections", "no server") from error
        by_token, stored = role[0] if role else (False, None)
        if by_token:
            defect = self._tokens.defect(password, user, datetime.now(UTC))
            if defect:
                raise _LoginRefused("28000", f'PAM authentication failed for user "{user}"', f"token: {defect}")
        elif not password_matches(password, stored):
            raise _LoginRefused("28P01", f'password authentication failed for user "{user}"',
                                "password" if role else "no such role")


async def _packet(reader: asyncio.StreamReader, kind: bytes = b"") -> bytes:
    """A message without its type, which is there only if one is expected. Raises OSError if it is not PostgreSQL's."""
    async with asyncio.timeout(TIMEOUT):
        head = await reader.readexactly(len(kind) + HEADER)
        length = int.from_bytes(head[-HEADER:])
        if not head.startswith(kind) or not HEADER <= length <= LONGEST:
            raise ConnectionAbortedError("not PostgreSQL's protocol")
        return head[len(kind):] + await reader.readexactly(length - HEADER)
