"""External package sources, and packages of theirs beside our own"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_NAMES = {"uq": "uq_%(table_name)s_%(column_0_name)s"}


def upgrade() -> None:
    op.create_table(
        "sources",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("delegation", sa.Text(), nullable=False),
        sa.Column("fetching", sa.Text(), nullable=False),
        sa.Column("header_names", sa.JSON(), nullable=False),
        sa.Column("headers", sa.LargeBinary(), nullable=True),
        sa.Column("vouch_key", sa.String(), nullable=True),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_fetched", sa.BigInteger(), nullable=True),
        sa.Column("next_refresh", sa.BigInteger(), nullable=False),
        sa.Column("problem_code", sa.String(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("problem_since", sa.BigInteger(), nullable=True),
        sa.Column("left_out", sa.Text(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("validators", sa.Text(), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "source_files",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("dialect", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("newest", sa.Boolean(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("listed_sha256", sa.String(length=64), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", sa.BigInteger(), nullable=False),
        sa.Column("vouched", sa.Boolean(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["source"], ["sources.name"]),
        sa.PrimaryKeyConstraint("source", "dialect", "version"),
    )
    source = sa.Column("source", sa.String(), server_default=sa.text("'targets'"), nullable=False)
    op.drop_index("packages_by_creation", "packages")
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("packages", source)
        op.drop_constraint("packages_package_id_key", "packages", type_="unique")
        op.create_unique_constraint("one_package_per_source", "packages", ["package_id", "source"])
        _compare_by_code_point()
    else:
        options = {"sqlite_autoincrement": True}
        with op.batch_alter_table(
            "packages", recreate="always", naming_convention=_NAMES, table_kwargs=options
        ) as packages:
            packages.drop_constraint("uq_packages_package_id", type_="unique")
            packages.add_column(source, insert_after="pk")
            packages.create_unique_constraint("one_package_per_source", ["package_id", "source"])
    op.create_index("packages_by_creation", "packages", ["created_at", "package_id", "source"])
    op.create_index("packages_folded", "packages", ["name_folded", "id_folded"])
    op.create_index("packages_by_source", "packages", ["source", "created_at", "package_id"])


def _compare_by_code_point() -> None:
    """PostgreSQL would order names as its locale does."""
    texts = sa.VARCHAR(collation="C")
    for column in ("source", "package_id", "name", "version", "name_folded", "id_folded"):
        op.alter_column("packages", column, type_=texts)
    op.alter_column("package_hardware_ids", "hardware_id", type_=texts)
    op.alter_column("deleted", "package_id", type_=texts)
    op.alter_column("sources", "name", type_=texts)
    op.alter_column("source_files", "source", type_=texts)
