"""A replica whose packets to the database are dropped: devices are served on, and everybody is told."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import PATIENCE, Server, http, running_server, upload
from postgresql import running_cluster
from wire import Wire, wire_to

FILES = ("timestamp", "snapshot", "targets")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server, Wire]]:
    """The second one reaches the database over the wire."""
    directory: Path = tmp_path_factory.mktemp("wire")
    with running_cluster() as cluster, wire_to(cluster.port) as wire:
        url = cluster.new_database()
        shared = {"OTARIUM_BLOBS_URL": f"file://{directory}/blobs"}
        with running_server(directory / "first", env={**shared, "OTARIUM_DATABASE_URL": url}) as first:
            (directory / "second").mkdir(mode=0o700)
            shutil.copy(first.data_dir / "master.key", directory / "second" / "master.key")
            wired = url.replace(str(cluster.port), str(wire.port))
            with running_server(
                directory / "second", env={**shared, "OTARIUM_DATABASE_URL": wired}
            ) as second:
                yield first, second, wire


def timestamp(server: Server) -> int:
    answer = http(server, "GET", "/repo/timestamp.json", token=None, timeout=PATIENCE)
    return int(json.loads(answer.body)["signed"]["version"])


def until(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def catalog_up(server: Server) -> bool:
    text = http(server, "GET", "/metrics", token=None, timeout=PATIENCE).body.decode()
    return "\notarium_catalog_up 1.0\n" in text


def test_devices_are_served_on_probes_and_metrics_tell_and_the_news_come_when_the_wire_lives_again(
    pair: tuple[Server, Server, Wire],
) -> None:
    first, second, wire = pair
    upload(first, "wired", "1", b"x")
    until(lambda: timestamp(second) == timestamp(first), 1)
    shown = timestamp(second)
    assert catalog_up(second)
    wire.alive.clear()
    upload(first, "wired", "2", b"y")
    ends = time.monotonic() + 6
    while time.monotonic() < ends:
        assert timestamp(second) == shown
        for name in FILES:
            assert http(second, "GET", f"/repo/{name}.json", token=None, timeout=PATIENCE).status == 200
        assert http(second, "GET", "/health/devices", token=None, timeout=PATIENCE).status == 200
        time.sleep(0.1)
    assert not catalog_up(second)
    told = http(second, "GET", "/health/ready", token=None)
    assert told.status == 503 and told.json["problems"]
    wire.alive.set()
    until(lambda: timestamp(second) == timestamp(first), 1)
    until(lambda: http(second, "GET", "/health/ready", token=None).status == 200, 1)
