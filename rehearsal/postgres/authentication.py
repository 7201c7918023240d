"""How a client and a front door know each other: a certificate made for the run, passwords, and IAM's tokens."""

import hashlib
import hmac
import ipaddress
import ssl
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(minutes=15)  # of a token
SKEW = timedelta(minutes=5)  # by which a client's clock may be ahead
_EMPTY = hashlib.sha256(b"").hexdigest()


class CertificateAuthority:
    """A certificate authority for one run, whose certificate lies in `file`; its private key is forgotten."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "ca.pem"
        key, name = ec.generate_private_key(ec.SECP256R1()), _name("Rehearsal of Amazon RDS, root CA")
        identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        root = (_certificate(name, name, key.public_key())
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(_usage(sign=False), critical=True)
                .add_extension(identity, critical=False)
                .sign(key, hashes.SHA256()))
        self.file.write_bytes(root.public_bytes(serialization.Encoding.PEM))
        own = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]
        leaf = (_certificate(_name("localhost"), name, own.public_key())
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(_usage(sign=True), critical=True)
                .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
                .add_extension(x509.SubjectAlternativeName(names), critical=False)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identity), critical=False)
                .sign(key, hashes.SHA256()))
        self._leaf = folder / "server.pem"
        self._leaf.touch(mode=0o600)
        self._leaf.write_bytes(
            own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                              serialization.NoEncryption()) + leaf.public_bytes(serialization.Encoding.PEM))

    def server(self) -> ssl.SSLContext:
        """What a server at `localhost` needs for TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._leaf)
        return context


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=7)))


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(digital_signature=sign, key_cert_sign=not sign, crl_sign=not sign, content_commitment=False,
                         key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                         decipher_only=False)


def password_fits(password: str, stored: str | None) -> bool:
    """Whether a password is the one that PostgreSQL keeps as a SCRAM verifier."""
    method, _, rest = (stored or "").partition("$")
    if method != "SCRAM-SHA-256":
        return False
    (rounds, salt), (key, _) = (part.split(":") for part in rest.split("$"))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), b64decode(salt), int(rounds))
    client = hmac.digest(salted, b"Client Key", "sha256")
    return hmac.compare_digest(hashlib.sha256(client).digest(), b64decode(key))


@dataclass(frozen=True)
class IamTokens:
    """What a token for one endpoint must say, and the secret keys that may have signed it, by access key."""

    endpoint: str  # host:port, as advertised
    region: str
    keys: Mapping[str, str]

    def fault(self, token: str, user: str, now: datetime) -> str:
        """What is wrong with a token, nothing if it lets this user in."""
        address, _, query = token.partition("/?")
        values = dict(parse_qsl(query, keep_blank_values=True))
        signature = values.pop("X-Amz-Signature", "")
        key, *scope = values.get("X-Amz-Credential", "").split("/")
        try:
            signed = datetime.strptime(values["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            lifetime = timedelta(seconds=int(values["X-Amz-Expires"]))
        except (KeyError, ValueError):
            return "no token"
        faults = {
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
        if fault := next((fault for fault, found in faults.items() if found), ""):
            return fault
        wanted = _signature(self.keys[key], scope, address, values)
        return "" if hmac.compare_digest(wanted, signature) else "a wrong signature"


def _signature(secret: str, scope: list[str], host: str, values: Mapping[str, str]) -> str:
    """AWS's signature, version 4, of a presigned GET of `/` without a body."""
    query = "&".join(sorted(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in values.items()))
    request = f"GET\n/\n{query}\nhost:{host}\n\nhost\n{_EMPTY}"
    text = "\n".join(["AWS4-HMAC-SHA256", values["X-Amz-Date"], "/".join(scope),
                      hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()
