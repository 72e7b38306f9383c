"""The migrations make the schema that the code uses, and never open a newer one."""

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from contract.conftest import Database
from otarium.adapters import migrations, tables
from otarium.domain.errors import Broken
from otarium.domain.listed import listed
from otarium.domain.names import PackageId
from otarium.domain.packages import PackageQuery


def test_the_migrated_schema_is_the_schema_in_the_code(database: Database) -> None:
    migrations.upgrade(database.url)
    with create_engine(database.url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []


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
    _upgrade_to(database.url, "0001")
    engine = create_engine(database.url)
    values: dict[str, object] = {
        "package_id": "a-1",
        "name": "a",
        "version": "1",
        "name_folded": "a",
        "id_folded": "a-1",
    }
    values |= {"format": "BINARY", "sha256": "0" * 64, "length": 1, "has_sbom": False, "shelf": "targets"}
    values |= {"created_at": 1, "updated_at": 1, "revision": 1, "entry_uptane": b"x"}
    values |= {"uploaded_hardware_ids": "[]", "hardware_ids": '["hw"]'}
    with engine.begin() as connection:
        names, places = ", ".join(values), ", ".join(f":{name}" for name in values)
        connection.execute(text(f"INSERT INTO packages ({names}) VALUES ({places})"), values)
        connection.execute(text("INSERT INTO package_hardware_ids (hardware_id, pk) VALUES ('hw', 1)"))
    migrations.upgrade(database.url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT pk, source, package_id FROM packages")).all()
        assert rows == [(1, "targets", "a-1")]
    catalog = database.catalog()
    with catalog.read() as tx:
        package = tx.packages.get(PackageId("a-1"))
        assert package is not None
        for query in (
            PackageQuery(),
            PackageQuery(hardware_ids=("hw",), id_contains="A-", sort_by="Filename"),
        ):
            page = tx.packages.search(query)
            assert (page.total, page.values) == (1, [listed(package)])
        assert tx.packages.search(PackageQuery(hardware_ids=("other",))).total == 0
    catalog.close()


def _upgrade_to(url: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["url"] = url
    command.upgrade(config, revision)
