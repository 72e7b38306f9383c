"""Schema migrations, run once before any worker starts."""

from pathlib import Path

from sqlalchemy import Select, create_engine, inspect, select, table
from sqlalchemy.exc import OperationalError
from sqlalchemy.sql import column

from otarium.domain.errors import Broken

HEAD = "0005"
"""The newest revision in `versions`; a test holds the two together."""


def current(url: str) -> str | None:
    """The revision of a database; None for an empty one. Raises Broken when it cannot be reached."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            version: Select[str] = select(column("version_num")).select_from(table("alembic_version"))
            return connection.execute(version).scalar()
    except OperationalError as error:
        raise Broken(f"the database cannot be reached: {error.orig}") from None
    finally:
        engine.dispose()


def upgrade(url: str) -> None:
    """Bring the schema up to date. Raises Broken when it was made by a newer Otarium."""
    found = current(url)
    if found == HEAD:
        return
    # Imported here because it takes longer than all the rest of a start, and is needed once a year.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["url"] = url
    known = {one.revision for one in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise Broken(f"the catalog has schema {found}, made by a newer Otarium; upgrade this one")
    command.upgrade(config, "head")
