"""Two machines over one PostgreSQL and one object store: either takes any call, and devices never go back."""

import json
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest

from harness import PATIENCE, Server, http, running_server, upload
from replicas import running_replicas, shared_settings
from wire import wire_to

SEEN_WITHIN = 1.0 + PATIENCE


@pytest.fixture(scope="module")
def shared() -> Iterator[dict[str, str]]:
    with shared_settings() as settings:
        yield settings


@pytest.fixture(scope="module")
def replicas(shared, tmp_path_factory) -> Iterator[list[Server]]:
    with running_replicas(tmp_path_factory.mktemp("replicas"), 2, shared) as servers:
        yield servers


def timestamp_version(server: Server) -> int:
    return json.loads(http(server, "GET", "/repo/timestamp.json").body)["signed"]["version"]


def test_what_one_published_the_other_serves_within_a_second_and_neither_goes_back(replicas):
    one, other = replicas
    for number in range(6):
        publisher, reader = (one, other) if number % 2 else (other, one)
        upload(publisher, "shared", str(number), b"bytes %d" % number)
        published, asked = timestamp_version(publisher), time.monotonic()
        seen = [timestamp_version(reader)]
        while seen[-1] < published:
            assert time.monotonic() - asked < SEEN_WITHIN
            seen.append(timestamp_version(reader))
        assert seen == sorted(seen)


def test_a_package_of_one_is_listed_and_downloaded_from_the_other(replicas):
    one, other = replicas
    body = bytes(range(256)) * 40_000
    upload(one, "firmware", "1", body)
    assert http(other, "GET", "/api/v2/packages/firmware-1").json["size"] == len(body)
    assert http(other, "GET", "/repo/targets/firmware-1").body == body
    part = http(other, "GET", "/repo/targets/firmware-1", headers={"Range": "bytes=1000000-1000009"})
    assert (part.status, part.body) == (206, body[1_000_000:1_000_010])


def test_the_same_id_with_other_bytes_is_refused_by_either(replicas):
    one, other = replicas
    upload(one, "once", "1", b"first")
    upload(other, "once", "1", b"first")
    upload(other, "once", "1", b"other", status=409)


def test_devices_can_be_sent_to_the_store_by_links(replicas, shared, tmp_path):
    one, _ = replicas
    upload(one, "linked", "1", b"by link")
    (tmp_path / "data").mkdir(mode=0o700)
    shutil.copy(one.data_dir / "master.key", tmp_path / "data" / "master.key")
    with running_server(tmp_path / "data", env={**shared, "OTARIUM_DOWNLOADS": "links"}) as linking:
        answer = http(linking, "GET", "/repo/targets/linked-1")
        assert answer.status == 302
        with urllib.request.urlopen(answer.headers["location"]) as found:
            assert found.read() == b"by link"


def test_links_lead_to_where_devices_reach_the_store(replicas, shared, tmp_path):
    """Devices take the wire, the replica does not."""
    one, _ = replicas
    upload(one, "elsewhere", "1", b"by another way")
    (tmp_path / "data").mkdir(mode=0o700)
    shutil.copy(one.data_dir / "master.key", tmp_path / "data" / "master.key")
    store = urllib.parse.urlsplit(shared["AWS_ENDPOINT_URL"])
    with wire_to(store.port) as wire:
        public = f"http://127.0.0.1:{wire.port}"
        env = {**shared, "OTARIUM_DOWNLOADS": "links", "OTARIUM_LINKS_ENDPOINT": public}
        with running_server(tmp_path / "data", env=env) as linking:
            link = http(linking, "GET", "/repo/targets/elsewhere-1").headers["location"]
            assert link.startswith(f"{public}/packages/")
            with urllib.request.urlopen(link) as found:
                assert found.read() == b"by another way"


def test_what_lies_in_the_store_is_private(replicas, shared):
    sha256 = upload(replicas[0], "private", "1", b"nobody's business")["hashes"]["sha256"]
    with pytest.raises(urllib.error.HTTPError, match="403"):
        key = f"packages/otarium/sha256/{sha256[:2]}/{sha256}"
        urllib.request.urlopen(f"{shared['AWS_ENDPOINT_URL']}/{key}")


def test_the_repository_verifies_from_any_of_them(replicas):
    for server in replicas:
        verified = server.run("verify", check=False)
        assert verified.returncode == 0, verified.stdout + verified.stderr


def test_no_password_of_the_database_is_told(replicas, shared):
    for server in replicas:
        assert shared["OTARIUM_DATABASE_URL"] not in server.log.read_text()
