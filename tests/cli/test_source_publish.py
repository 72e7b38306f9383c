"""`otarium source publish`: what it writes is what repositories and devices accept."""

import hashlib
import json
import os
import stat
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from securesystemslib.signer import SSlibKey
from tuf.api.exceptions import UnsignedMetadataError

from client.stub import package, page, serving
from harness import api, http, package_path, running_server, upload
from list_publisher import DIALECTS, FETCH, KEYS, Publisher, app, publisher_in, refused, write_key
from otarium.domain.errors import SourceUnsigned
from otarium.domain.names import PackageId
from otarium.domain.roles import Dialect


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return publisher_in(tmp_path)


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("key", ["ed25519", "rsa"])
def test_a_repository_accepts_the_list_in_both_dialects(publisher: Publisher, key: str, name: str) -> None:
    meta = {"note": "line\nbreak \x7f é 😀", "n": [1, None, True]}
    publisher.published([app(proprietaryMeta=meta), app(version="2.0")], keys=[f"{key}.pem"])
    found = publisher.accepted(name)
    assert (found.file.dialect, found.file.version, found.left_out) == (DIALECTS[name], 1, [])
    assert [package.id for package in found.packages] == ["acme-app-1.0", "acme-app-2.0"]
    first = found.packages[0]
    assert (first.name, first.version, first.uri) == ("acme-app", "1.0", app()["uri"])
    assert (first.content.sha256, first.content.length) == (app()["sha256"], 3)
    assert (first.hardware_ids, first.meta) == (("my-board",), meta)
    assert found.file.listed_sha256 == found.file.sha256, "served bytes are canonical bytes"


@pytest.mark.parametrize("key", ["ed25519", "rsa", "ecdsa"])
def test_python_tuf_verifies_the_list(publisher: Publisher, key: str) -> None:
    publisher.published([app(proprietaryMeta={"note": "tab\t é 😀"})], keys=[f"{key}.pem"])
    targets = publisher.seen_by_python_tuf()
    assert targets.version == 1
    assert publisher.bundle["delegationMetadata"]["keyids"] == [
        SSlibKey.from_crypto(KEYS[key].public_key()).keyid
    ]
    assert targets.targets["acme-app-1.0"].custom["note"] == "tab\t é 😀"


@pytest.mark.parametrize("keys", [["ed25519.pem"], ["rsa.pem"], ["ed25519.pem", "rsa.pem"]])
def test_an_uptane_device_verifies_the_list(publisher: Publisher, keys: list[str]) -> None:
    publisher.published([app(proprietaryMeta={"note": "line\nbreak \x7f é"})], keys=keys)
    assert publisher.seen_by_a_device()["targets"]["acme-app-1.0"]["custom"]["hardwareIds"] == ["my-board"]


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_private_keys_of_openssl_are_read(publisher: Publisher, form: str) -> None:
    for name in ("rsa", "ecdsa"):
        write_key(publisher.folder / f"{name}.pem", KEYS[name], form)
    publisher.published([app()], keys=["rsa.pem", "ecdsa.pem"])
    publisher.seen_by_python_tuf()


def test_the_bundle_says_whom_to_trust_for_what_and_where_to_fetch(publisher: Publisher) -> None:
    publisher.published([app()], "--path", "acme-*", "--friendly-name", "Acme Inc.")
    stated = SSlibKey.from_crypto(KEYS["ed25519"].public_key())
    assert publisher.bundle == {
        "keys": [stated.to_dict()],
        "delegationMetadata": {
            "name": "acme",
            "keyids": [stated.keyid],
            "paths": ["acme-*"],
            "threshold": 1,
            "terminating": False,
        },
        "fetchUrl": FETCH,
        "tufFetchUrl": "https://updates.example/feeds/acme.tuf.json",
        "friendlyName": "Acme Inc.",
    }


def test_an_ecdsa_key_makes_the_tuf_list_alone(publisher: Publisher) -> None:
    publisher.published([app()], keys=["ecdsa.pem", "ed25519.pem"])
    assert not (publisher.folder / "acme.json").exists()
    assert publisher.bundle["fetchUrl"] == "https://updates.example/feeds/acme.tuf.json"
    assert "tufFetchUrl" not in publisher.bundle
    assert publisher.accepted("acme.tuf.json").file.dialect is Dialect.TUF


def test_a_list_that_loses_its_uptane_file_says_so(publisher: Publisher) -> None:
    publisher.published([app()])
    assert "acme.json stays as it was and will expire" in publisher.published([app()], keys=["ecdsa.pem"])


def test_all_keys_must_sign_unless_said_otherwise(publisher: Publisher) -> None:
    keys = ["ed25519.pem", "second.pem", "rsa.pem"]
    publisher.published([app()], keys=keys)
    assert publisher.bundle["delegationMetadata"]["threshold"] == 3
    for name in DIALECTS:
        publisher.accepted(name)
        path = publisher.folder / name
        document = json.loads(path.read_bytes())
        document["signatures"].pop()
        path.write_text(json.dumps(document))
        with pytest.raises(SourceUnsigned, match="signed by 2"):
            publisher.accepted(name)
    with pytest.raises(UnsignedMetadataError):
        publisher.seen_by_python_tuf()
    publisher.published([app()], "--threshold", "2", keys=keys)
    assert publisher.bundle["delegationMetadata"]["threshold"] == 2
    assert len(publisher.read("acme.json")["signatures"]) == 3
    refused(publisher.publish([app()], "--threshold", "4", keys=keys), "threshold 4 must be 1-3")


def test_the_paths_are_derived_from_the_names_without_wildcards(publisher: Publisher) -> None:
    publisher.published([app(name="a*b[c]"), app(name="os/acme"), app(name="os/acme", version="2")])
    assert publisher.bundle["delegationMetadata"]["paths"] == ["a[*]b[[]c]-*", "os/acme-*"]
    for name in DIALECTS:
        assert len(publisher.accepted(name).packages) == 3
    publisher.seen_by_python_tuf()


def test_dates_and_other_members_are_signed_as_stated(publisher: Publisher) -> None:
    commit = app(
        name="acme-os", targetFormat="OSTREE", length=0, uri=None, createdAt="2025-01-31T13:00:00.5+01:00"
    )
    publisher.published([commit])
    custom = publisher.read("acme.json")["signed"]["targets"]["acme-os-1.0"]["custom"]
    assert custom == {
        "name": "acme-os",
        "version": "1.0",
        "hardwareIds": ["my-board"],
        "targetFormat": "OSTREE",
        "createdAt": "2025-01-31T12:00:00Z",
        "updatedAt": "2025-01-31T12:00:00Z",
    }


def test_the_list_expires_when_asked_for(publisher: Publisher) -> None:
    publisher.published([app()], "--expires", "12h")
    left = publisher.accepted("acme.json").file.expires - time.time()
    assert 12 * 3600 - 60 < left <= 12 * 3600
    assert publisher.publish([app()], "--expires", "soon").code == 2


def test_what_was_written_is_printed(publisher: Publisher) -> None:
    done = publisher.publish([app(), app(version="2")], "--output", "public")
    lines = dict(line.split("\t") for line in done.out.splitlines())
    assert lines == {
        "list": "public/acme.json",
        "TUF list": "public/acme.tuf.json",
        "bundle": "public/add-acme.json",
        "version": "1",
        "packages": "2",
        "expires": publisher.read("public/acme.json")["signed"]["expires"],
    }
    assert sorted(path.name for path in (publisher.folder / "public").iterdir()) == sorted(
        Path(path).name for path in list(lines.values())[:3]
    )


def test_what_was_written_is_printed_as_json(publisher: Publisher) -> None:
    done = publisher.publish([app()], "--json")
    facts = json.loads(done.out)
    assert (facts["version"], facts["packages"], facts["threshold"], facts["paths"]) == (
        1,
        1,
        1,
        ["acme-app-*"],
    )
    assert (facts["uptane"], facts["tuf"], facts["bundle"]) == ("acme.json", "acme.tuf.json", "add-acme.json")
    assert facts["keyids"] == publisher.bundle["delegationMetadata"]["keyids"]
    assert facts["expires"] == publisher.read("acme.tuf.json")["signed"]["expires"]
    assert json.loads(publisher.publish([app()], "--json", keys=["ecdsa.pem"]).out)["uptane"] is None


def test_the_lists_are_for_everybody_to_read(publisher: Publisher) -> None:
    umask = os.umask(0o022)
    try:
        publisher.published([app()])
    finally:
        os.umask(umask)
    for name in (*DIALECTS, "add-acme.json"):
        assert stat.S_IMODE((publisher.folder / name).stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("options", "uptane", "tuf_list"),
    [
        (["https://h.example/x/"], "https://h.example/x/acme.json", "https://h.example/x/acme.tuf.json"),
        (["https://h.example/l.json"], "https://h.example/l.json", "https://h.example/acme.tuf.json"),
        (
            ["https://h.example/l?a=1", "--tuf-fetch-url", "https://h.example/l?a=2"],
            "https://h.example/l?a=1",
            "https://h.example/l?a=2",
        ),
    ],
)
def test_the_tuf_list_is_fetched_beside_the_other_unless_said_otherwise(
    publisher: Publisher, options: list[str], uptane: str, tuf_list: str
) -> None:
    publisher.published([app()], "--fetch-url", *options)
    assert (publisher.bundle["fetchUrl"], publisher.bundle["tufFetchUrl"]) == (uptane, tuf_list)


def test_urls_that_nobody_could_fetch_are_refused(publisher: Publisher) -> None:
    refused(publisher.publish([app()], "--fetch-url", "https://h.example/l?a=1"), "--tuf-fetch-url", code=2)
    refused(publisher.publish([app()], "--fetch-url", "ftp://h.example/l.json"), "ftp://h.example")
    refused(publisher.publish([app()], "--fetch-url", "https://me:pw@h.example/"), "user name or password")
    assert "not https" in publisher.published([app()], "--fetch-url", "http://h.example/l.json")


def test_the_packages_of_a_repository_are_published_with_where_they_are(
    publisher: Publisher, tmp_path: Path
) -> None:
    body = os.urandom(2000)
    with running_server(tmp_path / "data") as server:
        upload(server, "os/acme-app", "1.0+é", body, ["my-board", "b"])
        upload(server, "os/acme-app", "2.0", b"for another board", ["other"])
        upload(server, "secret", "1", b"not for others", ["my-board"])
        meta = {"proprietaryMeta": {"note": "é"}}
        api(server, "PATCH", package_path("os/acme-app-1.0+é"), json_body=meta)
        elsewhere = {"uri": "https://files.example/x"}
        where = (
            "publish",
            "--name",
            "acme",
            "--fetch-url",
            FETCH,
            "--key",
            "ed25519.pem",
            "--from-repository",
        )
        who = ("--host", server.api, "--token", server.token)
        done = publisher.run(*where, *who, "--name-contains", "ACME", "--hardware-id", "my-board")
        assert done.code == 0, done.err
        assert "which is each device itself" in done.err
        (found,) = publisher.accepted("acme.json").packages
        assert (found.id, found.hardware_ids, found.meta) == (
            "os/acme-app-1.0+é",
            ("my-board", "b"),
            {"note": "é"},
        )
        assert found.uri == f"{server.url}/repo/targets/os/acme-app-1.0%2B%C3%A9"
        assert http(server, "GET", urlsplit(found.uri).path, token=None).body == body
        assert hashlib.sha256(body).hexdigest() == found.content.sha256
        publisher.seen_by_python_tuf()
        publisher.seen_by_a_device()

        api(server, "PATCH", package_path("os/acme-app-2.0"), json_body=elsewhere)
        base = ("--device-url", "https://ota.example/")
        done = publisher.run(*where, *who, *base, "--name-contains", "acme")
        assert (done.code, "each device itself" in done.err) == (0, False)
        uris = {package.id: package.uri for package in publisher.accepted("acme.json").packages}
        assert uris == {
            "os/acme-app-1.0+é": "https://ota.example/repo/targets/os/acme-app-1.0%2B%C3%A9",
            "os/acme-app-2.0": "https://files.example/x",
        }
        refused(publisher.run(*where, *who, *base, "--name-contains", "nothing"), "no own package")


def test_a_list_goes_on_where_it_was_when_the_repository_is_asked_again(publisher: Publisher) -> None:
    """Asked as any repository with this API is; created dates come from it."""
    with serving() as stub:
        listed = package("acme-app", "1", hashes={"sha256": app()["sha256"]}, hardwareIds=["b"])
        stub.decide(lambda seen: page(listed) if "offset=0" in seen.target else page(total=1))
        where = (
            "publish",
            "--name",
            "acme",
            "--fetch-url",
            FETCH,
            "--key",
            "ed25519.pem",
            "--from-repository",
        )
        options = ("--host", stub.host, "--token", "t", "--device-url", "https://ota.example")
        first = [publisher.run(*where, *options).code, publisher.read("acme.json")["signed"]["targets"]]
        again = [publisher.run(*where, *options).code, publisher.read("acme.json")["signed"]["targets"]]
        assert first == again
        assert first[0] == 0
        assert list(first[1]) == [PackageId("acme-app-1")]
        assert all("packageSource=targets.json" in target for target in stub.targets)
