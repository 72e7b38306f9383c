"""A database from which nothing comes any more is away, though nobody ever said goodbye."""

import os
import socket
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from harness import PATIENCE
from otarium.adapters import migrations
from otarium.adapters.catalog_postgres import PostgresCatalog
from otarium.adapters.changes_postgres import CUT_SECONDS, SILENT_SECONDS, PostgresChanges
from otarium.adapters.connections import conninfo
from otarium.domain.errors import Unavailable
from postgresql import Cluster
from wire import Wire, wire_to


@pytest.fixture
def wire(cluster: Cluster) -> Iterator[Wire]:
    with wire_to(cluster.port) as made:
        yield made


@pytest.fixture
def url(cluster: Cluster) -> str:
    made = cluster.new_database()
    migrations.upgrade(made.replace("postgresql://", "postgresql+psycopg://"))
    with psycopg.connect(made, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO repository (namespace, created_at, revision, root, targets, snapshot, timestamp, "
            "kept_bytes) VALUES ('default', 0, 0, 0, 0, 0, 0, 0)"
        )
    return made


def commit(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE repository SET revision = revision + 1")


def until(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_away(changes: PostgresChanges) -> bool:
    try:
        changes.version()
    except Unavailable:
        return True
    return False


@pytest.mark.parametrize("silence", [SILENT_SECONDS, CUT_SECONDS], ids=["short", "until-it-is-cut"])
def test_a_silent_database_is_away_within_seconds_and_heard_of_when_it_speaks(
    cluster: Cluster, wire: Wire, url: str, silence: float
) -> None:
    changes = PostgresChanges(url.replace(str(cluster.port), str(wire.port)))
    before = changes.version()
    wire.alive.clear()
    until(lambda: is_away(changes), SILENT_SECONDS)
    time.sleep(silence)
    assert is_away(changes)
    commit(url)
    wire.alive.set()
    until(lambda: not is_away(changes), 2.0)
    until(lambda: changes.version() > before, 1.0)


def test_a_connection_that_never_gets_through_again_is_replaced(
    cluster: Cluster, wire: Wire, url: str
) -> None:
    """Something between acknowledges, but has forgotten where to send it."""
    changes = PostgresChanges(url.replace(str(cluster.port), str(wire.port)))
    changes.version()
    until(lambda: changes._line is not None, 1.0)  # it listens
    wire.forget()
    until(lambda: is_away(changes), SILENT_SECONDS)
    until(lambda: not is_away(changes), CUT_SECONDS)


def options_of(connection: "psycopg.Connection[tuple[object, ...]]") -> list[int]:
    names = (socket.TCP_USER_TIMEOUT, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        return [line.getsockopt(socket.IPPROTO_TCP, name) for name in names]


def test_every_connection_ends_by_itself_within_seconds_and_the_urls_own_word_wins(url: str) -> None:
    catalog = PostgresCatalog(url)
    with catalog._engine.connect() as connection:
        pooled = connection.connection.driver_connection
        assert isinstance(pooled, psycopg.Connection)
        assert options_of(pooled) == [5000, 3, 1, 3]
    catalog.close()
    with psycopg.connect(conninfo(url)) as listening:
        assert options_of(listening) == [5000, 3, 1, 3]
    with psycopg.connect(conninfo(f"{url}?tcp_user_timeout=9000")) as other:
        assert options_of(other) == [9000, 3, 1, 3]
