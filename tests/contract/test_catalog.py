"""What every catalog promises: transactions, rows that come back as they went in, search."""

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import create_engine, text

from builders import NOW, package
from contract.conftest import Database
from harness import PATIENCE
from otarium.adapters import migrations
from otarium.adapters.catalog_postgres import PostgresCatalog
from otarium.adapters.transaction import SqlTransaction
from otarium.domain.access import Credential, Scope
from otarium.domain.delegation import Accepted, SourceFile
from otarium.domain.errors import Unavailable
from otarium.domain.listed import Listed
from otarium.domain.names import PackageId, PackageName, Sha256, SourceName
from otarium.domain.packages import Package, PackageQuery
from otarium.domain.roles import TARGETS, Dialect
from otarium.services.ports import Catalog, Changes, Transaction
from postgresql import Cluster

TRANSACTIONS = """SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state LIKE 'idle in transaction%'"""
END_TRANSACTIONS = TRANSACTIONS.replace("count(*)", "pg_terminate_backend(pid)")
END_OTHERS = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid != pg_backend_pid()"""


def add(catalog: Catalog, *packages: Package) -> None:
    with catalog.write() as tx:
        for one in packages:
            tx.packages.add(one, TARGETS, one.entry())


def ids(values: Sequence[Listed]) -> list[str]:
    return [json.loads(b"{%s}" % members)["packageId"] for _, members in values]


def test_a_package_comes_back_as_it_went_in(catalog: Catalog) -> None:
    one = package("é/x", "1", meta={"a": {"b": [1, None, "\n"]}}, comment="c", uri="https://x/", revision=3)
    add(catalog, one)
    with catalog.read() as tx:
        assert tx.packages.get(one.id) == one
        assert tx.packages.get(PackageId("other-1")) is None
        assert list(tx.packages.every()) == [(one, one.entry())]


def test_what_would_be_the_next_version_of_a_name_is_neither_here_nor_was_it_ever(catalog: Catalog) -> None:
    one, gone = package("a", "1"), package("a", "2")
    add(catalog, one, gone)
    with catalog.write() as tx:
        assert not tx.packages.would_be_next(gone.name, gone.id)
        tx.packages.remove(gone, 1, 1)
        answers = {
            version: tx.packages.would_be_next(one.name, PackageId(f"a-{version}")) for version in "123"
        }
        assert answers == {"1": False, "2": False, "3": True}
        assert not tx.packages.would_be_next(package("b").name, package("b").id)


def test_what_sources_list_is_found_by_id_and_by_hash_beside_ours(catalog: Catalog) -> None:
    ours, other = package("shared"), package("other")
    theirs = {
        name: [replace(one, revision=0, source=name) for one in (ours, replace(other, content=ours.content))]
        for name in (SourceName("first"), SourceName("second"))
    }
    add(catalog, ours, other)
    with catalog.write() as tx:
        for name, listed in theirs.items():
            file = SourceFile(name, Dialect.UPTANE, 1, "", "", 0, 0, NOW, 0)
            tx.sources.list_packages(Accepted(file, b"", listed, (), {}))
    with catalog.read() as tx:
        found = sorted(tx.packages.with_id(ours.id), key=lambda one: one.source)
        assert found == [theirs[SourceName("first")][0], theirs[SourceName("second")][0], ours]
        by_hash = tx.packages.external_with_hash(ours.content.sha256)
        assert sorted(one.source for one in by_hash) == ["first", "second"]
        assert {one.content.sha256 for one in by_hash} == {ours.content.sha256}
        assert tx.packages.with_id(PackageId("none-1")) == []
        assert tx.packages.external_with_hash(other.content.sha256) == []


@pytest.mark.parametrize("comment", ["", "a\0b", "\1x", "\1\0", "\\0", "é😀\n"])
def test_any_comment_comes_back_as_it_went_in(catalog: Catalog, comment: str) -> None:
    one = package("x", "1", comment=comment)
    add(catalog, one)
    with catalog.read() as tx:
        assert tx.packages.get(one.id) == one
        assert tx.packages.get(PackageId.lookup("x\0")) is None
        assert tx.packages.search(PackageQuery(name_contains=PackageId.lookup("\0"))).total == 0


def test_a_block_that_raises_leaves_nothing(catalog: Catalog) -> None:
    with pytest.raises(ZeroDivisionError), catalog.write() as tx:
        tx.packages.add(package(), TARGETS, package().entry())
        1 / 0  # noqa: B018
    with catalog.read() as tx:
        assert tx.packages.get(package().id) is None


def test_a_savepoint_undoes_its_own_part_only(catalog: Catalog) -> None:
    with catalog.write() as tx:
        tx.packages.add(package("a"), TARGETS, package("a").entry())
        with pytest.raises(ZeroDivisionError), tx.savepoint():
            tx.packages.add(package("b"), TARGETS, package("b").entry())
            1 / 0  # noqa: B018
        tx.packages.add(package("c"), TARGETS, package("c").entry())
    with catalog.read() as tx:
        assert ids(tx.packages.search(PackageQuery(ascending=True)).values) == ["a-1", "c-1"]


def _die_between_savepoint_and_commit(database: Database) -> None:
    with database.catalog().write() as tx:
        with tx.savepoint():
            tx.packages.add(package(), TARGETS, package().entry())
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_kill_between_savepoint_and_commit_leaves_nothing(catalog: Catalog, database: Database) -> None:
    child = multiprocessing.get_context("spawn").Process(
        target=_die_between_savepoint_and_commit, args=(database,)
    )
    child.start()
    child.join(30)
    assert child.exitcode == -signal.SIGKILL
    with catalog.read() as tx:
        assert tx.packages.get(package().id) is None
    add(catalog, package())


def test_writers_take_turns(catalog: Catalog) -> None:
    """Each reads and writes back; a lost turn would lose a count."""

    def count() -> None:
        for _ in range(25):
            with catalog.write(durable=False) as tx:
                tx.packages.next_revision()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with catalog.read() as tx:
        assert tx.packages.revision() == 100


def test_a_reader_keeps_its_view_while_another_writes(catalog: Catalog) -> None:
    with catalog.read() as tx:
        assert tx.packages.get(package().id) is None
        add(catalog, package())
        assert tx.packages.get(package().id) is None


def test_whoever_finds_no_connection_is_told_to_try_again(catalog: Catalog, database: Database) -> None:
    few = database.catalog(readers=1, busy_seconds=0.1)
    for _ in range(5):
        with suppress(ZeroDivisionError), few.read():
            1 / 0  # noqa: B018
    with ExitStack() as open_ones:
        for _ in range(3):
            open_ones.enter_context(few.read())
        with pytest.raises(Unavailable, match="Too many requests"), few.read():
            pass
    with few.read() as tx:
        assert tx.packages.revision() == 0
    few.close()


def test_every_commit_is_noticed_within_a_second(catalog: Catalog, changes: Changes) -> None:
    before = _settled(changes)
    assert changes.version() == before
    add(catalog, package())
    _wait_for_news(changes, before)


def test_a_commit_of_which_nobody_tells_is_noticed_too(
    catalog: Catalog, changes: Changes, database: Database
) -> None:
    before = _settled(changes)
    engine = create_engine(database.url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE repository SET revision = revision + 1"))
    engine.dispose()
    _wait_for_news(changes, before)


def _wait_for_news(changes: Changes, before: int) -> None:
    deadline = time.monotonic() + 1 + PATIENCE
    while changes.version() == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert changes.version() != before


def _settled(changes: Changes) -> int:
    """What was committed before may still be on its way."""
    changes.version()
    time.sleep(0.2)
    return changes.version()


def test_a_deleted_package_is_remembered_until_it_comes_back(catalog: Catalog) -> None:
    add(catalog, package())
    with catalog.write() as tx:
        tx.packages.remove(package(), 2, NOW)
        deleted = tx.packages.deleted(package().id)
        assert deleted is not None and deleted.content == package().content
        assert tx.packages.with_hash(package().content.sha256, NOW) == package().content
        assert tx.packages.with_hash(package().content.sha256, NOW + 1) is None
    add(catalog, package(revision=3))
    with catalog.read() as tx:
        assert tx.packages.deleted(package().id) is None


def test_a_walk_in_chunks_is_the_page_as_a_whole(catalog: Catalog) -> None:
    add(catalog, *(package("n", str(number), created_at=NOW + number // 3) for number in range(20)))
    for sort_by in ("CreatedAt", "Filename"):
        for ascending in (False, True):
            query = PackageQuery(offset=2, limit=15, sort_by=sort_by, ascending=ascending)
            with catalog.read() as tx:
                expected = ids(tx.packages.search(query).values)
                total, cursor = tx.packages.count(query)
            walked: list[str] = []
            while len(walked) < 15:
                with catalog.read() as tx:
                    values, cursor = tx.packages.chunk(query, cursor, 0 if walked else 2, 4)
                walked += ids(values)
            assert walked[:15] == expected
            assert total == 20


def test_blobs_die_only_when_nothing_refers_to_them(catalog: Catalog) -> None:
    sha256 = package().content.sha256
    with catalog.write() as tx:
        assert tx.blobs.keep(sha256, 10)
        tx.packages.add(package(), TARGETS, package().entry())
        assert tx.blobs.mark_dying(NOW + 10**6, 0) == []
        tx.packages.remove(package(), 2, NOW)
        tx.blobs.release(sha256, NOW)
        assert tx.blobs.mark_dying(NOW + 10, 10) == []
        assert tx.blobs.mark_dying(NOW + 11, 10) == [sha256]
        assert not tx.blobs.keep(sha256, 10)
        tx.blobs.drop(sha256)
        assert tx.blobs.keep(sha256, 10)


def test_bytes_that_were_left_get_a_row_unless_they_have_one(catalog: Catalog) -> None:
    left, listed = package("a").content.sha256, package("b").content.sha256
    with catalog.write() as tx:
        tx.blobs.keep(listed, 10)
        assert [tx.blobs.adopt(one, 20, NOW) for one in (left, left, listed)] == [True, False, False]
        assert tx.blobs.numbers() == (2, 30)
        assert tx.blobs.keep(left, 20), "an upload that just arrives takes them"
        assert sorted(tx.blobs.mark_dying(NOW + 11, 10)) == sorted([left, listed])
        assert not tx.blobs.adopt(left, 20, NOW)


def test_credentials_fall_with_their_client(catalog: Catalog) -> None:
    client = Credential("c", "ci", b"d" * 32, frozenset({Scope.READ}), NOW)
    token = Credential("t", "ci", b"e" * 32, frozenset({Scope.READ}), NOW, NOW + 5, None, "c")
    with catalog.write() as tx:
        tx.credentials.add_client(client)
        tx.credentials.add_token(token)
        assert (tx.credentials.client("c"), tx.credentials.token("t")) == (client, token)
        tx.credentials.revoke_client("c", NOW + 1)
        revoked = tx.credentials.token("t")
        assert revoked is not None and revoked.revoked_at == NOW + 1
        tx.credentials.drop_expired(NOW + 6)
        assert tx.credentials.token("t") is None
        assert tx.credentials.tokens() == []


def test_a_locked_catalog_is_unavailable_for_now(catalog: Catalog, database: Database) -> None:
    impatient = database.catalog(busy_seconds=0.2)
    with catalog.write(), pytest.raises(Unavailable), impatient.write():
        pass
    with impatient.write() as tx:
        tx.probe()
    impatient.close()


@pytest.mark.parametrize("mode", ["read", "write"])
@pytest.mark.parametrize("why", ["idle for too long", "the server ended it"])
def test_a_connection_lost_midway_is_unavailable_for_now(cluster: Cluster, mode: str, why: str) -> None:
    """Whatever the block does next, and whatever it was about to answer."""
    url = cluster.new_database()
    migrations.upgrade(url.replace("postgresql://", "postgresql+psycopg://"))
    impatient = PostgresCatalog(url, idle_seconds=1 if why == "idle for too long" else 10)
    with impatient.write() as tx:
        tx.create_repository(0)

    def lose() -> None:
        with psycopg.connect(url, autocommit=True) as database:
            if why == "the server ended it":
                database.execute(END_TRANSACTIONS)
            while database.execute(TRANSACTIONS).fetchone() != (0,):
                time.sleep(0.02)

    def in_a_savepoint(tx: Transaction) -> None:
        with tx.savepoint():
            tx.packages.next_revision()

    def search(tx: Transaction) -> None:
        tx.packages.search(PackageQuery())

    for ask in (in_a_savepoint, search, lambda tx: list(tx.packages.every())):
        with pytest.raises(Unavailable), getattr(impatient, mode)() as tx:
            lose()
            ask(tx)
    if mode == "write":
        with pytest.raises(Unavailable), impatient.write():
            lose()
    with impatient.write() as tx:
        tx.packages.next_revision()
    impatient.close()


@pytest.mark.parametrize("mode", ["read", "write"])
def test_connections_that_the_server_closed_while_they_idled_are_missed_by_nobody(
    cluster: Cluster, mode: str
) -> None:
    """As after a restart of the server; as many transactions as there may be are open at once afterwards."""
    url = cluster.new_database()
    migrations.upgrade(url.replace("postgresql://", "postgresql+psycopg://"))
    catalog = PostgresCatalog(url, readers=2, busy_seconds=1)
    with catalog.write() as tx, catalog.read(), catalog.read(), catalog.read():
        tx.create_repository(0)
    with psycopg.connect(url, autocommit=True) as database:
        assert len(database.execute(END_OTHERS).fetchall()) == 4
        while database.execute(END_OTHERS).fetchall():
            time.sleep(0.02)
    with ExitStack() as opened:
        for transaction in (getattr(catalog, mode), catalog.read, catalog.read, catalog.read):
            opened.enter_context(transaction()).packages.revision()
    catalog.close()


def test_options_of_the_url_hold_wherever_the_database_is_reached(cluster: Cluster) -> None:
    url = cluster.new_database()
    with psycopg.connect(url, autocommit=True) as database:
        database.execute("CREATE SCHEMA apart")
    url += "?options=-csearch_path%3Dapart"
    migrations.upgrade(url.replace("postgresql://", "postgresql+psycopg://"))
    catalog = PostgresCatalog(url)
    with catalog.write() as tx:
        tx.create_repository(0)
    with psycopg.connect(url) as database:
        assert database.execute("SELECT count(*) FROM apart.repository").fetchone() == (1,)
    with catalog.read() as tx:
        assert isinstance(tx, SqlTransaction)
        assert tx._connection.exec_driver_sql("SHOW lock_timeout").scalar() == "5s"
    catalog.close()


def test_statements_stay_prepared_from_one_transaction_to_the_next(cluster: Cluster) -> None:
    """To parse and plan them anew each time takes the server longer than to run them."""
    url = cluster.new_database()
    migrations.upgrade(url.replace("postgresql://", "postgresql+psycopg://"))
    catalog = PostgresCatalog(url)
    with catalog.write() as tx:
        tx.create_repository(0)
    for number in range(10):
        with catalog.read() as tx:
            tx.packages.would_be_next(PackageName("a"), PackageId("a-1"))
        with catalog.write() as tx:
            tx.journal.record(number, "ci", "package.add", "a-1")
    with catalog.read() as tx:
        assert isinstance(tx, SqlTransaction)
        prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE "
        for text in ("'SELECT (EXISTS%%'", "'INSERT INTO journal%%'"):
            assert tx._connection.exec_driver_sql(prepared + text).scalar() == 1
    catalog.close()


def test_a_hash_of_a_reference_is_no_blob(catalog: Catalog) -> None:
    sha256 = Sha256("a" * 64)
    with catalog.read() as tx:
        assert tx.packages.with_hash(sha256, 0) is None
