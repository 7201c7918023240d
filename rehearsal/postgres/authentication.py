"""How a client and a cluster's endpoint authenticate: a certificate of the run's own, passwords, and IAM tokens."""

import hashlib
import hmac
import ssl
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl

import trustme
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

Secret = Callable[[str, str, str], str]
"""Of an access key, a region and a user: the secret of a key that may log in there as that user, empty if not."""
LIFETIME = timedelta(minutes=15)  # of a token
SKEW = timedelta(minutes=5)  # by which a client's clock may be ahead


def server_tls(ca_file: Path) -> ssl.SSLContext:
    """TLS for servers at `localhost`, by a new certificate authority, whose certificate is written to `ca_file`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # The key is on a disk only while it is loaded.
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


def password_matches(password: str, stored: str | None) -> bool:
    """Whether a password is the one whose SCRAM verifier PostgreSQL stores."""
    method, _, rest = (stored or "").partition("$")
    if method != "SCRAM-SHA-256":
        return False
    (rounds, salt), (key, _) = (part.split(":") for part in rest.split("$"))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), b64decode(salt), int(rounds))
    client = hmac.digest(salted, b"Client Key", "sha256")
    return hmac.compare_digest(hashlib.sha256(client).digest(), b64decode(key))


@dataclass(frozen=True)
class IamTokens:
    """Checks the IAM tokens for one endpoint."""

    endpoint: str  # host:port, as advertised
    region: str
    secret: Secret

    def accepts(self, token: str, user: str, now: datetime) -> bool:
        """Whether a token lets this user in."""
        values = dict(parse_qsl(token.partition("/?")[2], keep_blank_values=True))
        key = values.get("X-Amz-Credential", "").partition("/")[0]
        try:
            signed = datetime.strptime(values["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            lifetime = timedelta(seconds=int(values["X-Amz-Expires"]))
        except (KeyError, ValueError):
            return False
        asked = (token.partition("/?")[0], values.get("Action"), values.get("DBUser"),
                 values.get("X-Amz-SignedHeaders"), values.get("X-Amz-Credential"))
        in_time = lifetime <= LIFETIME and signed - SKEW <= now <= signed + lifetime
        good = in_time and asked == (
            self.endpoint, "connect", user, "host", f"{key}/{signed:%Y%m%d}/{self.region}/rds-db/aws4_request")
        secret = self.secret(key, self.region, user) if good else ""
        if not secret:
            return False
        signer = SigV4QueryAuth(Credentials(key, secret), "rds-db", self.region)
        request = AWSRequest("GET", f"https://{token.partition('&X-Amz-Signature=')[0]}")
        request.context["timestamp"] = values["X-Amz-Date"]
        signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        return hmac.compare_digest(signature, values.get("X-Amz-Signature", ""))
