"""A repository carries another one's own packages, live and over TLS, to its own devices and clients."""

import contextlib
import ipaddress
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from api.calls import upload_path
from api.sources import JSON_BODY, SOURCES, call, done, rows, show
from device.external import BOTH, HARDWARE, client, device_get, every_client, supplier
from harness import PATIENCE, Answer, Server, free_port, running_server
from publisher import serving

BUNDLE = "/api/otarium/v1/bundle"
FEED = "/repo/feed/targets.json"
SMALL = {"OTARIUM_FIRST_SHELF_PACKAGES": "3", "OTARIUM_SHELF_PACKAGES": "3"}


def certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its private key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string(f"CN={directory.name}")  # two of one name are taken for each other
    now, day = datetime.now(UTC), timedelta(days=1)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now - day, now + day
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = made.add_extension(names, critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    paths = directory / "cert.pem", directory / "key.pem"
    paths[0].write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    return paths


@dataclass
class TlsServer(Server):
    authority: Path = Path()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        sent = {"Authorization": f"Bearer {self.token}"} | headers
        request = urllib.request.Request(self.url + path, body, sent, method=method)
        context = ssl.create_default_context(cafile=str(self.authority))
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, dict(error.headers), error.read())

    def upload(self, name: str, version: str, body: bytes) -> str:
        """The id of the package."""
        answer = self.ask("POST", upload_path(name, version, [HARDWARE]), body)
        assert answer.status == 200, answer.body
        return answer.json["packageId"]

    def _is_ready(self) -> bool:
        try:
            return self.ask("GET", "/health/ready").status == 200
        except OSError:
            return False


@contextlib.contextmanager
def tls_server(data_dir: Path, cert: Path, key: Path, **more: str) -> Iterator[TlsServer]:
    port = free_port()
    args = ("--tls-cert", str(cert), "--tls-key", str(key))
    env = {"OTARIUM_PUBLIC_URL": f"https://127.0.0.1:{port}"} | more
    server = TlsServer(data_dir, port, args, env, authority=cert)
    try:
        server.start()
        server.token = server.create_token()
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def chained(directory: Path, **upstream_env: str) -> Iterator[tuple[Server, TlsServer]]:
    """The repository that carries, and the one whose packages it carries as `upstream`."""
    cert, key = certificate(directory)
    with (
        pytest.MonkeyPatch.context() as patched,
        tls_server(directory / "upstream", cert, key, **upstream_env) as upstream,
        running_server(directory / "data", env={"OTARIUM_SOURCE_CA_FILE": str(cert)}) as server,
    ):
        for variable in ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"):  # what clients trust
            patched.setenv(variable, str(cert))
        bundle = upstream.ask("GET", BUNDLE + "?name=upstream").json
        shown = done(call(server, "POST", body=bundle | {"insecure": True}))
        assert (shown["name"], shown["state"], shown["problem"]) == ("upstream", "fresh", None)
        yield server, upstream


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    with chained(tmp_path_factory.mktemp("chain")) as both:
        yield both


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """The same, where the other repository outgrew its first shelf, and carries a source, since."""
    with (
        chained(tmp_path_factory.mktemp("grown"), **SMALL) as (server, upstream),
        serving() as host,
    ):
        for number in range(3):
            upstream.upload(f"early-{number}", "1", b"x")
        refreshed(server)
        for number in range(3, 7):
            upstream.upload(f"early-{number}", "1", b"x")
        body = json.dumps(supplier(host, "nested", lists=BOTH).bundle()).encode()
        answer = upstream.ask("POST", SOURCES, body, **JSON_BODY)
        assert (answer.status, answer.json["state"]) == (200, "fresh")
        yield server, upstream


def refreshed(server: Server) -> Any:
    return done(call(server, "POST", "/upstream/refresh"))


def followed(upstream: TlsServer, package_id: str, *, gone: bool = False) -> None:
    """Wait until the list of all packages has caught up."""
    until = time.monotonic() + 2 + PATIENCE
    while True:
        listed = json.loads(upstream.ask("GET", FEED).body)["signed"]["targets"]
        if (package_id in listed) != gone:
            return
        assert time.monotonic() < until, listed
        time.sleep(0.1)


@every_client
@pytest.mark.parametrize("name", ["flat", "deep/er/and/er", "odd é +~"])
def test_a_package_of_the_other_repository_reaches_clients_after_a_refresh(servers, tmp_path, judge, name):
    server, upstream = servers
    known = client(judge, server, tmp_path)
    package_id = upstream.upload(f"{name}-{judge}", "1", b"from afar")
    assert known.follow(package_id) == {}
    refreshed(server)
    assert known.follow(package_id) == {package_id: b"from afar"}
    again = upstream.upload(f"{name}-{judge}", "2", b"once more")
    refreshed(server)
    assert known.follow(package_id, again) == {package_id: b"from afar", again: b"once more"}


@every_client
def test_a_deletion_there_reaches_clients_too(servers, tmp_path, judge):
    server, upstream = servers
    package_id = upstream.upload(f"gone-{judge}", "1", b"x")
    refreshed(server)
    known = client(judge, server, tmp_path)
    assert package_id in known.follow(package_id)
    assert upstream.ask("DELETE", f"/api/v2beta/packages/{package_id}").status == 200
    refreshed(server)
    assert known.follow(package_id) == {}
    assert package_id not in {row["packageId"] for row in rows(server, "upstream")}


def test_bytes_stay_there_and_files_are_passed_on_as_they_are(servers):
    server, upstream = servers
    package_id = upstream.upload("stays", "1", b"there")
    refreshed(server)
    answer = device_get(server, f"/repo/targets/{package_id}")
    assert (answer.status, answer.headers["location"]) == (302, f"{upstream.url}/repo/targets/{package_id}")
    theirs = upstream.ask("GET", FEED).body
    assert theirs == upstream.ask("GET", "/repo/targets.json").body
    assert device_get(server, "/repo/delegations/upstream.json").body == theirs
    version = json.loads(theirs)["signed"]["version"]
    assert (
        device_get(server, f"/tuf/{version}.upstream.json").body
        == upstream.ask("GET", "/tuf/feed/targets.json").body
    )


def test_the_command_and_the_call_give_the_same_bundle(servers):
    _, upstream = servers
    options = ("--name", "other", "--path", "a-*", "--path", "b-*")
    printed = json.loads(upstream.run("source", "bundle", *options).stdout)
    assert printed == upstream.ask("GET", BUNDLE + "?name=other&path=a-*&path=b-*").json
    assert printed["fetchUrl"] == f"{upstream.url}/repo/feed/targets.json"
    assert printed["tufFetchUrl"] == f"{upstream.url}/tuf/feed/targets.json"
    assert printed["delegationMetadata"]["paths"] == ["a-*", "b-*"]


@every_client
def test_what_outgrew_its_first_shelf_and_carries_sources_goes_on_being_a_source(grown, tmp_path, judge):
    server, upstream = grown
    known = client(judge, server, tmp_path)
    assert known.follow("early-0-1") == {"early-0-1": b"x"}
    package_id = upstream.upload(f"late/{judge}", "1", b"from a page")
    followed(upstream, package_id)
    assert refreshed(server)["state"] == "fresh"
    everything = {f"early-{number}-1": b"x" for number in range(7)} | {package_id: b"from a page"}
    for one in (known, client(judge, server, tmp_path / "new")):
        assert one.follow(*everything, "nested/os-1.0") == everything
    assert upstream.ask("DELETE", f"/api/v2beta/packages/{urllib.parse.quote(package_id)}").status == 200
    followed(upstream, package_id, gone=True)
    refreshed(server)
    assert known.follow(package_id) == {}


def test_its_bundle_is_the_one_that_it_always_was(grown):
    server, upstream = grown
    bundle, shown = upstream.ask("GET", BUNDLE + "?name=again").json, show(server, "upstream")
    assert (bundle["fetchUrl"], bundle["tufFetchUrl"]) == (shown["fetchUrl"], shown["tufFetchUrl"])
    assert json.loads(upstream.run("source", "bundle", "--name", "again").stdout) == bundle
    assert done(call(server, "POST", body=bundle | {"insecure": True}))["state"] == "fresh"
    done(call(server, "DELETE", "/again"))


def test_no_device_is_told_of_the_list_of_all_packages(grown, tmp_path):
    _, upstream = grown
    for dialect in ("repo", "tuf"):
        lines = json.loads(upstream.ask("GET", f"/{dialect}/snapshot.json").body)["signed"]["meta"]
        assert not any("feed" in name for name in lines)
        listed = json.loads(upstream.ask("GET", f"/{dialect}/feed/targets.json").body)["signed"]
        assert "delegations" not in listed
        for path in ("feed.json", "delegations/feed.json", "feed/snapshot.json", "feed/1.targets.json"):
            assert upstream.ask("GET", f"/{dialect}/{path}").status == 404
    head = upstream.ask("HEAD", FEED)
    assert head.headers["cache-control"] == "no-cache"
    assert upstream.ask("GET", FEED, **{"If-None-Match": head.headers["etag"]}).status == 304


def test_it_is_whole_and_a_backup_of_it_is_too(grown, tmp_path):
    _, upstream = grown
    assert json.loads(upstream.run("verify", "--json").stdout)["broken"] == []
    assert upstream.run("backup", str(tmp_path / "copy.tar")).returncode == 0


def test_a_layout_that_is_flat_again_and_back_is_followed(tmp_path):
    with chained(tmp_path, **SMALL) as (server, upstream):
        known, ids = client("python-tuf", server, tmp_path), []
        for layout in ("shelves", "flat", "shelves"):
            upstream.stop()
            upstream.env = {**upstream.env, "OTARIUM_LAYOUT": layout}
            upstream.start()
            ids += [upstream.upload(f"{layout}-{len(ids) + more}", "1", b"x") for more in range(3)]
            followed(upstream, ids[-1])
            assert refreshed(server)["state"] == "fresh"
            assert known.follow(*ids) == dict.fromkeys(ids, b"x")


def test_a_host_whose_authority_is_not_named_is_not_trusted(servers):
    server, _ = servers
    with serving(tls=True) as host:
        shown = supplier(host, "stranger").add(server)
        done(call(server, "DELETE", "/stranger"))
    assert (shown["state"], shown["problem"]["code"]) == ("unreachable", "delegation_remote_fetch_failed")
    assert "certificate is not trusted" in shown["problem"]["message"]
    assert host.requests.total() == 0


def test_a_private_address_needs_the_operators_yes(servers):
    server, upstream = servers
    bundle = upstream.ask("GET", BUNDLE + "?name=private").json
    shown = done(call(server, "POST", body=bundle))
    done(call(server, "DELETE", "/private"))
    assert (shown["state"], shown["problem"]["code"]) == ("unreachable", "delegation_remote_fetch_failed")
    assert f"the port {upstream.port}" in shown["problem"]["message"]
    assert "OTARIUM_SOURCE_PORTS" in shown["problem"]["message"]


def test_networks_and_ports_of_mirrors_inside_are_settings(servers, tmp_path):
    _, upstream = servers
    bundle = upstream.ask("GET", BUNDLE + "?name=inside").json
    allowed = {
        "OTARIUM_SOURCE_PORTS": f"{upstream.port}, 9443",
        "OTARIUM_SOURCE_CA_FILE": str(upstream.authority),
    }
    with running_server(tmp_path / "data", env=allowed) as server:
        shown = done(call(server, "POST", body=bundle))
        assert "127.0.0.1, which is not public" in shown["problem"]["message"]
        assert "OTARIUM_SOURCE_NETWORKS" in shown["problem"]["message"]
        server.stop()
        server.env = allowed | {"OTARIUM_SOURCE_NETWORKS": "10.0.0.0/8, 127.0.0.0/8"}
        server.start()
        assert done(call(server, "POST", "/inside/refresh"))["state"] == "fresh"
        plain = {"fetchUrl": upstream.url.replace("https", "http") + FEED}
        assert call(server, "PATCH", "/inside", plain).status == 400
