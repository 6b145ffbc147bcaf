"""The client over TLS: a named authority is trusted, anybody else's certificate is not."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from ybm_client import AnswerNotTrusted, Terminal

from tests.clients.answering_server import Server


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "made-up authority")])
    now = datetime.now(tz=UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, SHA256())
    )
    file = tmp_path / "authority.pem"
    file.write_bytes(
        signed.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return file


@pytest.fixture
def secure_url(server: Server, certificate: Path) -> str:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server.url.replace("http:", "https:")


def test_a_server_is_trusted_by_the_authority_in_the_file(
    server: Server, secure_url: str, certificate: Path, tmp_path: Path
) -> None:
    terminal = Terminal.enrol(
        secure_url, "ABCD-EFGH-JKLM", name="counter 1", ca_file=str(certificate)
    )
    terminal.save(tmp_path / "terminal.json")
    terminal.close()
    loaded = Terminal.load(tmp_path / "terminal.json")
    loaded.settle("q-1")
    loaded.close()
    assert server.seen[-1]["refused"] is None


def test_nothing_is_sent_to_a_server_whose_certificate_is_unknown(
    server: Server, secure_url: str
) -> None:
    with pytest.raises(AnswerNotTrusted, match="certificate"):
        Terminal.enrol(secure_url, "ABCD-EFGH-JKLM", name="counter 1")
    assert server.seen == []
