"""Lists of thousands of packages: streamed in chunks, and never holding a transaction for a slow reader."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import chain

import pytest

from api.calls import EVERYTHING, delete, head_of, ids, page, patch, wire
from harness import add_reference, http, running_server, upload

COUNT = 2100
NARROW = 4096  # bytes of the reader's socket buffer


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """2,100 packages, 140 of them with a comment of 60 kB."""
    with running_server(tmp_path_factory.mktemp("many") / "data") as running:
        bytes_of = {"sha256": "a" * 64, "length": 1, "uri": "https://example.com/x"}

        def make(number):
            name = f"many/{number * 7919 % COUNT:04}"
            assert add_reference(running, name=name, version="1", **bytes_of).status == 200
            if number % 15 == 0:
                assert patch(running, f"{name}-1", {"comment": "x" * 60_000}).status == 200

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(make, range(COUNT)))
        yield running


@pytest.mark.parametrize(
    "query", ["", "sortBy=Filename&sortDirection=Asc", "nameContains=1&sortDirection=Asc"]
)
def test_a_streamed_page_is_the_concatenation_of_small_pages(many, query):
    whole = page(many, f"{query}&limit={EVERYTHING}")
    assert (whole["offset"], whole["limit"]) == (0, EVERYTHING)
    assert whole["total"] == len(whole["values"]) == len({one["packageId"] for one in whole["values"]})
    small = [page(many, f"{query}&limit=300&offset={at}")["values"] for at in range(0, COUNT, 300)]
    assert [*chain.from_iterable(small)] == whole["values"]
    assert page(many, f"{query}&limit=2000&offset=150")["values"] == whole["values"][150:2150]


def slow_list(connection, server):
    """Ask for everything and read the first package alone, while the rest fills the buffers."""
    path = f"/api/v2beta/packages?sortBy=Filename&sortDirection=Asc&limit={EVERYTHING}"
    connection.send(head_of(server, "GET", path, {}))
    assert connection.read_head()[0] == 200
    while b'"packageId"' not in connection.received:
        connection.received += connection.socket.recv(1024)


def rest_of_list(connection):
    """The streamed body to its end; chunked, as its length is not known beforehand."""
    received = bytearray(connection.received)
    while not received.endswith(b"0\r\n\r\n"):
        data = connection.socket.recv(1 << 20)
        assert data, "the list ended early"
        received += data
    body = bytearray()
    position = 0
    while (end := received.index(b"\r\n", position)) and (size := int(received[position:end], 16)):
        body += received[end + 2 : end + 2 + size]
        position = end + 2 + size + 2
    return json.loads(body)


def test_no_transaction_is_open_while_a_slow_reader_is_sent_a_list(many):
    with wire(many, narrow=NARROW) as connection:
        slow_list(connection, many)
        upload(many, "during", "1", b"x")  # something newer than what the reader sees
        with closing(sqlite3.connect(many.data_dir / "catalog.sqlite", timeout=5)) as catalog:
            tries = [catalog.execute("PRAGMA wal_checkpoint(FULL)").fetchone() for _ in range(5)]
        # A reader's open transaction would hold pages back each time, the server's own looks pass.
        assert any((busy, moved) == (0, logged) for busy, logged, moved in tries)
        assert len(rest_of_list(connection)["values"]) >= COUNT
    delete(many, "during-1")


def test_a_list_that_changes_while_it_is_read_slowly_repeats_and_loses_nothing_that_stays(many):
    before = ids(many, f"sortBy=Filename&sortDirection=Asc&limit={EVERYTHING}")
    with wire(many, narrow=NARROW) as connection:
        slow_list(connection, many)
        for gone in (before[5], before[-5]):
            delete(many, gone)
        upload(many, "a-first", "1", b"x")
        upload(many, "zz-last", "1", b"x")
        found = [one["packageId"] for one in rest_of_list(connection)["values"]]
    assert found == sorted(set(found))
    assert set(before) - {before[5], before[-5]} <= set(found)
    for added in ("a-first-1", "zz-last-1"):
        delete(many, added)


def test_a_reader_that_leaves_a_long_list_midway_disturbs_nobody(many):
    for _ in range(12):  # more than there are threads that read
        with wire(many, narrow=NARROW) as connection:
            slow_list(connection, many)
    assert http(many, "GET", "/health/ready").status == 200
    assert page(many, "limit=1")["total"] >= COUNT - 2
