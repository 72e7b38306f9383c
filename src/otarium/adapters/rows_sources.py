"""Rows of external package sources, their files and what they list.

What the operator states about a source is kept as JSON; how it fares are columns.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, insert, select, update

from otarium.adapters import listing, tables
from otarium.adapters.quick import Quick
from otarium.adapters.rows_packages import SHOWN, key_of, package_of, package_values
from otarium.adapters.words import Numbers, numbers_of
from otarium.domain import patterns as path_patterns
from otarium.domain.delegation import Accepted, Delegation, SourceFile
from otarium.domain.external import LeftOut
from otarium.domain.keys import PublicKey
from otarium.domain.names import OWN_SOURCE, PackageId, SourceName
from otarium.domain.packages import Entry, Package
from otarium.domain.publishers import PublisherKey
from otarium.domain.roles import Dialect, SignedRole
from otarium.domain.sources import Fetching, Problem, Source
from otarium.services.ports_sources import StoredFile

_S = tables.sources
_F = tables.source_files
_P = tables.packages
_KEPT_FILES = 4
_SHOWN_LEFT_OUT = 100
_UNSIGNED = Entry(b"", b"", b"")
_ANY = Quick(select(_S.c.name).limit(1))
_EVERY = select(_S).order_by(_S.c.position, _S.c.name)
_REMOVE = delete(_P).where(_P.c.pk == bindparam("gone"))


class SourceRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: SourceName) -> Source | None:
        row = self._connection.execute(select(_S).where(_S.c.name == name)).first()
        return _source(row, self._files(name).get(name, {})) if row else None

    def every(self) -> Sequence[Source]:
        if not _ANY.rows(self._connection):
            return []
        rows = self._connection.execute(_EVERY).all()
        files = self._files()
        return [_source(row, files.get(row.name, {})) for row in rows]

    def _files(self, name: SourceName | None = None) -> dict[str, dict[Dialect, SourceFile]]:
        columns = [column for column in _F.c if column.name not in ("raw", "newest")]
        statement = select(*columns).where(_F.c.newest)
        if name is not None:
            statement = statement.where(_F.c.source == name)
        files: dict[str, dict[Dialect, SourceFile]] = {}
        for row in self._connection.execute(statement):
            values = row._asdict() | {"source": SourceName(row.source), "dialect": Dialect(row.dialect)}
            files.setdefault(row.source, {})[Dialect(row.dialect)] = SourceFile(**values)
        return files

    def put(self, source: Source) -> None:
        values = _values(source)
        updated = self._connection.execute(update(_S).where(_S.c.name == source.name).values(**values))
        if not updated.rowcount:
            self._connection.execute(insert(_S).values(name=source.name, **values))

    def headers(self, name: SourceName) -> bytes | None:
        return self._connection.execute(select(_S.c.headers).where(_S.c.name == name)).scalar()

    def set_headers(self, name: SourceName, sealed: bytes | None) -> None:
        self._connection.execute(update(_S).where(_S.c.name == name).values(headers=sealed))

    def take_over(self, accepted: Accepted) -> None:
        file = accepted.file
        of_slot = and_(_F.c.source == file.source, _F.c.dialect == file.dialect.value)
        self._connection.execute(update(_F).where(of_slot, _F.c.newest).values(newest=False))
        self._connection.execute(delete(_F).where(of_slot, _F.c.version == file.version))
        values = {name: getattr(file, name) for name in SourceFile.__slots__}
        self._connection.execute(insert(_F).values(**values, newest=True, raw=accepted.raw))
        old = select(_F.c.version).where(of_slot).order_by(_F.c.version.desc()).offset(_KEPT_FILES)
        versions = self._connection.execute(old.limit(1000)).scalars().all()
        self._connection.execute(delete(_F).where(of_slot, _F.c.version.in_(versions)))

    def retire(self, source: Source, dialect: Dialect) -> Source:
        of_slot = and_(_F.c.source == source.name, _F.c.dialect == dialect.value, _F.c.newest)
        self._connection.execute(update(_F).where(of_slot).values(accepted_at=0))
        forgotten = update(_S).where(_S.c.name == source.name).values(validators="{}")
        self._connection.execute(forgotten)
        return replace(source, files={**source.files, dialect: replace(source.files[dialect], accepted_at=0)})

    def list_packages(self, accepted: Accepted) -> None:
        name, accepted_at = accepted.file.source, accepted.file.accepted_at
        known = {package.id: (pk, package) for pk, package in self._packages(name)}
        new = []
        for package in accepted.packages:
            _, old = known.get(package.id, (0, None))
            if old is not None and _is_same(old, package, accepted_at):
                del known[package.id]
            else:
                new.append(package)
        self._remove([pk for pk, _ in known.values()])
        gone = [package for _, package in known.values()]
        listing.renew(self._connection, dict.fromkeys(map(key_of, (*gone, *new))), self._add(new))
        shown = [asdict(one) for one in accepted.left_out[:_SHOWN_LEFT_OUT]]
        self._connection.execute(update(_S).where(_S.c.name == name).values(left_out=json.dumps(shown)))

    def _packages(self, name: SourceName) -> list[tuple[int, Package]]:
        rows = self._connection.execute(select(*SHOWN).where(_P.c.source == name))
        return [(row.pk, package_of(row)) for row in rows]

    def _remove(self, pks: Sequence[int]) -> None:
        if pks:
            self._connection.execute(_REMOVE, [{"gone": pk} for pk in pks])

    def _add(self, packages: Sequence[Package]) -> dict[int, Numbers]:
        """The numbers of their words by primary key."""
        if not packages:
            return {}
        numbers = dict(enumerate(numbers_of(self._connection, packages), self._next_pk()))
        rows = [
            {"pk": pk, **package_values(package, "", _UNSIGNED, numbers[pk])}
            for pk, package in zip(numbers, packages, strict=True)
        ]
        self._connection.execute(insert(_P), rows)
        self._used(rows[-1]["pk"])
        return numbers

    def _next_pk(self) -> int:
        """Above every key ever given out, so that a walk over a long list never meets newer rows."""
        if self._connection.dialect.name == "postgresql":
            used = "SELECT last_value FROM packages_pk_seq"
        else:
            used = "SELECT seq FROM sqlite_sequence WHERE name = 'packages'"
        return int(self._connection.exec_driver_sql(used).scalar() or 0) + 1

    def _used(self, pk: int) -> None:
        """SQLite keeps its sequence by itself; PostgreSQL has to be told."""
        if self._connection.dialect.name == "postgresql":
            self._connection.exec_driver_sql("SELECT setval('packages_pk_seq', %s)", (pk,))

    def unlist_packages(self, name: SourceName) -> None:
        theirs = and_(_P.c.source == name, _P.c.source != str(OWN_SOURCE))
        places = select(_P.c.created_at, _P.c.package_id, _P.c.source).where(theirs)
        gone = [listing.Key(*row) for row in self._connection.execute(places)]
        self._connection.execute(delete(_P).where(theirs))
        listing.renew(self._connection, dict.fromkeys(gone), {})

    def left_out(self, name: SourceName) -> Sequence[LeftOut]:
        text = self._connection.execute(select(_S.c.left_out).where(_S.c.name == name)).scalar()
        return [LeftOut(**one) for one in json.loads(text or "[]")]

    def file(self, name: SourceName, dialect: Dialect, version: int) -> StoredFile | None:
        of_file = and_(_F.c.source == name, _F.c.dialect == dialect.value, _F.c.version == version)
        columns = (_F.c.raw, _F.c.sha256, _F.c.length, _F.c.modified_at)
        row = self._connection.execute(select(*columns).where(of_file)).first()
        return (
            StoredFile(SignedRole(row.raw, row.sha256, row.length, version), row.modified_at) if row else None
        )

    def owned_like(self, patterns: Sequence[str], at_most: int) -> Sequence[str]:
        live = select(_P.c.package_id).where(_P.c.source == str(OWN_SOURCE))
        every = live.union(select(tables.deleted.c.package_id)).execution_options(yield_per=1000)
        found: list[str] = []
        for one in self._connection.execute(every).scalars():
            if path_patterns.any_matches(patterns, one):
                found.append(PackageId(one))
                if len(found) == at_most:
                    break
        return found

    def validators(self, name: SourceName, uri: str) -> tuple[str | None, str | None]:
        text = self._connection.execute(select(_S.c.validators).where(_S.c.name == name)).scalar()
        etag, last_modified = json.loads(text or "{}").get(uri, (None, None))
        return etag, last_modified

    def set_validators(self, name: SourceName, uri: str, etag: str | None, last_modified: str | None) -> None:
        text = self._connection.execute(select(_S.c.validators).where(_S.c.name == name)).scalar()
        # Only what the last two fetches used: a source has at most two URLs.
        known = dict(list(json.loads(text or "{}").items())[-1:]) | {uri: (etag, last_modified)}
        self._connection.execute(update(_S).where(_S.c.name == name).values(validators=json.dumps(known)))


def _is_same(old: Package, new: Package, accepted_at: int) -> bool:
    """A package whose publisher states no time keeps the one at which it was first seen."""
    created = old.created_at if new.created_at == accepted_at else new.created_at
    updated = old.updated_at if new.updated_at == accepted_at else new.updated_at
    return replace(new, created_at=created, updated_at=updated) == old


def _values(source: Source) -> dict[str, Any]:
    problem = source.problem
    keys = {key_id: [key.kind, key.public] for key_id, key in source.delegation.keys.items()}
    stated = {"keys": keys, "threshold": source.delegation.threshold, "paths": source.delegation.paths}
    return {
        "position": source.position,
        "delegation": json.dumps(stated),
        "fetching": json.dumps(asdict(source.fetching)),
        "header_names": list(source.header_names),
        "vouch_key": source.vouch_key.public if source.vouch_key else None,
        "added_at": source.added_at,
        "removed_at": source.removed_at,
        "attempts": source.attempts,
        "failures": source.failures,
        "last_fetched": source.last_fetched,
        "next_refresh": source.next_refresh,
        "problem_code": problem.code if problem else None,
        "problem": problem.message if problem else None,
        "problem_since": problem.since if problem else None,
    }


def _source(row: Row[Any], files: Mapping[Dialect, SourceFile]) -> Source:
    stated = json.loads(row.delegation)
    keys = {key_id: PublisherKey(key_id, kind, public) for key_id, (kind, public) in stated["keys"].items()}
    name = SourceName(row.name)
    return Source(
        delegation=Delegation(name, keys, stated["threshold"], tuple(stated["paths"])),
        fetching=Fetching(**json.loads(row.fetching)),
        position=row.position,
        added_at=row.added_at,
        header_names=tuple(row.header_names),
        removed_at=row.removed_at,
        attempts=row.attempts,
        failures=row.failures,
        last_fetched=row.last_fetched,
        next_refresh=row.next_refresh,
        problem=Problem(row.problem_code, row.problem, row.problem_since) if row.problem_code else None,
        files=files,
        vouch_key=PublicKey(row.vouch_key) if row.vouch_key else None,
    )
