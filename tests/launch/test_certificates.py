"""The local authority: what it vouches for, how long, and who can read its key."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from launch.certificates import (
    AUTHORITY_LIFETIME,
    LEAF_LIFETIME,
    RENEWED_BEFORE_END,
    Certificates,
    ensure_certificates,
)

NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
ADDRESS = "192.168.7.20"


def ensure(
    folder: Path, *, now: datetime = NOW, addresses: tuple[str, ...] = (ADDRESS,)
) -> Certificates:
    return ensure_certificates(folder=folder / "tls", addresses=addresses, now=now)


def verify(certificates: Certificates, name: str, *, now: datetime = NOW) -> None:
    """Build the chain as a client would that trusts the authority."""
    authority = x509.load_pem_x509_certificate(certificates.authority.read_bytes())
    leaf, *rest = x509.load_pem_x509_certificates(certificates.chain.read_bytes())
    try:
        subject: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        subject = x509.DNSName(name)
    builder = PolicyBuilder().store(Store([authority])).time(now)
    builder.build_server_verifier(subject).verify(leaf, rest)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", ADDRESS])
def test_the_chain_verifies_for_every_name_it_was_made_for(tmp_path: Path, name: str) -> None:
    verify(ensure(tmp_path), name)


@pytest.mark.parametrize(
    ("name", "now"),
    [
        ("192.168.7.21", NOW),
        ("bank.example", NOW),
        (ADDRESS, NOW - timedelta(days=1)),
        (ADDRESS, NOW + LEAF_LIFETIME),
    ],
    ids=["another address", "another name", "before it begins", "after its end"],
)
def test_the_chain_verifies_for_nothing_else(tmp_path: Path, name: str, now: datetime) -> None:
    with pytest.raises(VerificationError):
        verify(ensure(tmp_path), name, now=now)


def test_the_authority_is_made_once_and_the_leaf_kept(tmp_path: Path) -> None:
    first = ensure(tmp_path)
    before = (first.authority.read_bytes(), first.chain.read_bytes(), first.key.read_bytes())
    second = ensure(tmp_path, now=NOW + timedelta(days=1))
    assert first.authority_is_new
    assert not second.authority_is_new
    assert before == (
        second.authority.read_bytes(),
        second.chain.read_bytes(),
        second.key.read_bytes(),
    )


def test_a_new_address_renews_the_leaf_under_the_same_authority(tmp_path: Path) -> None:
    first = ensure(tmp_path)
    authority = first.authority.read_bytes()
    second = ensure(tmp_path, addresses=("10.1.2.3",))
    assert second.authority.read_bytes() == authority
    verify(second, "10.1.2.3")
    with pytest.raises(VerificationError):
        verify(second, ADDRESS)


@pytest.mark.parametrize(
    ("lifetime", "authority_is_new"), [(LEAF_LIFETIME, False), (AUTHORITY_LIFETIME, True)]
)
def test_what_nears_its_end_is_renewed(
    tmp_path: Path, lifetime: timedelta, authority_is_new: bool
) -> None:
    ensure(tmp_path)
    later = NOW + lifetime - RENEWED_BEFORE_END
    renewed = ensure(tmp_path, now=later)
    assert renewed.authority_is_new is authority_is_new
    verify(renewed, ADDRESS, now=later + RENEWED_BEFORE_END)


def test_a_lost_authority_key_makes_a_new_authority_and_a_new_leaf(tmp_path: Path) -> None:
    ensure(tmp_path)
    (tmp_path / "tls" / "authority.key").unlink()
    second = ensure(tmp_path)
    assert second.authority_is_new
    verify(second, ADDRESS)


def test_private_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    certificates = ensure(tmp_path)
    for key in (certificates.key, tmp_path / "tls" / "authority.key"):
        assert key.stat().st_mode & 0o777 == 0o600


def test_a_public_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not an address of a private network"):
        ensure(tmp_path, addresses=("8.8.4.4",))


def test_openssl_loads_the_chain_with_its_key(tmp_path: Path) -> None:
    certificates = ensure(tmp_path)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificates.chain, certificates.key)
