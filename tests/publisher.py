"""A publisher of external packages, with signing of its own, and a web host for its files.

    tdx = Publisher("tdx")
    raw = tdx.uptane(target("tdx/os-1.0") | target("tdx/boot-2"))
    with serving({"/tdx.json": raw}) as host:
        bundle = tdx.bundle(host.url + "/tdx.json")

What a file or a host does wrong is said where it is made: `tdx.uptane({}, version=0)`,
`tdx.tuf({}, _type=OMIT)`, `host.status("/tdx.json", 500)`. Keys are the same in every run, but for RSA ones,
which are made once a run.
"""

import base64
import contextlib
import datetime as dt
import functools
import hashlib
import ipaddress
import json
import ssl
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from judges.uptane_canonical import canonical

MONTH = 30 * 86_400
OMIT: Any = object()
"""As the value of a member of `signed`: leave the member out."""
_SCHEMES = {"ed25519": "ed25519", "rsa": "rsassa-pss-sha256", "ecdsa": "ecdsa-sha2-nistp256"}
_METHODS = {"ed25519": "ed25519", "rsa": "rsassa-pss-sha256", "ecdsa": "ed25519"}
_Private = Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Json = dict[str, Any]
_Body = bytes | Callable[[], Iterable[bytes]]
_Headers = Mapping[str, str | None]


def olpc(value: Any) -> bytes:
    """What a TUF 1.0 signature covers: only the quote and the backslash are escaped."""
    if isinstance(value, dict):
        return b"{" + b",".join(olpc(key) + b":" + olpc(value[key]) for key in sorted(value)) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(olpc, value)) + b"]"
    if isinstance(value, str):
        return b'"' + value.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'
    return json.dumps(value).encode()


def when(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@functools.cache
def _private_key(kind: str, owner: str, number: int, bits: int) -> _Private:
    seed = hashlib.sha256(f"{owner}/{number}".encode()).digest()
    if kind == "rsa":
        return rsa.generate_private_key(65_537, bits)
    if kind == "ecdsa":
        return ec.derive_private_key(int.from_bytes(seed) >> 1, ec.SECP256R1())
    return Ed25519PrivateKey.from_private_bytes(seed)


@dataclass(frozen=True)
class SigningKey:
    kind: str
    private: _Private
    rule: str = "uptane"
    """How its id is made: `uptane` hashes the public part, `spki` its DER form, `tuf` the key object."""

    @functools.cached_property
    def public(self) -> str:
        if isinstance(self.private, Ed25519PrivateKey):
            return self.private.public_key().public_bytes_raw().hex()
        return self._spki(serialization.Encoding.PEM).decode()

    def _spki(self, encoding: serialization.Encoding) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(encoding, form)

    @property
    def stated(self) -> Json:
        """As publishers state it: the Uptane tools in capitals, the TUF tools with a scheme."""
        if self.rule == "tuf":
            return {"keytype": self.kind, "keyval": {"public": self.public}, "scheme": _SCHEMES[self.kind]}
        return {"keytype": self.kind.upper(), "keyval": {"public": self.public}}

    @functools.cached_property
    def key_id(self) -> str:
        der = self._spki(serialization.Encoding.DER)
        forms = {"uptane": canonical(self.public.rstrip("\n")), "spki": der, "tuf": olpc(self.stated)}
        return hashlib.sha256(forms[self.rule]).hexdigest()

    def sign(self, payload: bytes, salt: int = 32) -> bytes:
        if isinstance(self.private, Ed25519PrivateKey):
            return self.private.sign(payload)
        if isinstance(self.private, rsa.RSAPrivateKey):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
            return self.private.sign(payload, pss, hashes.SHA256())
        return self.private.sign(payload, ec.ECDSA(hashes.SHA256()))


def target(
    target_id: str,
    body: bytes | None = None,
    hardware_ids: Sequence[str] = ("hw",),
    uri: str | None = None,
    **custom: Any,
) -> Json:
    """One member of `targets`; join several with `|`. A member of `custom` that is OMIT is left out."""
    name, _, version = target_id.rpartition("-")
    body = target_id.encode() if body is None else body
    stated = {"name": name, "version": version, "hardwareIds": list(hardware_ids), "targetFormat": "BINARY"}
    stated |= {"createdAt": "2026-01-02T03:04:05Z", "uri": OMIT if uri is None else uri} | custom
    kept = {member: value for member, value in stated.items() if value is not OMIT}
    sha256 = hashlib.sha256(body).hexdigest()
    return {target_id: {"custom": kept, "hashes": {"sha256": sha256}, "length": len(body)}}


class Publisher:
    def __init__(
        self,
        name: str,
        paths: Sequence[str] | None = None,
        keys: int = 1,
        kind: str = "ed25519",
        threshold: int = 1,
        *,
        bits: int = 2048,
        rule: str = "uptane",
        now: Callable[[], float] = time.time,
    ) -> None:
        self.name, self.threshold, self.now = name, threshold, now
        self.paths = [f"{name}/*"] if paths is None else list(paths)
        self.keys = [SigningKey(kind, _private_key(kind, name, at, bits), rule) for at in range(keys)]

    def uptane(self, targets: Json, version: Any = 1, expires: Any = None, **overrides: Any) -> bytes:
        """`overrides` are members of `signed`. The bytes are the canonical ones."""
        signed = self._signed("Targets", targets, version, expires, overrides)
        return canonical(self.signed_by(self.keys, signed))

    def tuf(self, targets: Json, version: Any = 1, expires: Any = None, **overrides: Any) -> bytes:
        signed = self._signed("targets", targets, version, expires, {"spec_version": "1.0.31"} | overrides)
        document = self.signed_by(self.keys, signed, dialect="tuf")
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()

    def _signed(self, kind: str, targets: Json, version: Any, expires: Any, overrides: Json) -> Json:
        expires = when(self.now() + MONTH) if expires is None else expires
        made = {"_type": kind, "expires": expires, "targets": targets, "version": version} | overrides
        return {member: value for member, value in made.items() if value is not OMIT}

    @staticmethod
    def signed_by(keys: Iterable[SigningKey], signed: Any, dialect: str = "uptane", salt: int = 32) -> Json:
        """The envelope of anything, by any keys."""
        return {"signatures": [signature(key, signed, dialect, salt) for key in keys], "signed": signed}

    def bundle(self, fetch_url: str, **extra: Any) -> Json:
        """What a publisher hands out to be added by others; `extra` are members beside or instead."""
        about = {
            "name": f"{self.name}.json",
            "keyids": [key.key_id for key in self.keys],
            "paths": self.paths,
            "threshold": self.threshold,
            "terminating": False,
        }
        stated = [key.stated for key in self.keys]
        made = {"keys": stated, "delegationMetadata": about, "fetchUrl": fetch_url, "friendlyName": self.name}
        return made | extra


def signature(key: SigningKey, signed: Any, dialect: str = "uptane", salt: int = 32) -> Json:
    if dialect == "tuf":
        return {"keyid": key.key_id, "sig": key.sign(olpc(signed), salt).hex()}
    value = base64.b64encode(key.sign(canonical(signed), salt)).decode()
    return {"keyid": key.key_id, "method": _METHODS[key.kind], "sig": value}


@dataclass
class _Page:
    status: int
    body: _Body
    headers: Mapping[str, str]


@dataclass
class Host:
    """What it answers may be changed at any time. Pages that were never put are 404."""

    url: str = ""
    ca_pem: Path | None = None
    """The only authority that vouches for it, when it speaks TLS."""
    requests: Counter[str] = field(default_factory=Counter)
    request_headers: dict[str, list[dict[str, str]]] = field(default_factory=lambda: defaultdict(list))
    """By path, in the order of requests; names in lower case."""
    _pages: dict[str, _Page] = field(default_factory=dict)
    _held: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """Whoever asks meanwhile is answered after the block."""
        with self._held:
            yield

    def put(self, path: str, body: _Body, headers: _Headers | None = None, status: int = 200) -> None:
        """A body that is called gives its chunks, without a length. `headers` win over ETag and the like;
        one that is None is not sent."""
        made: _Headers = {"Content-Type": "application/json", "Last-Modified": formatdate(usegmt=True)}
        if isinstance(body, bytes):
            etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            made = {**made, "ETag": etag, "Content-Length": str(len(body))}
        kept = {name: value for name, value in {**made, **(headers or {})}.items() if value is not None}
        self._pages[path] = _Page(status, body, kept)

    def status(self, path: str, status: int, headers: _Headers | None = None) -> None:
        """Answer so, with no body, until the next `put`."""
        self.put(path, b"", headers, status)

    def answer(self, path: str, headers: Mapping[str, str]) -> _Page:
        self.requests[path] += 1
        self.request_headers[path].append({name.lower(): value for name, value in headers.items()})
        with self._held:
            pass
        page = self._pages.get(path) or _Page(404, b"", {"Content-Length": "0"})
        known = headers.get("If-None-Match")
        if page.status != 200 or known is None or known != page.headers.get("ETag"):
            return page
        return _Page(304, b"", {k: v for k, v in page.headers.items() if k in ("ETag", "Last-Modified")})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host: Host

    def do_GET(self) -> None:
        page = self.host.answer(self.path, dict(self.headers))
        self.send_response(page.status)
        for name, value in page.headers.items():
            self.send_header(name, value)
        self.close_connection = not isinstance(page.body, bytes)
        with contextlib.suppress(OSError):  # whoever asked has gone
            self.end_headers()
            body = (page.body,) if isinstance(page.body, bytes) else page.body()
            for chunk in () if self.command == "HEAD" else body:
                self.wfile.write(chunk)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing: tests look at `requests`."""


@contextlib.contextmanager
def serving(files: Mapping[str, bytes] | None = None, *, tls: bool = False) -> Iterator[Host]:
    host = Host()
    for path, body in (files or {}).items():
        host.put(path, body)
    handler = type("Handler", (_Handler,), {"host": host})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads, server.block_on_close = True, False
    with tempfile.TemporaryDirectory() as directory:
        if tls:
            host.ca_pem = Path(directory, "ca.pem")
            server.socket = _tls(host.ca_pem).wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        host.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield host
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _tls(ca_pem: Path) -> ssl.SSLContext:
    """A certificate for 127.0.0.1 and localhost that is its own authority."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=127.0.0.1")
    now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now - day, now + day
    )
    made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    ca_pem.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key_pem = ca_pem.with_name("key.pem")
    key_pem.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_pem, key_pem)
    return context
