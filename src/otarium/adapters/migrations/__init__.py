"""The schema of a database: made whole where there is none, else migrated, once before any worker starts."""

from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    create_engine,
    insert,
    inspect,
    select,
)
from sqlalchemy.exc import OperationalError

from otarium.adapters.migrations.engine import engine_of
from otarium.domain.errors import Broken

HEAD = "0005"
"""The newest revision in `versions`; a test holds the two together."""
_REVISIONS = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""As Alembic makes it."""


def current(url: str) -> str | None:
    """The revision of a database; None for an empty one. Raises Broken when it cannot be reached."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return _revision(connection)
    except OperationalError as error:
        raise Broken(f"the database cannot be reached: {error.orig}") from None
    finally:
        engine.dispose()


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_REVISIONS.name):
        return None
    return connection.execute(select(_REVISIONS.c.version_num)).scalar()


def upgrade(url: str) -> None:
    """Bring the schema up to date. Raises Broken when it was made by a newer Otarium."""
    found = current(url) or _create(url)
    if found != HEAD:
        _migrate(url, found)


def _create(url: str) -> str:
    """All of it, in an empty database, as the code has it: that takes a fifth of what the migrations would.
    Answers the revision, which is somebody else's where that one was first."""
    # Imported here because it loads all that SQLAlchemy knows of the database, which no worker needs.
    from otarium.adapters import indexes

    engine = engine_of(url)
    try:
        with engine.begin() as connection:
            if found := _revision(connection):
                return found
            indexes.metadata.create_all(connection, checkfirst=False)
            _REVISIONS.create(connection)
            connection.execute(insert(_REVISIONS).values(version_num=HEAD))
            return HEAD
    finally:
        engine.dispose()


def _migrate(url: str, found: str) -> None:
    # Imported here because it takes longer than all the rest of a start, and is needed once a year.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["url"] = url
    known = {one.revision for one in ScriptDirectory.from_config(config).walk_revisions()}
    if found not in known:
        raise Broken(f"the catalog has schema {found}, made by a newer Otarium; upgrade this one")
    command.upgrade(config, "head")
