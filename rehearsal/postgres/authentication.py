"""How a client and a cluster's endpoint authenticate: a certificate made for the run, passwords, and IAM tokens."""

import hashlib
import hmac
import ssl
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl

import trustme
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

LIFETIME = timedelta(minutes=15)  # of a token
SKEW = timedelta(minutes=5)  # by which a client's clock may be ahead


class CertificateAuthority:
    """A certificate authority for one run; its certificate is in `file`, for clients."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "ca.pem"
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(self.file)

    def server_context(self) -> ssl.SSLContext:
        """What a server at `localhost` needs for TLS; its key is on a disk only while it is loaded."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
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
    """Checks the IAM tokens for one endpoint. `keys`: the secret keys that may sign them, by access key."""

    endpoint: str  # host:port, as advertised
    region: str
    keys: Mapping[str, str]

    def defect(self, token: str, user: str, now: datetime) -> str:
        """What is wrong with a token; an empty string if it lets this user in."""
        address, _, query = token.partition("/?")
        values = dict(parse_qsl(query, keep_blank_values=True))
        signature = values.pop("X-Amz-Signature", "")
        key, *scope = values.get("X-Amz-Credential", "").split("/")
        try:
            signed = datetime.strptime(values["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            lifetime = timedelta(seconds=int(values["X-Amz-Expires"]))
        except (KeyError, ValueError):
            return "no token"
        defects = {
            "another endpoint": address != self.endpoint,
            "another action": values.get("Action") != "connect",
            "another user": values.get("DBUser") != user,
            "another scope": scope != [f"{signed:%Y%m%d}", self.region, "rds-db", "aws4_request"],
            "other headers": values.get("X-Amz-SignedHeaders") != "host",
            "a lifetime that is too long": lifetime > LIFETIME,
            "not valid yet": now < signed - SKEW,
            "expired": now > signed + lifetime,
            "an unknown key": key not in self.keys,
        }
        if defect := next((defect for defect, found in defects.items() if found), ""):
            return defect
        unsigned = f"https://{token.partition('&X-Amz-Signature=')[0]}"
        expected = _signature(Credentials(key, self.keys[key]), self.region, unsigned, values["X-Amz-Date"])
        return "" if hmac.compare_digest(expected, signature) else "a wrong signature"


def _signature(credentials: Credentials, region: str, url: str, timestamp: str) -> str:
    """AWS's signature, version 4, of a presigned GET without a body."""
    signer = SigV4QueryAuth(credentials, "rds-db", region)
    request = AWSRequest("GET", url)
    request.context["timestamp"] = timestamp
    signature: str = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    return signature
