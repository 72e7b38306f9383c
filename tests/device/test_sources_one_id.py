"""Several sources list one id: whichever a client is sent to, it gets the bytes that are listed there."""

import hashlib
import time

import pytest

from api.sources import remove_all
from device.external import BOTH, bytes_of, carrier, client, every_client, supplier
from publisher import OMIT, when


@pytest.fixture(scope="module")
def carried(tmp_path_factory):
    with carrier(tmp_path_factory.mktemp("one-id") / "data") as running:
        yield running


@pytest.fixture
def server(carried):
    """Without sources, before and after each test."""
    yield carried[0]
    remove_all(carried[0])


@pytest.fixture
def host(carried):
    return carried[1]


def add(server, one, package_id, life=86_400):
    """One package, which says nothing of its place: that is below the targetsUrl."""
    for dialect in one.lists:
        make = getattr(one.publisher, dialect)
        one.put(dialect, make(one.package(package_id, uri=OMIT), 2, when(time.time() + life)))
    one.host.put(f"/{one.name}/files/{package_id}", bytes_of(one.name, package_id))
    shown = one.add(server, targetsUrl=f"{one.host.url}/{one.name}/files/", acceptOverlap=True)
    assert shown["problem"] is None


@every_client
def test_a_client_gets_the_bytes_of_the_first_source_that_its_dialect_carries(server, host, tmp_path, judge):
    """The very first is in the Uptane dialect alone."""
    for name, lists in (("apart", ("uptane",)), ("either", BOTH), ("third", BOTH)):
        add(server, supplier(host, f"{name}-{judge}", lists=lists, paths=["shared-*"]), "shared-1")
    wanted = f"apart-{judge}" if judge == "uptane" else f"either-{judge}"
    assert client(judge, server, tmp_path).follow("shared-1") == {"shared-1": bytes_of(wanted, "shared-1")}


@every_client
def test_a_source_that_expired_is_passed_over(server, host, tmp_path, judge):
    for name, life in (("past", 3), ("present", 86_400)):
        add(server, supplier(host, f"{name}-{judge}", lists=BOTH, paths=["shared-*"]), "shared-1", life)
    time.sleep(4)
    found = client(judge, server, tmp_path).follow("shared-1")
    assert found == {"shared-1": bytes_of(f"present-{judge}", "shared-1")}


@every_client
def test_the_same_bytes_come_from_the_source_that_a_client_is_sent_to(server, host, tmp_path, judge):
    """The other one says that they are elsewhere, where they are not."""
    first, second = (
        supplier(host, f"{name}-{judge}", lists=BOTH, paths=["same-*"]) for name in ("lost", "there")
    )
    add(server, first, "same-1", life=3)
    host.status(f"/{first.name}/files/same-1", 404)
    second.package = first.package
    add(server, second, "same-1")
    body = bytes_of(first.name, "same-1")
    host.put(f"/{second.name}/files/same-1", body)
    time.sleep(4)
    assert client(judge, server, tmp_path).follow("same-1") == {"same-1": body}


def test_an_id_that_reads_like_a_hash_and_a_name_is_an_id_for_devices(server, host, tmp_path):
    """Another source lists the bytes of that hash under the rest of the name."""
    package_id = hashlib.sha256(bytes_of("reader", "rest-1")).hexdigest() + ".rest-1"
    add(server, supplier(host, "reader", paths=["*"]), "rest-1")
    add(server, supplier(host, "spelled", paths=["*"]), package_id)
    found = client("uptane", server, tmp_path).follow(package_id)
    assert found == {package_id: bytes_of("spelled", package_id)}
