"""A small certificate authority for one machine's own network, made once and kept under var/tls/.

A phone opens the camera and keeps device keys only on pages it trusts, so `make run LAN=1` needs a
certificate that a phone can be taught to trust. The authority is constrained (RFC 5280, 4.2.1.10)
to private addresses and .local names: a stolen key cannot vouch for anybody's bank. This module
knows files and certificates; it opens no socket and reads no clock.
"""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFETIME = timedelta(days=3650)
# Apple's limit for certificates of public authorities, and the safest choice for private ones.
LEAF_LIFETIME = timedelta(days=397)
RENEWED_BEFORE_END = timedelta(days=30)
# A phone's clock may be a little behind.
BACKDATED = timedelta(hours=1)

PERMITTED_NETWORKS = (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8",
    "192.0.2.0/24", "100.64.0.0/10", "::1/128", "fc00::/7", "fe80::/10",
)  # fmt: skip
PERMITTED_NAMES = ("localhost", "local")


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """Where the files are. `fingerprint` is the authority's SHA-256, for a person to compare."""

    authority: Path
    chain: Path
    key: Path
    fingerprint: str
    authority_is_new: bool


def ensure_certificates(*, folder: Path, addresses: Sequence[str], now: datetime) -> Certificates:
    """Make or renew what is missing, near its end, or made for other addresses.

    `addresses` are IP addresses of this machine on its network; `now` is UTC aware. localhost is
    always added. Raises ValueError for an address outside PERMITTED_NETWORKS.
    """
    for address in addresses:
        if not _is_permitted(address):
            raise ValueError(f"{address} is not an address of a private network")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = {name: folder / name for name in ("authority.key", "authority.crt", "server.key")}
    chain = folder / "server.crt"

    authority = _load_authority(files["authority.crt"], files["authority.key"])
    is_new = authority is None or _is_near_end(authority[0], now=now)
    if authority is None or is_new:
        authority = _make_authority(now=now)
        _write_secret(files["authority.key"], authority[1])
        files["authority.crt"].write_bytes(_pem(authority[0]))
    certificate, key = authority

    names = ["localhost", "127.0.0.1", "::1", *addresses]
    if is_new or not _leaf_will_do(chain, files["server.key"], certificate, names, now=now):
        leaf, leaf_key = _make_leaf(certificate, key, names, now=now)
        _write_secret(files["server.key"], leaf_key)
        chain.write_bytes(_pem(leaf) + _pem(certificate))
    return Certificates(
        authority=files["authority.crt"],
        chain=chain,
        key=files["server.key"],
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        authority_is_new=is_new,
    )


def _is_permitted(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    networks = (ipaddress.ip_network(network) for network in PERMITTED_NETWORKS)
    return any(parsed.version == network.version and parsed in network for network in networks)


def _is_near_end(certificate: x509.Certificate, *, now: datetime) -> bool:
    return now >= certificate.not_valid_after_utc - RENEWED_BEFORE_END


def _load_authority(
    certificate: Path, key: Path
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """The authority made earlier, or None where a file is missing or the two do not belong."""
    if not (certificate.exists() and key.exists()):
        return None
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        return None
    return (loaded, private) if loaded.public_key() == private.public_key() else None


def _make_authority(*, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # The serial in the name keeps two machines' authorities apart in a phone's list.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Yibaoma LAN {serial % 10**6:06}")])
    permitted: list[x509.GeneralName] = [x509.DNSName(each) for each in PERMITTED_NAMES]
    permitted += [x509.IPAddress(ipaddress.ip_network(each)) for each in PERMITTED_NETWORKS]
    builder = _builder(subject=name, issuer=name, key=key, now=now, lifetime=AUTHORITY_LIFETIME)
    builder = (
        builder.serial_number(serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
    )
    return builder.sign(key, hashes.SHA256()), key


def _make_leaf(
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    names: Sequence[str],
    *,
    now: datetime,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Yibaoma")])
    builder = _builder(
        subject=subject, issuer=issuer.subject, key=key, now=now, lifetime=LEAF_LIFETIME
    )
    authority_key = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        builder.serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_general_names(names)), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_key),
            critical=False,
        )
    )
    return builder.sign(issuer_key, hashes.SHA256()), key


def _builder(
    *,
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now - BACKDATED + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_names(names: Sequence[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in dict.fromkeys(names):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _leaf_will_do(
    chain: Path, key: Path, authority: x509.Certificate, names: Sequence[str], *, now: datetime
) -> bool:
    if not (chain.exists() and key.exists()):
        return False
    leaf = x509.load_pem_x509_certificates(chain.read_bytes())[0]
    held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        leaf.issuer == authority.subject
        and set(held) == set(_general_names(names))
        and not _is_near_end(leaf, now=now)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_secret(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Write a private key as PKCS #8, the only form granian reads, for its owner alone."""
    content = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.unlink(missing_ok=True)
    # Created with its mode, so that there is no moment in which others could read it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
