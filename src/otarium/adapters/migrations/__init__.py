"""Schema migrations, run once before any worker starts."""

import sqlite3
from contextlib import closing
from pathlib import Path

from otarium.domain.errors import Broken

HEAD = "0002"
"""The newest revision in `versions`; a test holds the two together."""


def current(database: Path) -> str | None:
    """The revision of a database; None for an empty one."""
    with closing(sqlite3.connect(database)) as connection:
        tables = "SELECT name FROM sqlite_master WHERE name = 'alembic_version'"
        if connection.execute(tables).fetchone() is None:
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else None


def upgrade(database: Path) -> None:
    """Bring the schema up to date. Raises Broken when it was made by a newer Otarium."""
    found = current(database)
    if found == HEAD:
        return
    # Imported here because it takes longer than all the rest of a start, and is needed once a year.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["url"] = f"sqlite:///{database}"
    known = {one.revision for one in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise Broken(f"the catalog has schema {found}, made by a newer Otarium; upgrade this one")
    command.upgrade(config, "head")
