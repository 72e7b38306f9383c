"""The migrations make the schema that the code uses, and never open a newer one."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from otarium.adapters import migrations, tables
from otarium.domain.errors import Broken


def test_the_migrated_schema_is_the_schema_in_the_code(tmp_path: Path) -> None:
    migrations.upgrade(tmp_path / "c.sqlite")
    with create_engine(f"sqlite:///{tmp_path / 'c.sqlite'}").connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []


def test_the_newest_revision_is_the_one_that_a_start_looks_for() -> None:
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert script.get_current_head() == migrations.HEAD


def test_a_newer_schema_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    migrations.upgrade(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Broken, match="newer Otarium"):
        migrations.upgrade(path)


def test_a_second_upgrade_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    migrations.upgrade(path)
    before = path.read_bytes()
    migrations.upgrade(path)
    assert path.read_bytes() == before
