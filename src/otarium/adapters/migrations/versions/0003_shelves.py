"""Shelves: pages, the names on them, role files that age from the day they were replaced; leases"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "shelves",
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("first", sa.String(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("targets", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("role"),
    )
    op.create_index("shelves_by_page", "shelves", ["first", "page"])
    op.create_table(
        "leases",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "names",
        sa.Column("name", sa.VARCHAR(collation="C") if is_postgresql else sa.String(), nullable=False),
        sa.Column("shelf", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_index("names_by_shelf", "names", ["shelf"])
    op.execute(
        "INSERT INTO shelves (role, first, page, targets, bytes) "
        "SELECT 'targets', 'targets', 0, "
        "(SELECT count(*) FROM packages WHERE source = 'targets'), "
        "(SELECT coalesce(sum(length(entry_uptane) + 1), 0) FROM packages WHERE source = 'targets') "
        "FROM repository"
    )
    op.drop_index("packages_by_revision", "packages")
    op.drop_index("deleted_by_revision", "deleted")
    op.create_index("packages_by_shelf", "packages", ["shelf", "package_id"])
    op.drop_index("role_files_kept", "role_files")
    op.add_column("role_files", sa.Column("surplus_at", sa.BigInteger(), nullable=True))
    newest = sa.text("surplus_at IS NULL")
    surplus = sa.text("surplus_at IS NOT NULL AND uptane IS NOT NULL")
    op.create_index(
        "role_files_newest", "role_files", ["role", "version"], sqlite_where=newest, postgresql_where=newest
    )
    op.create_index(
        "role_files_surplus",
        "role_files",
        ["surplus_at", "version"],
        sqlite_where=surplus,
        postgresql_where=surplus,
    )
    op.execute("UPDATE role_files SET surplus_at = signed_at WHERE uptane IS NULL")
    op.execute("UPDATE repository SET kept_bytes = 0")
