"""The largest source there may be is taken over quickly and in little memory."""

import time

import pytest

from api.sources import call, done
from device.external import HARDWARE, Supplier, carrier, client
from device.memory import MIB, Memory
from harness import PATIENCE, http
from otarium.domain.delegation import FILE_BYTES
from publisher import Publisher, target

PACKAGES = 20_000
LAST = f"many-{PACKAGES - 1}"
NOTE = "x" * 80
"""Makes the list one of 7 MiB."""
SEARCH = "/api/v2/packages?packageSource=many&nameContains=an&sortBy=Filename&limit=50"
OFFSET = PACKAGES - 20


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A server and its supplier, with how long it took and how far memory grew until all was found."""
    with carrier(tmp_path_factory.mktemp("large") / "data") as (server, host):
        one = Supplier(host, Publisher("many", ["many-*"]))
        host.put("/last", b"the last one")
        targets = {}
        for number in range(PACKAGES):
            body = b"the last one" if number == PACKAGES - 1 else None
            targets |= target(f"many-{number}", body, [HARDWARE], f"{host.url}/last", note=NOTE)
        one.put("uptane", one.publisher.uptane(targets))
        assert 6.5 * MIB < len(one.raw["uptane"]) < FILE_BYTES
        with Memory(server) as memory:
            started = time.perf_counter()
            assert one.add(server, vouch=True)["state"] == "fresh"
            page = http(server, "GET", f"{SEARCH}&offset={OFFSET}").json
            seconds = time.perf_counter() - started
        assert (page["total"], len(page["values"])) == (PACKAGES, 20)
        yield server, one, seconds, memory.growth


def test_it_is_searchable_within_seconds_and_in_little_memory(many):
    _, _, seconds, growth = many
    assert seconds < 5 + PATIENCE
    assert growth < 200 * MIB


@pytest.mark.parametrize("judge", ["uptane", "python-tuf"])
def test_its_packages_reach_clients(many, tmp_path, judge):
    assert client(judge, many[0], tmp_path).follow(LAST, f"many-{PACKAGES}") == {LAST: b"the last one"}


def test_a_refresh_moves_what_changed_alone(many):
    server, one, _, _ = many

    def rows() -> dict[str, dict]:
        found = http(server, "GET", f"/api/v2/packages?packageSource=many&limit={2 * PACKAGES}").json[
            "values"
        ]
        return {row["packageId"]: row for row in found}

    before = rows()
    kept = {f"many-{number}" for number in range(1, PACKAGES)}
    targets = {}
    for name in kept | {"many-new"}:
        targets |= target(
            name, b"the last one" if name == LAST else None, [HARDWARE], f"{one.host.url}/last", note=NOTE
        )
    one.put("uptane", one.publisher.uptane(targets, 2))
    started = time.perf_counter()
    done(call(server, "POST", "/many/refresh"))
    assert time.perf_counter() - started < 5 + PATIENCE
    after = rows()
    assert set(after) == kept | {"many-new"}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
