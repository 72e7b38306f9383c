"""An empty database gets the schema of the code, to which the migrations lead too; a newer one is refused."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from contract import killed_upgrade
from contract.conftest import Database
from otarium.adapters import indexes, migrations
from otarium.domain.errors import Broken
from otarium.domain.listed import listed
from otarium.domain.names import PackageId
from otarium.domain.packages import PackageQuery
from otarium.domain.release import Counters
from postgresql import Cluster

PACKAGES = 700
"""More than a migration takes in one part."""


def test_the_migrations_lead_to_the_schema_in_the_code(database: Database) -> None:
    _upgrade_to(database.url, "head")
    with create_engine(database.url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, indexes.metadata) == []


def test_a_new_database_is_what_the_migrations_would_have_made(database: Database, elsewhere: str) -> None:
    migrations.upgrade(database.url)
    _upgrade_to(elsewhere, "head")
    assert migrations.current(database.url) == migrations.current(elsewhere) == migrations.HEAD
    assert _schema(database.url) == _schema(elsewhere)


@pytest.fixture
def elsewhere(database: Database, cluster: Cluster, tmp_path: Path) -> str:
    """The URL of another empty database of the same kind."""
    if database.path:
        return f"sqlite:///{tmp_path / 'elsewhere.sqlite'}"
    return cluster.new_database().replace("postgresql://", "postgresql+psycopg://")


@pytest.mark.parametrize("number", [0, 1, 10, 30])
def test_a_database_that_was_killed_while_it_was_made_is_made_by_the_next(
    database: Database, number: int
) -> None:
    """`number` of its statement; 0 is the commit."""
    killed = _upgrade_elsewhere(database.url, number)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert migrations.current(database.url) is None
    migrations.upgrade(database.url)
    catalog = database.catalog()
    with catalog.write() as tx:
        tx.create_repository(0)
    catalog.close()


def test_tables_of_somebody_else_are_not_taken_for_a_catalog(database: Database) -> None:
    with create_engine(database.url).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE packages (id INTEGER)")
    with pytest.raises(DBAPIError, match="packages"):
        migrations.upgrade(database.url)
    assert migrations.current(database.url) is None


def test_the_newest_revision_is_the_one_that_a_start_looks_for() -> None:
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert script.get_current_head() == migrations.HEAD


def test_a_newer_schema_is_refused_in_words(database: Database) -> None:
    migrations.upgrade(database.url)
    with create_engine(database.url).begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Broken, match="newer Otarium"):
        migrations.upgrade(database.url)


def test_a_second_upgrade_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    migrations.upgrade(f"sqlite:///{path}")
    before = path.read_bytes()
    migrations.upgrade(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_packages_of_before_there_were_sources_are_our_own(database: Database) -> None:
    _old(database.url)
    migrations.upgrade(database.url)
    with create_engine(database.url).connect() as connection:
        rows = connection.execute(text("SELECT pk, source, package_id FROM packages ORDER BY pk")).all()
        assert rows == [(number, "targets", f"a-{number}") for number in range(1, PACKAGES + 1)]
    _require_everything(database)


@pytest.mark.parametrize("at", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0, "commit"])
def test_an_upgrade_that_is_killed_midway_leaves_everything_to_the_next(
    database: Database, statements: dict[str, int], at: float | str
) -> None:
    """`at`: after this share of its statements."""
    _old(database.url)
    number = 0 if at == "commit" else max(1, round(float(at) * statements[database.url.partition(":")[0]]))
    killed = _upgrade_elsewhere(database.url, number)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert migrations.current(database.url) == "0001"
    migrations.upgrade(database.url)
    with create_engine(database.url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, indexes.metadata) == []
    _require_everything(database)


@pytest.fixture(scope="module")
def statements(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """How many an upgrade takes, by scheme."""
    postgresql = cluster.new_database().replace("postgresql://", "postgresql+psycopg://")
    sqlite = f"sqlite:///{tmp_path_factory.mktemp('statements') / 'catalog.sqlite'}"
    counts = {}
    for url in (sqlite, postgresql):
        _old(url)
        done = _upgrade_elsewhere(url, -1)
        assert done.returncode == 0, done.stderr
        counts[url.partition(":")[0]] = int(done.stdout)
    assert all(count > 50 for count in counts.values())
    return counts


def _upgrade_elsewhere(url: str, number: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, killed_upgrade.__file__, url, str(number)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def _old(url: str) -> None:
    """A database of the first schema, with something in it."""
    _upgrade_to(url, "0001")
    package = {"format": "BINARY", "sha256": "0" * 64, "length": 1, "shelf": "targets"}
    package |= {"uploaded_hardware_ids": "[]"}
    more = {
        "name": "a",
        "name_folded": "a",
        "has_sbom": False,
        "hardware_ids": '["hw"]',
        "entry_uptane": b"x",
    }
    counters = {"revision": 7, "root": 1, "targets": 2, "snapshot": 3, "timestamp": 4, "kept_bytes": 5}
    with create_engine(url).begin() as connection:

        def insert(table: str, **values: object) -> None:
            places = ", ".join(f":{name}" for name in values)
            connection.execute(text(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})"), values)

        insert("repository", namespace="default", created_at=1, **counters)
        for pk in range(1, PACKAGES + 1):
            of_version = {"package_id": f"a-{pk}", "version": str(pk), "id_folded": f"a-{pk}"}
            times = {"created_at": pk, "updated_at": pk, "revision": pk}
            insert("packages", **package, **more, **of_version, **times)
            insert("package_hardware_ids", hardware_id="hw", pk=pk)
        insert("deleted", package_id="b-1", deleted_at=1, revision=1, **package)
        insert("blobs", sha256="0" * 64, length=1, dying=False, released_at=0)
        insert("keys", key_id="k" * 64, role="root", public="p", sealed=b"s", created_at=1)
        insert("journal", at=1, actor="me", action="package.add", subject="a-1", detail="")


def _require_everything(database: Database) -> None:
    catalog = database.catalog()
    with catalog.read() as tx:
        assert tx.roles.counters() == Counters(1, 2, 3, 4)
        assert tx.packages.deleted(PackageId("b-1")) is not None
        assert tx.blobs.numbers() == (1, 1)
        assert [key.role for key in tx.keys.every()] == ["root"]
        assert tx.journal.last("package.add") == 1
        assert tx.shelves.get("targets").targets == PACKAGES
        assert list(tx.searching.differences()) == []
        package = tx.packages.get(PackageId("a-1"))
        assert package is not None
        for query in (
            PackageQuery(limit=1, ascending=True),
            PackageQuery(hardware_ids=("hw",), id_contains="A-", sort_by="Filename", ascending=True, limit=1),
        ):
            page = tx.packages.search(query)
            assert (page.total, page.values) == (PACKAGES, [listed(package)])
        assert tx.packages.search(PackageQuery(hardware_ids=("other",))).total == 0
    catalog.close()


def _schema(url: str) -> dict[str, object]:
    """All that a database says of its tables, whatever the order of columns."""
    engine = create_engine(url)
    inspector = inspect(engine)
    found: dict[str, object] = {}
    for table in inspector.get_table_names():
        columns = {one["name"]: {**one, "type": repr(one["type"])} for one in inspector.get_columns(table)}
        indexes = {
            one["name"]: {
                **one,
                "dialect_options": {key: str(value) for key, value in one.get("dialect_options", {}).items()},
            }
            for one in inspector.get_indexes(table)
        }
        keys = [inspector.get_pk_constraint(table), *inspector.get_unique_constraints(table)]
        foreign = inspector.get_foreign_keys(table)
        found[table] = columns, indexes, sorted(map(repr, keys)), sorted(map(repr, foreign))
    asked = (
        "SELECT relname, reloptions FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
        if engine.dialect.name == "postgresql"
        else "PRAGMA page_size"
    )
    with engine.connect() as connection:
        found["stored"] = connection.exec_driver_sql(asked).all()
    engine.dispose()
    return found


def _upgrade_to(url: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["url"] = url
    command.upgrade(config, revision)
