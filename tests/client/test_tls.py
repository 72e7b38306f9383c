"""Certificates: whom the client trusts, and early answers inside TLS."""

import ipaddress
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import torizon_io_api
from client.stub import Answer, Stub, error, page, serving
from torizon_io_api import PackagesApi
from torizon_io_api.rest import ApiException


def write_certificate(folder: Path) -> Path:
    """A PEM file with key and certificate of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stub")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "stub.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    return write_certificate(tmp_path)


@pytest.fixture
def secure(pem: Path) -> Iterator[Stub]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with serving(context) as running:
        yield running


def api(stub: Stub, **options: object) -> PackagesApi:
    configuration = torizon_io_api.Configuration(host=stub.host, retries=0, **options)  # type: ignore[arg-type]
    return PackagesApi(torizon_io_api.ApiClient(configuration))


def test_an_unknown_certificate_is_refused(secure: Stub) -> None:
    with pytest.raises(ApiException, match="CERTIFICATE_VERIFY_FAILED") as caught:
        api(secure).get_packages()
    assert caught.value.status == 0
    assert secure.seen == []


def test_a_certificate_that_was_named_is_trusted(secure: Stub, pem: Path) -> None:
    secure.answer(page())
    assert api(secure, ssl_ca_cert=str(pem)).get_packages().total == 0


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_any_certificate_is_trusted_when_asked_for(secure: Stub) -> None:
    secure.answer(page())
    assert api(secure, verify_ssl=False).get_packages().total == 0


def test_an_early_answer_inside_tls_is_the_exception_it_stands_for(secure: Stub, pem: Path) -> None:
    secure.answer(Answer(409, error(409, "exists already").value, early=True))
    with pytest.raises(torizon_io_api.ConflictException, match="exists already"):
        api(secure, ssl_ca_cert=str(pem)).post_packages("a", "1", "BINARY", body=bytes(64 << 20))
