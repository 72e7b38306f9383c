"""The catalog locked, incomplete or damaged: nobody is told a lie, and devices get what was committed last.

In this order on one server, since nothing repairs the last damage.
"""

import contextlib
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.calls import refused, upload_path
from api.traces import agreed, traces
from harness import PATIENCE, http, running_server, upload

PROBES = 60
METADATA = [
    f"/{dialect}/{role}.json" for dialect in ("repo", "tuf") for role in ("timestamp", "snapshot", "targets")
]
JSON = {"Content-Type": "application/json"}
REFERENCE = b'{"name":"r","version":"1","sha256":"%s","length":1,"uri":"http://x.example"}' % (b"a" * 64)
WRITES = [
    ("POST", upload_path("degraded", "2"), b"y", {}),
    ("PATCH", "/api/v2beta/packages/degraded-1", b'{"comment":"lost"}', JSON),
    ("PATCH", "/api/v2beta/packages/degraded-1", b'{"uri":"http://x.example"}', JSON),
    ("DELETE", "/api/v2beta/packages/degraded-1", None, {}),
    ("POST", "/api/otarium/v1/packages/references", REFERENCE, JSON),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("degraded") / "data") as running:
        upload(running, "degraded", "1", b"x")
        yield running


@contextlib.contextmanager
def catalog_of(server):
    with contextlib.closing(
        sqlite3.connect(server.data_dir / "catalog.sqlite", isolation_level=None, timeout=30)
    ) as catalog:
        yield catalog


def attempt(server, write):
    method, path, body, headers = write
    return http(server, method, path, body=body, headers=headers)


def check_degraded(server, before, writes=WRITES):
    """Not ready, every write 503 with a time to come back, and the same metadata for devices."""
    with ThreadPoolExecutor(8) as pool, fetching_like_a_device(server, before):
        ready = pool.submit(http, server, "GET", "/health/ready")
        for answer in list(pool.map(lambda write: attempt(server, write), writes)):
            refused(answer, 503, "service_unavailable")
            assert int(answer.headers["retry-after"]) > 0
        assert ready.result().status == 503
        assert ready.result().json["problems"]
        assert http(server, "GET", "/health/devices").status == 200
    assert http(server, "GET", "/health/live").status == 200


@contextlib.contextmanager
def fetching_like_a_device(server, before):
    """All metadata, again and again while the block lasts; it must be what it was before."""
    stopped, others = threading.Event(), []

    def fetch():
        while not stopped.wait(0.2):
            for path in METADATA:
                answer = http(server, "GET", path)
                if (answer.status, answer.body) != (200, before.signed[path]):
                    others.append((path, answer))

    device = threading.Thread(target=fetch)
    device.start()
    try:
        yield
    finally:
        stopped.set()
        device.join()
    assert not others


def check_recovered(server, before):
    """Nothing was lost, none of the refused writes came true, and the next one does."""
    after = agreed(server)  # refused bytes may lie there until a sweep can ask the catalog
    assert (after.packages, after.signed) == (before.packages, before.signed)
    assert http(server, "GET", "/health/ready").status == 200
    made = upload(server, "degraded", "again", b"again")
    assert made == traces(server).packages["degraded-again"]
    assert http(server, "DELETE", "/api/v2beta/packages/degraded-again").status == 200


def test_a_locked_catalog_refuses_writes_serves_readers_and_recovers(server):
    before = traces(server)
    with catalog_of(server) as catalog:
        catalog.execute("BEGIN EXCLUSIVE")
        check_degraded(server, before, WRITES[:2])  # each waits for the lock, and they for each other
        assert http(server, "GET", "/repo/targets/degraded-1").body == b"x"
        catalog.execute("ROLLBACK")
    check_recovered(server, before)


def test_probes_that_wait_for_a_locked_catalog_keep_no_device_waiting(server):
    """Balancers ask each second, and every look waits for seconds."""
    with catalog_of(server) as catalog, ThreadPoolExecutor(PROBES) as pool:
        catalog.execute("BEGIN EXCLUSIVE")
        probes = [pool.submit(http, server, "GET", "/health/ready", timeout=60) for _ in range(PROBES)]
        time.sleep(1)
        assert http(server, "GET", "/repo/targets/degraded-1", timeout=PATIENCE).body == b"x"
        assert {probe.result().status for probe in probes} == {503}
        catalog.execute("ROLLBACK")


def test_an_incomplete_catalog_refuses_writes_and_recovers(server):
    before = traces(server)
    with catalog_of(server) as catalog:
        catalog.execute("ALTER TABLE repository RENAME TO lost")
        check_degraded(server, before)
        catalog.execute("ALTER TABLE lost RENAME TO repository")
    check_recovered(server, before)


def test_an_error_in_the_server_itself_is_500_that_tells_its_id_and_nothing_else(server):
    before = traces(server)
    with catalog_of(server) as catalog:
        (good,) = catalog.execute("SELECT hardware_ids FROM packages").fetchone()
        catalog.execute("UPDATE packages SET hardware_ids = 'no JSON at all'")
        answer = http(server, "GET", "/api/v2beta/packages/degraded-1")
        catalog.execute("UPDATE packages SET hardware_ids = ?", (good,))
    error = refused(answer, 500, "internal_server_error")
    assert error["errorId"] in server.log_tail(100_000)
    for inside in ("Traceback", "sqlite", "JSON", "packages", ".py"):
        assert inside not in answer.body.decode()
    check_recovered(server, before)


def test_a_damaged_catalog_refuses_writes_and_devices_get_the_last_metadata(server):
    before = traces(server)
    with catalog_of(server) as catalog:  # so that nobody has its pages in memory any more
        catalog.execute("UPDATE repository SET revision = revision")
        catalog.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (server.data_dir / "catalog.sqlite").open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(0)
        file.write(b"garbage!" * (size // 8))
    check_degraded(server, before)
    assert server.run("verify", check=False).returncode == 1
