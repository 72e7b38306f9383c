"""Rows of signed files and of blobs."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, exists, func, insert, select, text, update

from otarium.adapters import tables
from otarium.adapters.quick import Quick
from otarium.domain.errors import Broken
from otarium.domain.feed import FEED
from otarium.domain.names import OWN_SOURCE, Sha256
from otarium.domain.release import Counters, Release
from otarium.domain.roles import ROLE_NAMES, TARGETS, RoleFile, SignedRole
from otarium.services.ports import BlobRow

_F = tables.role_files
_B = tables.blobs
_R = tables.repository
_BLOB_IS_DYING = select(_B.c.dying).where(_B.c.sha256 == bindparam("sha256"))
_KEEP_BLOB = Quick(
    # One journey. SQLAlchemy can say it for one database at a time only; to change nothing brings the row.
    text(
        "INSERT INTO blobs (sha256, length, dying, released_at) VALUES (:sha256, :length, false, 0) "
        "ON CONFLICT (sha256) DO UPDATE SET length = blobs.length RETURNING dying"
    )
)
_ADD_BLOB = insert(_B)
_COUNTERS = Quick(select(_R.c.root, _R.c.targets, _R.c.snapshot, _R.c.timestamp))
_SAVE_COUNTERS = Quick(
    update(_R).values(
        **{name: bindparam(name) for name in ("root", "targets", "snapshot", "timestamp")},
        kept_bytes=_R.c.kept_bytes + bindparam("surplus"),
    )
)
_ADD_FILE = Quick(
    insert(_F).values({one.name: bindparam(one.name) for one in _F.c if one is not _F.c.surplus_at})
)
_SIZES = (_F.c.role, _F.c.version, _F.c.surplus_at, _F.c.uptane_length, _F.c.tuf_length)
_KEPT = _F.alias("kept")
_NEWEST_SURPLUS = (
    select(_KEPT.c.version)
    .where(_KEPT.c.role == bindparam("of"), _KEPT.c.surplus_at.is_(None))
    .order_by(_KEPT.c.version.desc())
    .limit(1)
    .offset(bindparam("kept"))
    .scalar_subquery()
)
_NEWEST = Quick(
    select(_F.c.version, _F.c.signed_at)
    .where(_F.c.role == bindparam("role"), _F.c.surplus_at.is_(None))
    .order_by(_F.c.version.desc())
    .limit(1)
)
_MARK_SURPLUS = Quick(
    update(_F)
    .where(_F.c.role == bindparam("of"), _F.c.surplus_at.is_(None), _F.c.version <= _NEWEST_SURPLUS)
    .values(surplus_at=bindparam("now"))
    .returning(_F.c.uptane_length + _F.c.tuf_length)
)
_OLDEST_SURPLUS = Quick(
    select(*_SIZES, select(_R.c.kept_bytes).scalar_subquery())
    .where(_F.c.surplus_at.is_not(None), _F.c.uptane.is_not(None))
    .order_by(_F.c.surplus_at, _F.c.version)
    .limit(64)
)
_HOLE = b"\0"
"""Where the shared part belongs, or at the end; no signed file has this byte."""
_PARTS = (
    (b'"delegations":{', b',"expires":"'),
    (b'"meta":{', b',"targets.json":'),
    (b'"targets":{', b""),
)
"""Where the parts begin and end that may be large: a file's delegated roles, its lines, its packages."""
_DROPPED = {"uptane": None, "tuf": None, "shared_tail": None}


class RoleRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def counters(self) -> Counters:
        for row in _COUNTERS.rows(self._connection):
            return Counters(*row)
        raise Broken("the catalog has no repository row")

    def save(self, release: Release, previous: Release | None, keep: int) -> None:
        known = {(file.role, file.version) for file in previous.files()} if previous else set()
        new = [file for file in release.files() if (file.role, file.version) not in known]
        new += [release.feed] if release.feed else []
        for file in new:
            _ADD_FILE.run(self._connection, **_file_values(file))
        now = release.timestamp.signed_at
        ageing = [file.role for file in new if file.role != "root"]
        surplus = sum(self._replace(role, *((0, 0) if role == FEED else (keep, now))) for role in ageing)
        _SAVE_COUNTERS.run(self._connection, surplus=surplus, **asdict(release.counters))

    def _replace(self, role: str, keep: int, now: int) -> int:
        """Mark what has become surplus; its bytes."""
        marked = _MARK_SURPLUS.rows(self._connection, of=role, kept=keep + 1, now=now)
        return sum(size for (size,) in marked)

    def file(self, role: str, version: int) -> RoleFile | None:
        statement = select(_F).where(_F.c.role == role, _F.c.version == version, _F.c.kept)
        row = self._connection.execute(statement).first()
        return _file(row) if row else None

    def newest(self, role: str) -> tuple[int, int] | None:
        for version, signed_at in _NEWEST.rows(self._connection, role=role):
            return version, signed_at
        return None

    def roots(self) -> Sequence[RoleFile]:
        statement = select(_F).where(_F.c.role == "root").order_by(_F.c.version)
        return [_file(row) for row in self._connection.execute(statement)]

    def collect(self, replaced_before: int, cap_bytes: int) -> None:
        dropped = 0
        for role, version, surplus_at, *sizes, surplus in _OLDEST_SURPLUS.rows(self._connection):
            if surplus_at >= replaced_before and surplus - dropped <= cap_bytes:
                break
            self._drop_bytes(role, version)
            dropped += sum(sizes)
        if dropped:
            self._connection.execute(update(_R).values(kept_bytes=_R.c.kept_bytes - dropped))

    def _drop_bytes(self, role: str, version: int) -> None:
        of_file = and_(_F.c.role == role, _F.c.version == version)
        self._connection.execute(update(_F).where(of_file).values(kept=False, **_DROPPED))

    def records(self) -> Iterator[tuple[str, int, RoleFile | None]]:
        statement = select(_F).order_by(_F.c.role, _F.c.version).execution_options(yield_per=16)
        for row in self._connection.execute(statement):
            yield row.role, row.version, _file(row) if row.kept else None


def _file_values(file: RoleFile) -> dict[str, object]:
    return {
        "role": file.role,
        "version": file.version,
        "signed_by": file.role if file.role in ROLE_NAMES else TARGETS,
        "signed_at": file.signed_at,
        "expires": file.expires,
        "kept": True,
        "uptane_sha256": file.uptane.sha256,
        "uptane_length": file.uptane.length,
        "tuf_sha256": file.tuf.sha256,
        "tuf_length": file.tuf.length,
        **_stored(file.uptane.raw, file.tuf.raw),
    }


def _stored(uptane: bytes, tuf: bytes) -> dict[str, bytes]:
    """What is stored of a file: the longest part that is the same bytes in both dialects is stored once."""
    here = there = slice(0, 0)
    for begins, ends in _PARTS:
        ours, theirs = _part(uptane, begins, ends), _part(tuf, begins, ends)
        if len(uptane[ours]) > len(uptane[here]) and uptane[ours] == tuf[theirs]:
            here, there = ours, theirs
    return {
        "uptane": uptane[: here.start] + _HOLE + uptane[here.stop :],
        "tuf": tuf[: there.start] + _HOLE + tuf[there.stop :],
        "shared_tail": uptane[here],
    }


def _part(raw: bytes, begins: bytes, ends: bytes) -> slice:
    start = raw.find(begins)
    end = raw.find(ends, start) if ends else len(raw)
    return slice(start, end) if 0 <= start < end else slice(0, 0)


def _file(row: Row[Any]) -> RoleFile:
    def signed(stored: bytes, sha256: str, length: int) -> SignedRole:
        before, _, after = stored.partition(_HOLE)
        return SignedRole(before + row.shared_tail + after, sha256, length, row.version)

    return RoleFile(
        row.role,
        row.version,
        row.signed_at,
        row.expires,
        signed(row.uptane, row.uptane_sha256, row.uptane_length),
        signed(row.tuf, row.tuf_sha256, row.tuf_length),
    )


class BlobRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def keep(self, sha256: Sha256, length: int) -> bool:
        [[dying]] = _KEEP_BLOB.rows(self._connection, sha256=sha256, length=length)
        return not dying

    def adopt(self, sha256: Sha256, length: int, released_at: int, dying: bool = False) -> bool:
        if self._connection.execute(_BLOB_IS_DYING, {"sha256": sha256}).first() is not None:
            return False
        self._add(sha256, length, released_at, dying)
        return True

    def _add(self, sha256: Sha256, length: int, released_at: int, dying: bool = False) -> None:
        values = {"sha256": sha256, "length": length, "dying": dying, "released_at": released_at}
        self._connection.execute(_ADD_BLOB, values)

    def is_dying(self, sha256: Sha256) -> bool:
        statement = select(exists().where(_B.c.sha256 == sha256, _B.c.dying.is_(True)))
        return bool(self._connection.execute(statement).scalar())

    def release(self, sha256: Sha256, at: int) -> None:
        self._connection.execute(update(_B).where(_B.c.sha256 == sha256).values(released_at=at))

    def mark_dying(self, now: int, grace: int) -> Sequence[Sha256]:
        packages = tables.packages
        own = packages.c.source == str(OWN_SOURCE)
        referenced = exists().where(packages.c.sha256 == _B.c.sha256, packages.c.location.is_(None), own)
        condemned = and_(_B.c.released_at + grace < now, ~referenced)
        self._connection.execute(update(_B).where(_B.c.dying.is_(False), condemned).values(dying=True))
        return [
            Sha256(one)
            for one in self._connection.execute(select(_B.c.sha256).where(_B.c.dying.is_(True))).scalars()
        ]

    def drop(self, sha256: Sha256) -> None:
        self._connection.execute(delete(_B).where(_B.c.sha256 == sha256, _B.c.dying.is_(True)))

    def every(self) -> Iterator[BlobRow]:
        statement = select(_B).order_by(_B.c.sha256).execution_options(yield_per=1000)
        for row in self._connection.execute(statement):
            yield BlobRow(Sha256(row.sha256), row.length, row.dying)

    def numbers(self) -> tuple[int, int]:
        row = self._connection.execute(select(func.count(), func.coalesce(func.sum(_B.c.length), 0))).one()
        return int(row[0]), int(row[1])
