"""/metrics: numbers of all workers of a machine, whichever is asked, and names that others rely on."""

import os
import signal
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness import Server, http, running_server, upload

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(server: Server) -> Samples:
    text = http(server, "GET", "/metrics", token=None).body.decode()
    families = text_string_to_metric_families(text)
    return {(one.name, frozenset(one.labels.items())): one.value for each in families for one in each.samples}


def value(server: Server, name: str, **labels: str) -> float | None:
    return samples(server).get((f"otarium_{name}", frozenset(labels.items())))


def eventually(server: Server, expected: float, name: str, **labels: str) -> None:
    deadline = time.monotonic() + 15
    while (found := value(server, name, **labels)) != expected:
        assert time.monotonic() < deadline, f"{name} is {found} instead of {expected}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("metrics") / "data", workers=2) as running:
        yield running


def test_requests_of_all_workers_are_counted_by_route_method_and_status(server):
    """A new connection for each, so that the kernel spreads them."""
    labels = {"method": "GET", "route": "/api/v2/packages/{package_id}", "status": "404"}
    for number in range(40):
        http(server, "GET", f"/api/v2/packages/missing-{number}")
    eventually(server, 40, "requests_total", **labels)
    del labels["status"]
    assert value(server, "request_duration_seconds_count", **labels) == 40


def test_what_clients_make_up_makes_no_new_series(server):
    for number in range(5):
        http(server, f"NONSENSE{number}", f"/there/is/none/{number}")
    names = {labels for name, labels in samples(server) if name == "otarium_requests_total"}
    assert not any("NONSENSE" in text or "/there" in text for labels in names for _, text in labels)
    eventually(server, 5, "requests_total", method="other", route="none", status="404")


def test_gets_of_devices_are_counted_within_seconds(server):
    before = value(server, "device_requests_total") or 0
    for path in ("/repo/timestamp.json", "/tuf/timestamp.json", "/repo/root.json", "/repo/none.json") * 5:
        http(server, "GET", path, token=None)
    eventually(server, before + 20, "device_requests_total")


def test_a_release_is_measured_and_its_contents_are_counted(tmp_path):
    with running_server(tmp_path / "data") as server:
        for number in range(3):
            upload(server, "measured", str(number), b"x" * 1000)
        eventually(server, 3, "publish_duration_seconds_count")
        assert value(server, "publish_changes_sum") == 3
        assert value(server, "packages", source="targets") == 3
        assert (value(server, "blobs"), value(server, "blob_bytes")) == (1, 1000)
        assert value(server, "publish_failures_total") == 0
        assert value(server, "free_bytes") > 0
        assert value(server, "catalog_up") == 1
        now = time.time()
        for role, days in {"root": 365, "targets": 90, "snapshot": 7, "timestamp": 1}.items():
            left = value(server, "role_expires_timestamp_seconds", role=role) - now
            assert (days - 1) * 86_400 < left <= days * 86_400


def test_uploads_in_progress_rise_and_fall(server):
    connection = HTTPConnection("127.0.0.1", server.port)
    connection.putrequest("POST", "/api/v2/packages?name=slow&version=1&targetFormat=BINARY&hardwareId=x")
    connection.putheader("Authorization", f"Bearer {server.token}")
    connection.putheader("Content-Length", "10")
    connection.endheaders()
    connection.send(b"12345")
    eventually(server, 1, "uploads_in_progress")
    connection.send(b"67890")
    assert connection.getresponse().status == 200
    eventually(server, 0, "uploads_in_progress")


def test_the_uploads_of_a_killed_worker_are_over_and_its_counts_stay(tmp_path):
    with running_server(tmp_path / "data", workers=2) as server:
        connections = [HTTPConnection("127.0.0.1", server.port) for _ in range(8)]
        for number, connection in enumerate(connections):
            path = f"/api/v2/packages?name=dies&version={number}&targetFormat=BINARY&hardwareId=x"
            connection.putrequest("POST", path)
            connection.putheader("Authorization", f"Bearer {server.token}")
            connection.putheader("Content-Length", "10")
            connection.endheaders()
        eventually(server, 8, "uploads_in_progress")
        upload(server, "before", "1", b"x")
        route = {"method": "POST", "route": "/api/v2beta/packages", "status": "200"}
        eventually(server, 1, "requests_total", **route)
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        assert len(children) == 2
        for pid in map(int, children):
            os.kill(pid, signal.SIGKILL)
            time.sleep(2)
            server.wait_until_ready()
        eventually(server, 0, "uploads_in_progress")
        assert value(server, "requests_total", **route) == 1


def test_background_work_tells_when_it_ended_well_last(server):
    now = time.time()
    for job in ("renewal", "sweep", "source-refresh", "checkpoint"):
        ended = value(server, "job_last_success_timestamp_seconds", job=job)
        assert ended is not None and now - 120 < ended <= now
        assert value(server, "job_failures_total", job=job) == 0


def test_scrapes_at_once_agree(server):
    found: list[float | None] = []
    threads = [threading.Thread(target=lambda: found.append(value(server, "release"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and len(found) == 8


def test_nothing_is_left_in_memory_after_a_stop(tmp_path):
    from otarium.settings import StorageSettings

    shared = StorageSettings(data_dir=tmp_path / "data").run_dir
    with running_server(tmp_path / "data") as server:
        assert shared.stat().st_mode & 0o777 == 0o700
        server.stop()
        assert not shared.exists()
