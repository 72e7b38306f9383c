"""Publishers on loopback, good and bad, and the certificates that they show."""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from otarium.adapters.fetcher import GuardedFetcher
from otarium.domain.errors import SourceUnreachable
from otarium.services.ports_sources import FetchRequest, SourceFetcher

NAME = "packages.example.test"
LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
PRIVATE = {"authorization": "Bearer s3cr3t-of-the-feed", "x-tenant": "s3cr3t-tenant"}
BLOCK = bytes(64 * 1024)
_HEAD_END = b"\r\n\r\n"


@dataclass
class Seen:
    target: str
    headers: dict[str, str]


Script = Callable[[Seen, socket.socket], None]


def said(body: bytes = b"", status: int = 200, length: int | None = None, **headers: str) -> bytes:
    """An answer; `length` is what it says of itself."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + _HEAD_END + body


def endless(opening: bytes, piece: bytes, pause: float = 0.0, most: int = 1 << 40) -> Script:
    """Says the opening, and then the piece again and again until nobody listens or `most` bytes are out."""

    def script(seen: Seen, connection: socket.socket) -> None:
        connection.sendall(opening)
        for _ in range(most // len(piece)):
            connection.sendall(piece)
            time.sleep(pause)

    return script


class Publisher:
    """Answers every connection once, by its script, and keeps what it was asked."""

    def __init__(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        self.port: int = listener.getsockname()[1]
        self.seen: list[Seen] = []
        self.server_names: list[str | None] = []
        self.connections = 0
        self.script: Script = lambda seen, connection: connection.sendall(said(b"{}"))
        self._listener, self._tls = listener, tls
        if tls is not None:
            tls.sni_callback = lambda _socket, name, _context: self.server_names.append(name)

    def url(self, host: str = "127.0.0.1", path: str = "/targets.json") -> str:
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"

    def says(self, *answers: bytes) -> None:
        """In order, the last one again and again."""
        waiting = list(answers)
        self.script = lambda seen, connection: connection.sendall(
            waiting.pop(0) if len(waiting) > 1 else waiting[0]
        )

    def run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.settimeout(5)
            stream = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
            with stream:
                self._answer(stream)

    def _answer(self, stream: socket.socket) -> None:
        head = b""
        while _HEAD_END not in head:
            received = stream.recv(65536)
            if not received:
                return
            head += received
        first, *rest = head.partition(_HEAD_END)[0].decode("latin-1").split("\r\n")
        pairs = [line.partition(": ") for line in rest]
        seen = Seen(first.split(" ")[1], {name.lower(): value for name, _, value in pairs})
        self.seen.append(seen)
        self.script(seen, stream)


@contextmanager
def publishing(
    tls: ssl.SSLContext | None = None, address: str = "127.0.0.1", port: int = 0
) -> Iterator[Publisher]:
    listener = socket.create_server((address, port))
    publisher = Publisher(listener, tls)
    threading.Thread(target=publisher.run, daemon=True).start()
    try:
        yield publisher
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


class Authority:
    """Signs certificates; `file` is what those who trust it are given."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Somebody's own authority")
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        certificate = (
            _builder(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = directory / "authority.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, *names: str) -> ssl.SSLContext:
        """What a server needs to show a certificate for these names or addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(_name(names[0]), self._name, key.public_key())
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), False)
            .sign(self._key, hashes.SHA256())
        )
        return _context(self._directory / f"{names[0]}.pem", key, certificate)


def self_signed(directory: Path, name: str) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name(name), _name(name), key.public_key())
        .add_extension(x509.SubjectAlternativeName([_general_name(name)]), False)
        .sign(key, hashes.SHA256())
    )
    return _context(directory / "self.pem", key, certificate)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )


def _context(path: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> ssl.SSLContext:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def guarded(
    authority: Authority, *publishers: Publisher, addresses: tuple[str, ...] = ("127.0.0.1",)
) -> GuardedFetcher:
    """Trusts the authority, loopback and these ports, so that no source needs to be insecure."""
    return GuardedFetcher(
        ca_file=authority.file,
        ports=frozenset(publisher.port for publisher in publishers),
        connect_seconds=0.5,
        allowed_networks=[LOOPBACK],
        resolver=lambda host, port: addresses if host == NAME else [host],
    )


def refused(fetcher: SourceFetcher, uri: str, redirects: bool = False) -> str:
    """What is said to a source that is not marked insecure."""
    with pytest.raises(SourceUnreachable) as caught:
        fetcher.fetch(FetchRequest(uri, PRIVATE, redirects=redirects))
    return caught.value.message
