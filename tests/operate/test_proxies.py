"""nginx and HAProxy as shipped: who a device is, where it goes, what is repeated, what streams."""

import json
import os
import re
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import proxies
from harness import free_port

TOKENS = 40
NOTICED = 4.0
"""Seconds, in which a proxy has seen all that its probes tell."""


@dataclass
class Replica:
    """Answers what it was asked with; stands for an Otarium."""

    status: int = 200
    can_write: bool = True
    asked: list[str] = field(default_factory=list)
    began: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        replica = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self.rfile.read(5)
                replica.began.set()
                self.rfile.read(int(self.headers["Content-Length"]) - 5)
                self._answer()

            def _answer(self) -> None:
                is_probe = self.path.startswith("/health/")
                if not is_probe:
                    replica.asked.append(f"{self.command} {self.path}")
                body = json.dumps(
                    {"port": replica.port, "device": self.headers["X-Otarium-Device"], "path": self.path}
                ).encode()
                well = 200 if replica.can_write or self.path != "/health/ready" else 503
                self.send_response(well if is_probe else replica.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # a proxy may drop a connection that it holds open
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@dataclass
class Front:
    """A proxy and what is behind it."""

    port: int
    tls_port: int
    replicas: list[Replica]
    certificates: Path

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, object]]:
        return self._get(HTTPConnection("127.0.0.1", self.port, timeout=10), path, headers)

    def get_with_certificate(self, path: str, **headers: str) -> tuple[int, dict[str, object]]:
        context = ssl.create_default_context(cafile=str(self.certificates / "ca.pem"))
        context.load_cert_chain(self.certificates / "device.pem")
        connection = HTTPSConnection("localhost", self.tls_port, timeout=10, context=context)
        return self._get(connection, path, headers)

    def _get(
        self, connection: HTTPConnection, path: str, headers: dict[str, str]
    ) -> tuple[int, dict[str, object]]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers=sent)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, json.loads(body) if body.startswith(b"{") else {}


def openssl(*words: str, at: Path) -> None:
    subprocess.run(["openssl", *words], cwd=at, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    at: Path = tmp_path_factory.mktemp("certificates")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=devices", at=at)
    signed = ["-x509", *key, "-CA", "ca.pem", "-CAkey", "ca.key"]
    for name, subject in (("server", "/CN=localhost"), ("device", "/CN=board-7/O=fleet")):
        san = ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]
        openssl(
            "req", *signed, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", subject, *san, at=at
        )
        (at / f"{name}.pem").write_text((at / f"{name}.crt").read_text() + (at / f"{name}.key").read_text())
    return at


def with_https(text: str, certificates: Path, port: int) -> str:
    """The example of https that the files have in comments."""
    text = re.sub(r"# (?=listen 443|ssl_|bind :443)", "", text)
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}").replace(
        "bind :443", f"bind 127.0.0.1:{port}"
    )
    text = re.sub(r"/etc/(?:nginx/tls|haproxy)/(?=[\w-]+\.(?:pem|key))", f"{certificates}/", text)
    return text.replace("devices-ca.pem", "ca.pem")


@pytest.fixture(params=["nginx", "haproxy"])
def front(request, tmp_path: Path, certificates: Path) -> Iterator[Front]:
    if not proxies.is_installed(request.param) and os.environ.get("CI") != "true":
        pytest.skip(f"{request.param} is not installed")
    replicas, tls_port = [Replica(), Replica()], free_port()

    def edit(text: str) -> str:
        return with_https(text, certificates, tls_port)

    with (
        replicas[0].running(),
        replicas[1].running(),
        proxies.running_proxy(request.param, tmp_path, replicas, edit) as port,
    ):
        yield Front(port, tls_port, replicas, certificates)


def test_a_device_is_its_certificate_else_its_token_else_its_address(front: Front) -> None:
    assert front.get("/repo/a")[1]["device"] == "127.0.0.1"
    assert front.get("/repo/a", X_Otarium_Device="made up")[1]["device"] == "127.0.0.1"
    assert front.get("/tuf/a", Authorization="Bearer x")[1]["device"] == "Bearer x"
    told = str(front.get_with_certificate("/repo/a", Authorization="Bearer x")[1]["device"])
    assert "board-7" in told and "Bearer" not in told


def test_a_device_meets_the_same_replica_and_devices_are_spread(front: Front) -> None:
    met = {
        token: {
            front.get(f"/repo/{name}.json", Authorization=f"Bearer {token}")[1]["port"]
            for name in ("timestamp", "snapshot", "targets")
        }
        for token in range(TOKENS)
    }
    assert all(len(ports) == 1 for ports in met.values())
    assert {port for ports in met.values() for port in ports} == {one.port for one in front.replicas}


def test_a_get_that_one_replica_cannot_answer_is_asked_of_another(front: Front) -> None:
    front.replicas[0].status = 503
    for token in range(10):
        status, answer = front.get("/repo/timestamp.json", Authorization=f"Bearer {token}")
        assert (status, answer["port"]) == (200, front.replicas[1].port)


def test_devices_are_served_and_callers_are_answered_by_a_replica_while_none_can_write(front: Front) -> None:
    """A database that is locked or away is so for all replicas: a balancer must not lose them all for it."""
    for replica in front.replicas:
        replica.can_write = False
    deadline = time.monotonic() + NOTICED
    while time.monotonic() < deadline:
        for path in ("/repo/timestamp.json", "/tuf/timestamp.json", "/api/v2beta/packages"):
            status, answer = front.get(path)
            assert (status, answer.get("path")) == (200, path)
        time.sleep(0.1)


def test_an_upload_streams_and_is_sent_once_whatever_comes_of_it(front: Front) -> None:
    for replica in front.replicas:
        replica.status = 503
    connection = HTTPConnection("127.0.0.1", front.port, timeout=10)
    connection.putrequest("POST", "/api/v2beta/packages")
    connection.putheader("Content-Length", "10")
    connection.endheaders()
    connection.send(b"12345")
    assert any(replica.began.wait(2) for replica in front.replicas), "the proxy holds the upload back"
    connection.send(b"67890")
    assert connection.getresponse().status == 503
    assert [path for replica in front.replicas for path in replica.asked] == ["POST /api/v2beta/packages"]


def test_metrics_and_decoded_paths_stay_inside(front: Front) -> None:
    assert front.get("/metrics")[0] == 404
    path = "/repo/targets/a%2Fb%20c"
    assert front.get(path)[1]["path"] == path, "the replica sees the path as it was sent"
