"""Our own certificate authority, and the certificate of this gateway for its names and addresses.

Made once, kept in a folder; the server's is renewed when a name or an address changed, or before it
ends. Clients trust the CA alone, so renewing does not lock them out.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from panelctl.errors import ServiceError
from panelctl.files import PRIVATE, PUBLIC, SECRET, put

CA_DAYS, SERVER_DAYS, RENEW_DAYS = 3650, 397, 30
BACK = timedelta(days=1)  # a gateway's clock may be behind when it first starts


@dataclass(frozen=True, slots=True)
class Files:
    """Where everything lies."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The CA's certificate: what clients get."""
        return self.folder / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """The CA's key; nobody but us reads it."""
        return self.folder / "ca.key"

    @property
    def server(self) -> Path:
        """The gateway's certificate."""
        return self.folder / "server.pem"

    @property
    def server_key(self) -> Path:
        """Its key."""
        return self.folder / "server.key"


def ensure(files: Files, name: str, addresses: list[str], now: datetime | None = None) -> bool:
    """Make what is missing or no longer right; True when the server's certificate is new.

    `name` is the host's (`panelctl-0001.local`), `addresses` are its IP addresses. Raises
    ServiceError when the folder cannot be written, or holds something else.
    """
    at = now or datetime.now(UTC)
    try:
        files.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        if not files.ca.exists():
            _make_ca(files, name, at)
        ends = x509.load_pem_x509_certificate(files.ca.read_bytes()).not_valid_after_utc
        if ends - at < timedelta(days=SERVER_DAYS):
            raise ServiceError(
                f"{files.ca} ends on {ends:%Y-%m-%d}: take it and {files.ca_key.name} away, run "
                "setup again, and give every client the new one"
            )
        if files.server.exists() and _fits(files, name, addresses, at):
            return False
        _make_server(files, name, addresses, at)
    except (OSError, ValueError, TypeError) as error:
        raise ServiceError(f"{files.folder}: {error}") from None
    return True


def certified(files: Files) -> set[str]:
    """The names and addresses that the server's certificate is for; none where it is not there."""
    try:
        server = x509.load_pem_x509_certificate(files.server.read_bytes())
        held = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return set()
    return {str(name.value) for name in held}


def _fits(files: Files, name: str, addresses: list[str], at: datetime) -> bool:
    """Whether the server's certificate is of this CA, these names, and good for a while."""
    server = x509.load_pem_x509_certificate(files.server.read_bytes())
    ca = x509.load_pem_x509_certificate(files.ca.read_bytes())
    if server.not_valid_after_utc - at < timedelta(days=RENEW_DAYS):
        return False
    try:
        server.verify_directly_issued_by(ca)
        key = serialization.load_pem_private_key(files.server_key.read_bytes(), None)
        held = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (InvalidSignature, OSError, ValueError, TypeError, x509.ExtensionNotFound):
        return False  # another CA's, without its key, or somebody else's
    return key.public_key() == server.public_key() and set(held) == set(_names(name, addresses))


def _names(name: str, addresses: list[str]) -> list[x509.GeneralName]:
    named: list[x509.GeneralName] = [x509.DNSName(each) for each in {name: 0, "localhost": 0}]
    return named + [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]


def _make_ca(files: Files, name: str, at: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} CA")])
    usage = _usage(signs_certificates=True)
    made = (
        _builder(subject, subject, key, at, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_key(files.ca_key, key, PRIVATE)
    put(files.ca, made.public_bytes(serialization.Encoding.PEM), PUBLIC)


def _make_server(files: Files, name: str, addresses: list[str], at: datetime) -> None:
    ca = x509.load_pem_x509_certificate(files.ca.read_bytes())
    ca_key = serialization.load_pem_private_key(files.ca_key.read_bytes(), None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{files.ca_key} is not a key that was made here")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    made = (
        _builder(subject, ca.subject, key, at, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(_names(name, addresses)), critical=False)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    _write_key(files.server_key, key, SECRET)
    put(files.server, made.public_bytes(serialization.Encoding.PEM), PUBLIC)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, at: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - BACK)
        .not_valid_after(at + timedelta(days=days))
    )


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey, mode: int) -> None:
    plain = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    put(path, plain, mode)
