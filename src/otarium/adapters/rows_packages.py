"""Rows of packages: reading, writing and searching them.

Lists show own and external packages; everything that is written, signed or served is about own ones.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import JSON, Connection, Row, and_, bindparam, delete, exists, func, insert, select, update

from otarium.adapters import listing, search, tables, walk, words
from otarium.adapters.quick import Quick
from otarium.domain.listed import Listed, Page, members
from otarium.domain.names import (
    OWN_SOURCE,
    HardwareId,
    PackageId,
    PackageName,
    PackageVersion,
    Sha256,
    SourceName,
)
from otarium.domain.packages import Content, Deleted, Entry, Package, PackageQuery, TargetFormat
from otarium.services.ports import Cursor

_P = tables.packages
_D = tables.deleted
_OWN = _P.c.source == str(OWN_SOURCE)
SHOWN = [
    *(_P.c.pk, _P.c.source, _P.c.package_id, _P.c.name, _P.c.version),
    *(_P.c.format, _P.c.sha256, _P.c.length, _P.c.location, _P.c.uploaded_hardware_ids),
    *(_P.c.hardware_ids, _P.c.uri, _P.c.comment, _P.c.meta),
    *(_P.c.created_at, _P.c.updated_at, _P.c.revision),
]
"""What a Package is made from, in the order in which `package_of` takes it."""
_FORMATS = {form.value: form for form in TargetFormat}
_MARK = "\1"
ENTRY = [_P.c.entry_uptane, _P.c.entry_tuf, _P.c.entry_olpc]

# Statements of every upload, made once: building one costs more than running it.
_BY_ID = select(*SHOWN).where(_P.c.package_id == bindparam("id"), _OWN)
_IN_ORDER = (
    select(*SHOWN)
    .outerjoin(tables.sources, tables.sources.c.name == _P.c.source)
    .where(_P.c.package_id == bindparam("id"))
    .order_by(_OWN.desc(), tables.sources.c.position)
    .limit(1)
)
_WITH_ID = select(*SHOWN).where(_P.c.package_id == bindparam("id"))
_IS_THERE = Quick(select(_P.c.pk).where(_P.c.package_id == bindparam("id"), _OWN))
_WAS_DELETED = Quick(select(_D.c.deleted_at).where(_D.c.package_id == bindparam("id")))
_OWNED = Quick(select(_P.c.pk).where(_P.c.name == bindparam("name"), _OWN).limit(1))
_WOULD_BE_NEXT = Quick(
    select(
        exists().where(_P.c.name == bindparam("name"), _OWN)
        & ~exists().where(_P.c.package_id == bindparam("id"), _OWN)
        & ~exists().where(_D.c.package_id == bindparam("id"))
    )
)
_DELETED_BY_ID = select(_D).where(_D.c.package_id == bindparam("id"))
_FORGET_DELETED = delete(_D).where(_D.c.package_id == bindparam("id"))
_REVISION = select(tables.repository.c.revision)
_NEXT_REVISION = Quick(
    update(tables.repository)
    .values(revision=tables.repository.c.revision + 1)
    .returning(tables.repository.c.revision)
)
_ADD = Quick(
    insert(_P)
    .values({column.name: bindparam(column.name) for column in _P.c if column is not _P.c.pk})
    .returning(_P.c.pk)
)
_JSON = [column.name for column in _P.c if isinstance(column.type, JSON)]


class PackageRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._touched: dict[listing.Key, int | None] = {}
        """With the primary key of what was added or changed once; None where it went, or more happened."""
        self._fresh: dict[int, words.Numbers] = {}
        self._never_deleted: set[PackageId] = set()

    def revision(self) -> int:
        return int(self._connection.execute(_REVISION).scalar_one())

    def next_revision(self) -> int:
        [[revision]] = _NEXT_REVISION.rows(self._connection)
        return int(revision)

    def get(self, package_id: PackageId) -> Package | None:
        if not _IS_THERE.rows(self._connection, id=package_id):
            return None
        row = self._connection.execute(_BY_ID, {"id": package_id}).first()
        return package_of(row) if row else None

    def find(self, package_id: PackageId) -> Package | None:
        row = self._connection.execute(_IN_ORDER, {"id": package_id}).first()
        return package_of(row) if row else None

    def owns_name(self, name: PackageName) -> bool:
        return bool(_OWNED.rows(self._connection, name=name))

    def add(self, package: Package, shelf: str, entry: Entry) -> None:
        if package.id not in self._never_deleted and _WAS_DELETED.rows(self._connection, id=package.id):
            self._connection.execute(_FORGET_DELETED, {"id": package.id})
        [numbers] = words.numbers_of(self._connection, [package])
        values = package_values(package, shelf, entry, numbers)
        values |= {name: json.dumps(values[name]) for name in _JSON}
        [[pk]] = _ADD.rows(self._connection, **values)
        self._touch(package, {pk: numbers})

    def replace(self, package: Package, entry: Entry) -> None:
        of_package = and_(_P.c.package_id == package.id, _OWN)
        [numbers] = words.numbers_of(self._connection, [package])
        changed = update(_P).where(of_package).values(**_mutable(package, entry, numbers)).returning(_P.c.pk)
        pk = self._connection.execute(changed).scalar_one()
        self._touch(package, {pk: numbers})

    def remove(self, package: Package, revision: int, at: int) -> None:
        self._never_deleted.discard(package.id)
        of_package = and_(_P.c.package_id == package.id, _OWN)
        shelf = self._connection.execute(select(_P.c.shelf).where(of_package)).scalar_one()
        self._connection.execute(delete(_P).where(of_package))
        self._touch(package, {})
        remembered = {"package_id": package.id, "shelf": shelf, "deleted_at": at, "revision": revision}
        self._connection.execute(insert(_D).values(**remembered, **_content_values(package.content)))

    def _touch(self, package: Package, numbers: Mapping[int, words.Numbers]) -> None:
        key = key_of(package)
        self._touched[key] = None if key in self._touched else next(iter(numbers), None)
        self._fresh |= numbers

    @contextmanager
    def forgetting(self) -> Iterator[None]:
        """Where this fails, what was touched inside was not."""
        touched, fresh = dict(self._touched), dict(self._fresh)
        try:
            yield
        except BaseException:
            self._touched, self._fresh = touched, fresh
            raise

    def settle(self) -> None:
        """Bring what searches read up to date: once for all changes, which are mostly in one block."""
        if self._touched:
            listing.renew(self._connection, self._touched, self._fresh)
            self._touched, self._fresh = {}, {}

    def deleted(self, package_id: PackageId) -> Deleted | None:
        if not _WAS_DELETED.rows(self._connection, id=package_id):
            return None
        row = self._connection.execute(_DELETED_BY_ID, {"id": package_id}).first()
        return Deleted(PackageId(row.package_id), _content(row), row.deleted_at) if row else None

    def would_be_next(self, name: PackageName, package_id: PackageId) -> bool:
        [[is_so]] = _WOULD_BE_NEXT.rows(self._connection, name=name, id=package_id)
        if is_so:
            self._never_deleted.add(package_id)
        return bool(is_so)

    def with_hash(self, sha256: Sha256, deleted_since: int) -> Content | None:
        live = select(_P).where(_P.c.sha256 == sha256, _OWN).order_by(_P.c.location.is_not(None)).limit(1)
        gone = select(_D).where(_D.c.sha256 == sha256, _D.c.deleted_at >= deleted_since).limit(1)
        row = self._connection.execute(live).first()
        if row is not None:
            return replace(_content(row), location=row.uri if row.location else None)
        row = self._connection.execute(gone).first()
        return _content(row) if row else None

    def with_id(self, package_id: PackageId) -> Sequence[Package]:
        return list(map(package_of, self._connection.execute(_WITH_ID, {"id": package_id})))

    def external_with_hash(self, sha256: Sha256) -> Sequence[Package]:
        one_each = select(func.min(_P.c.pk)).where(_P.c.sha256 == sha256, ~_OWN).group_by(_P.c.source)
        rows = self._connection.execute(select(*SHOWN).where(_P.c.pk.in_(one_each)))
        return list(map(package_of, rows))

    def search(self, query: PackageQuery) -> Page:
        self.settle()
        return search.page(self._connection, query)

    def count(self, query: PackageQuery) -> tuple[int, Cursor]:
        self.settle()
        return search.count(self._connection, query)

    def chunk(self, query: PackageQuery, cursor: Cursor, skip: int, size: int) -> tuple[list[Listed], Cursor]:
        return walk.chunk(self._connection, query, cursor, skip, size)

    def numbers(self) -> Mapping[str, int]:
        rows = self._connection.execute(select(_P.c.source, func.count()).group_by(_P.c.source))
        return {source: int(count) for source, count in rows}

    def every(self) -> Iterator[tuple[Package, Entry]]:
        statement = select(*SHOWN, *ENTRY).where(_OWN).order_by(_P.c.package_id)
        for row in self._connection.execute(statement.execution_options(yield_per=1000)):
            try:
                yield package_of(row), entry_of(*row[len(SHOWN) :])
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{row.package_id}: {error}") from error


def key_of(package: Package) -> listing.Key:
    return listing.Key(package.created_at, package.id, package.source)


def package_values(package: Package, shelf: str, entry: Entry, numbers: words.Numbers) -> dict[str, Any]:
    """The whole row but its key."""
    fixed = {
        "source": package.source,
        "package_id": package.id,
        "name": package.name,
        "version": package.version,
        "created_at": package.created_at,
        "shelf": shelf,
    }
    return {**fixed, **_content_values(package.content), **_mutable(package, entry, numbers)}


def _content_values(content: Content) -> dict[str, Any]:
    return {
        "format": content.format.value,
        "sha256": content.sha256,
        "length": content.length,
        "location": content.location,
        "uploaded_hardware_ids": sorted(content.hardware_ids),
    }


def _mutable(package: Package, entry: Entry, numbers: words.Numbers) -> dict[str, Any]:
    """The columns that an edit may change."""
    return {
        "hardware_ids": list(package.hardware_ids),
        "uri": package.uri,
        "comment": _kept_text(package.comment),
        "meta": None if package.meta is None else json.dumps(package.meta, ensure_ascii=False),
        "has_sbom": package.has_sbom,
        "updated_at": package.updated_at,
        "revision": package.revision,
        "entry_uptane": entry.uptane,
        "entry_tuf": None if entry.tuf is entry.uptane else entry.tuf,
        "entry_olpc": None if entry.olpc is entry.tuf else entry.olpc,
        "listed": members(package),
        "name_word": numbers.name,
        "version_word": numbers.version,
        "trait_word": numbers.trait,
    }


def _kept_text(text: str | None) -> str | None:
    """PostgreSQL keeps no U+0000: what has one is kept as JSON behind a mark."""
    if text is not None and ("\0" in text or text.startswith(_MARK)):
        return _MARK + json.dumps(text)
    return text


def _text_of(kept: str | None) -> str | None:
    return json.loads(kept[1:]) if kept is not None and kept.startswith(_MARK) else kept


def _content(row: Row[Any]) -> Content:
    return Content(
        TargetFormat(row.format),
        Sha256(row.sha256),
        row.length,
        frozenset(map(HardwareId, row.uploaded_hardware_ids)),
        row.location,
    )


def package_of(row: Sequence[Any]) -> Package:
    """From a row that begins with the columns of SHOWN; by place, since long lists are made of these."""
    _pk, source, package_id, name, version, form, sha256, length, location, uploaded = row[:10]
    hardware_ids, uri, comment, meta, created_at, updated_at, revision = row[10:17]
    return Package(
        PackageId(package_id),
        PackageName(name),
        PackageVersion(version),
        Content(_FORMATS[form], Sha256(sha256), length, frozenset(map(HardwareId, uploaded)), location),
        tuple(map(HardwareId, hardware_ids)),
        uri,
        _text_of(comment),
        None if meta is None else msgspec.json.decode(meta),
        created_at,
        updated_at,
        revision,
        SourceName(source),
    )


def entry_of(uptane: bytes, tuf: bytes | None, olpc: bytes | None) -> Entry:
    """From the columns of ENTRY."""
    served = uptane if tuf is None else tuf
    return Entry(uptane, served, served if olpc is None else olpc)
