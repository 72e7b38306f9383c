"""The copy for a plain web server: real clients of both kinds get everything from nginx alone."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from device.external import HARDWARE, OVERLAP, TufClient, bytes_of, carrier, client, every_client, supplier
from device.names import NAMES, VERSION
from harness import Server, http, running_server, upload
from judges import tuf_js, tuf_ngclient
from nginx import nginx_on_a_copy, require_nginx
from replicas import store_of_objects

SECONDS = 20


@pytest.fixture(autouse=True)
def nginx() -> None:
    require_nginx()


def offloading(tmp_path: Path) -> dict[str, str]:
    return {"OTARIUM_OFFLOAD_URL": f"file://{tmp_path.resolve()}/copy", "OTARIUM_FIRST_SHELF_PACKAGES": "4"}


@contextmanager
def nginx_on_the_copy(server: Server, tmp_path: Path) -> Iterator[Server]:
    with nginx_on_a_copy(server, tmp_path / "nginx", tmp_path / "copy") as front:
        yield front


def version(server: Server, path: str = "/repo/timestamp.json") -> int:
    answer = http(server, "GET", path, token=None)
    return int(json.loads(answer.body)["signed"]["version"]) if answer.status == 200 else 0


def caught_up(server: Server, front: Server) -> None:
    deadline = time.monotonic() + SECONDS
    while version(front) != version(server) or version(front, "/tuf/timestamp.json") != version(server):
        assert time.monotonic() < deadline, server.log_tail()
        time.sleep(0.05)


def put(server: Server, *ids: str) -> dict[str, bytes]:
    made = {}
    for package_id in ids:
        name, _, number = package_id.rpartition("-")
        made[package_id] = f"the bytes of {package_id}".encode()
        upload(server, name, number, made[package_id], [HARDWARE], headers=OVERLAP)
    return made


@every_client
def test_nginx_alone_serves_what_was_published_before_and_after_growth(judge, tmp_path):
    environment = offloading(tmp_path)
    with (
        running_server(tmp_path / "data", env=environment, workers=2) as server,
        nginx_on_the_copy(server, tmp_path) as front,
    ):
        device = client(judge, front, tmp_path / "device")
        first = put(server, "app-1", "app-2", "os/image-1")
        caught_up(server, front)
        assert device.follow(*first) == first
        later = put(server, "app-3", "new-1", "app-4")
        caught_up(server, front)
        for dialect in ("repo", "tuf"):  # what other repositories carry comes from the server
            assert http(front, "GET", f"/{dialect}/feed/targets.json", token=None).status == 200
        server.stop()
        assert device.follow(*first, *later, "none-1") == first | later
        fresh = client(judge, front, tmp_path / "fresh")
        assert fresh.follow(*first, *later, "none-1") == first | later


@pytest.mark.parametrize("judge", [tuf_ngclient, tuf_js])
def test_a_bucket_alone_serves_tuf_clients_before_and_after_growth(judge, tmp_path):
    with store_of_objects() as store:
        bucket = f"{store['AWS_ENDPOINT_URL']}/packages"
        folder = f"copy-for-{judge.__name__}"  # one process has one store of its kind, whoever starts it
        open_to_everybody(bucket, f"{folder}/*")
        copy = f"{bucket}/{folder}/tuf"
        environment = {**offloading(tmp_path), **store, "OTARIUM_OFFLOAD_URL": f"s3://packages/{folder}"}
        with running_server(tmp_path / "data", env=environment) as server:
            first = put(server, "app-1", "app-2", "os/image-1")
            bucket_caught_up(server, copy)
            device = TufClient(judge, copy, tmp_path / "device")
            assert device.follow(*first) == first
            later = put(server, "app-3", "new-1", "app-4")
            bucket_caught_up(server, copy)
        assert device.follow(*first, *later, "none-1") == first | later
        assert TufClient(judge, copy, tmp_path / "fresh").follow(*first, *later) == first | later


def open_to_everybody(bucket: str, keys: str) -> None:
    """As its owner does it; whatever a server puts there is private."""
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
    policy = {"Statement": [{**statement, "Resource": f"arn:aws:s3:::packages/{keys}"}]}
    headers = {"Content-Type": "application/json"}
    urlopen(Request(f"{bucket}?policy", json.dumps(policy).encode(), headers, method="PUT")).close()


def bucket_caught_up(server: Server, copy: str) -> None:
    deadline = time.monotonic() + SECONDS
    while _timestamp_in(copy) != http(server, "GET", "/tuf/timestamp.json", token=None).body:
        assert time.monotonic() < deadline, server.log_tail()
        time.sleep(0.05)


def _timestamp_in(copy: str) -> bytes:
    with suppress(HTTPError), urlopen(f"{copy}/timestamp.json") as answer:
        return answer.read()
    return b""


@every_client
def test_a_source_and_odd_names_are_served_too(judge, tmp_path):
    with carrier(tmp_path / "data", **offloading(tmp_path)) as (server, host):
        theirs = supplier(host, "theirs", "theirs/os-1.0", lists=("uptane", "tuf"))
        theirs.add(server)
        for name in NAMES:
            upload(server, name, VERSION, name.encode(), [HARDWARE])
        expected = {f"{name}-{VERSION}": name.encode() for name in NAMES}
        with nginx_on_the_copy(server, tmp_path) as front:
            caught_up(server, front)
            server.stop()
            device = client(judge, front, tmp_path / "device")
            assert device.follow(*expected) == expected
            if judge == "uptane":  # TUF clients ask the repository for bytes that are elsewhere
                assert device.follow("theirs/os-1.0") == {
                    "theirs/os-1.0": bytes_of("theirs", "theirs/os-1.0")
                }


def test_what_is_not_in_the_copy_is_asked_of_the_server(tmp_path):
    with running_server(tmp_path / "data", env=offloading(tmp_path)) as server:
        name, number = "x" * 120, "é" * 60
        long = f"{name}-{number}"
        upload(server, name, number, b"too long a name for a file with its hash", [HARDWARE])
        with nginx_on_the_copy(server, tmp_path) as front:
            caught_up(server, front)
            found = client("python-tuf", front, tmp_path / "device").follow(long)
            assert found == {long: b"too long a name for a file with its hash"}
            assert http(front, "GET", "/api/v2beta/packages").json["total"] == 1


def test_tuf_clients_never_fail_while_packages_are_published(tmp_path):
    with running_server(tmp_path / "data", env=offloading(tmp_path)) as server:
        first = put(server, "app-1")
        with nginx_on_the_copy(server, tmp_path) as front:
            caught_up(server, front)
            stop = threading.Event()

            def publish() -> None:
                for number in range(10_000):
                    if stop.is_set():
                        return
                    put(server, f"n{number % 7}-{number}")

            publisher = threading.Thread(target=publish)
            publisher.start()
            try:
                for turn in range(12):
                    judge = ("python-tuf", "tuf-js")[turn % 2]
                    device = client(judge, front, tmp_path / f"device-{turn % 4}")
                    assert device.follow(*first) == first
            finally:
                stop.set()
                publisher.join()
            assert version(front) > 5


def test_versioned_names_may_be_kept_for_ever_and_plain_ones_not_at_all(tmp_path):
    with running_server(tmp_path / "data", env=offloading(tmp_path)) as server:
        put(server, "app-1")
        with nginx_on_the_copy(server, tmp_path) as front:
            caught_up(server, front)
            kept = {
                path: http(front, "GET", path, token=None).headers["cache-control"]
                for path in (
                    "/repo/timestamp.json",
                    "/tuf/timestamp.json",
                    "/tuf/1.root.json",
                    "/repo/1.root.json",
                )
            }
            assert ["immutable" in value for value in kept.values()] == [False, False, True, True]
            answer = http(front, "GET", "/repo/timestamp.json", token=None)
            unchanged = {"If-None-Match": answer.headers["etag"]}
            assert http(front, "GET", "/repo/timestamp.json", token=None, headers=unchanged).status == 304
            put(server, "app-2")
            caught_up(server, front)
            assert http(front, "GET", "/repo/timestamp.json", token=None, headers=unchanged).status == 200
