"""What lists show is kept ready; searches read numbered words in sorted blocks instead of rows"""

import hashlib
import json
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_AT_ONCE = 680
_TEXT = sa.String().with_variant(sa.VARCHAR(collation="C"), "postgresql")
_WORDS = ("name_word", "version_word", "trait_word")
_COLUMNS = ("pks", "traits", "names", "versions")
_SHOWN = ("pk", "source", "package_id", "name", "version", "format", "sha256", "length", "hardware_ids")
_PACKAGES = sa.table(
    "packages",
    *(sa.column(name, sa.JSON if name == "hardware_ids" else None) for name in _SHOWN),
    *(sa.column(name) for name in ("uri", "comment", "meta", "has_sbom", "created_at", "listed", *_WORDS)),
)


def upgrade() -> None:
    words, listing = _create_tables()
    op.drop_table("package_hardware_ids")
    op.drop_index("packages_folded", "packages")
    op.add_column("packages", sa.Column("listed", sa.LargeBinary()))
    for name in _WORDS:
        op.add_column("packages", sa.Column(name, sa.Integer()))
    connection = op.get_bind()
    if connection.execute(sa.select(_PACKAGES.c.pk).limit(1)).first() is not None:
        _fill_rows(connection, words)
        _fill_listing(connection, listing)
    kept = {"sqlite_autoincrement": True}
    with op.batch_alter_table("packages", table_kwargs=kept) as packages:
        packages.alter_column("listed", existing_type=sa.LargeBinary(), nullable=False)
        for name in _WORDS:
            packages.alter_column(name, existing_type=sa.Integer(), nullable=False)
        packages.drop_column("name_folded")
        packages.drop_column("id_folded")


def _create_tables() -> tuple[sa.Table, sa.Table]:
    words = op.create_table(
        "words",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("word", _TEXT, nullable=False),
        sa.Column("folded", _TEXT, nullable=False),
        sa.Column("odd_id", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("digest", name="one_number_per_word"),
    )
    odd = sa.text("odd_id IS NOT NULL")
    op.create_index("words_by_kind", "words", ["kind", "odd_id", "folded"])
    op.create_index("words_of_odd_ids", "words", ["number"], sqlite_where=odd, postgresql_where=odd)
    listing = op.create_table(
        "listing",
        sa.Column("sorting", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("package_id", _TEXT, nullable=False),
        sa.Column("source", _TEXT, nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        *(
            sa.Column(name, sa.LargeBinary(), nullable=False)
            for name in ("pks", "traits", "names", "versions")
        ),
        sa.PrimaryKeyConstraint("sorting", "created_at", "package_id", "source"),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Blocks stay whole in their rows: put together from pieces elsewhere, they take four times as long.
        op.execute("ALTER TABLE listing SET (toast_tuple_target = 8160)")
    return words, listing


def _fill_rows(connection: sa.Connection, words: sa.Table) -> None:
    numbers: dict[tuple[str, str, str | None], int] = {}
    change = _PACKAGES.update().where(_PACKAGES.c.pk == sa.bindparam("of"))
    filled: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in ("listed", *_WORDS)}
    for rows in _parts(connection):
        new, changed = [], []
        for row in rows:
            three = _words_of(row)
            for word in three:
                if word not in numbers:
                    numbers[word] = len(numbers) + 1
                    new.append({"number": numbers[word], **_word_values(*word)})
            values: dict[str, Any] = {"listed": _listed(row)}
            values |= dict(zip(_WORDS, (numbers[word] for word in three), strict=True))
            changed.append({"of": row.pk, **{f"new_{name}": value for name, value in values.items()}})
        if new:
            connection.execute(words.insert(), new)
        connection.execute(change.values(**filled), changed)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT setval('words_number_seq', {len(numbers)})")


def _parts(connection: sa.Connection) -> Iterator[list[Any]]:
    columns = [column for column in _PACKAGES.c if column.name not in ("listed", *_WORDS)]
    last = -1
    while True:
        part = sa.select(*columns).where(_PACKAGES.c.pk > last).order_by(_PACKAGES.c.pk).limit(_AT_ONCE)
        rows = list(connection.execute(part))
        if not rows:
            return
        yield rows
        last = rows[-1].pk


def _words_of(row: Any) -> tuple[tuple[str, str, str | None], ...]:
    regular = row.package_id == f"{row.name}-{row.version}"
    trait = json.dumps([row.source, bool(row.has_sbom), *sorted(row.hardware_ids)], ensure_ascii=False)
    return (
        ("name", row.name, None if regular else row.package_id),
        ("version", row.version, None),
        ("trait", trait, None),
    )


def _word_values(kind: str, word: str, odd_id: str | None) -> dict[str, Any]:
    parts = "\n".join((kind, word) if odd_id is None else (kind, word, odd_id))
    return {
        "kind": kind,
        "digest": hashlib.blake2b(parts.encode(), digest_size=16).digest(),
        "word": word,
        "folded": "" if kind == "trait" else word.casefold(),
        "odd_id": None if odd_id is None else odd_id.casefold(),
    }


def _listed(row: Any) -> bytes:
    comment = row.comment
    if comment is not None and comment.startswith("\1"):
        comment = json.loads(comment[1:])
    shown = {
        "name": row.name,
        "version": row.version,
        "packageId": row.package_id,
        "size": row.length,
        "hashes": {"sha256": row.sha256},
        "pkgType": row.format,
        "hardwareIds": row.hardware_ids,
        "createdAt": datetime.fromtimestamp(row.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "uri": row.uri,
        "proprietaryMeta": None if row.meta is None else json.loads(row.meta),
        "comment": comment,
    }
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))[1:-1].encode()


def _fill_listing(connection: sa.Connection, listing: sa.Table) -> None:
    package = _PACKAGES.c
    stored = ("pk", "trait_word", "name_word", "version_word")
    by_name = (package.package_id, package.source)
    for sorting, order in (("CreatedAt", (package.created_at, *by_name)), ("Filename", by_name)):
        every = sa.select(package.created_at, *by_name, *(package[name] for name in stored))
        low = (-1, "", "")
        result = connection.execute(every.order_by(*order).execution_options(yield_per=_AT_ONCE))
        blocks: list[dict[str, Any]] = []
        for rows in result.partitions():
            if blocks:
                low = (rows[0][0] if sorting == "CreatedAt" else 0, *rows[0][1:3])
            numbers = zip(*(row[3:] for row in rows), strict=True)
            columns = [_packed(column) for column in numbers]
            names = ("created_at", "package_id", "source", *_COLUMNS)
            values = dict(zip(names, (*low, *columns), strict=True))
            blocks.append({"sorting": sorting, "size": len(rows), **values})
        connection.execute(listing.insert(), blocks)


def _packed(numbers: tuple[int, ...]) -> bytes:
    width = next(width for width in "BHi" if max(numbers) < 256 ** array(width).itemsize)
    return array(width, numbers).tobytes()
