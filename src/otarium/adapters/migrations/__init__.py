"""Schema migrations, run once before any worker starts."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from otarium.domain.errors import Broken


def _config(database: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["url"] = f"sqlite:///{database}"
    return config


def upgrade(database: Path) -> None:
    """Bring the schema up to date. Raises Broken when it was made by a newer Otarium."""
    config = _config(database)
    script = ScriptDirectory.from_config(config)
    engine = create_engine(config.attributes["url"])
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    engine.dispose()
    if current is not None and current not in {one.revision for one in script.walk_revisions()}:
        raise Broken(f"the catalog has schema {current}, made by a newer Otarium; upgrade this one")
    if current != script.get_current_head():
        command.upgrade(config, "head")
