"""What targets.json says of the names on each shelf, kept ready"""

import json
import re
from itertools import groupby
from operator import itemgetter

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("shelves", sa.Column("longest", sa.Integer(), nullable=True))
    op.add_column("shelves", sa.Column("paths", sa.LargeBinary(), nullable=True))
    connection = op.get_bind()
    shelves = sa.table("shelves", *(sa.column(name) for name in ("role", "longest", "paths")))
    names = connection.execute(sa.text("SELECT shelf, name FROM names ORDER BY shelf, name")).all()
    for shelf, rows in groupby(names, itemgetter(0)):
        on = sorted(name for _, name in rows)
        paths = json.dumps(list(map(_pattern, on)), separators=(",", ":"), ensure_ascii=False).encode()
        stated = {"longest": max(map(len, on)), "paths": paths}
        connection.execute(shelves.update().where(shelves.c.role == shelf).values(stated))


def _pattern(name: str) -> str:
    """As the code of this revision has it."""
    bracketed = re.sub(r"[*?\[\]()}#\\]", lambda one: f"[{one[0]}]".replace("\\", "\\\\"), name)
    return re.sub(r"\{|(?:^|(?<=/))!", "?", bracketed) + "-*"
